/** Metacopies that somebody made to do harm, or whose data has gone: as kernel overlayfs, EIO for that file, and nothing else. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { type Case, cases } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { device, type Entry, fifo, file, link, type Tree, whiteout } from "./harness/layers.js";
import type { Merged } from "./harness/merged.js";

const noLayers = "it has no layers";
const size = 4;

function metacopy(redirect?: string, header = ""): Entry {
  const xattrs: Record<string, string> = { "trusted.overlay.metacopy": header };
  if (redirect !== undefined) xattrs["trusted.overlay.redirect"] = redirect;
  return file("", { size, xattrs });
}

/** Messages of the driver's warnings about each object, by its name. */
function warnings(merged: Merged): Map<string, string[]> {
  const found = new Map<string, string[]>();
  // What stands behind the last end of a line is not written yet.
  for (const line of readFileSync(merged.area.at("driver.log"), "utf8").split("\n").slice(0, -1)) {
    if (!line.includes('"level":40')) continue;
    const { name, msg } = JSON.parse(line) as { name: string; msg: string };
    found.set(name, [...(found.get(name) ?? []), msg]);
  }
  return found;
}

/** Of kernel overlayfs, which looks into the header only with `verity=`, and calls bad redirects by other errors. */
const overlayAnswers: Record<string, string> = {
  up: "EINVAL",
  absolute: "EACCES",
  dots: "EACCES",
  version: "DATA",
  "too-short": "DATA",
  "too-long": "DATA",
};

/** Each file of `expected`: neither read nor written, warned of once in such words, and attributes can still be had. */
async function refuse(merged: Merged, expected: Record<string, RegExp>): Promise<void> {
  for (const name of Object.keys(expected)) {
    const answer = (merged.kind === "overlay" ? overlayAnswers[name] : undefined) ?? "EIO";
    await merged.steps(`cat ${name} -> ${answer}`);
    if (answer !== "DATA") await merged.steps(`append ${name} x -> ${answer}`);
    if (merged.kind === "cowfs") await merged.steps(`stat ${name} size -> ${size}\nchmod ${name} 0600`);
  }
  await merged.steps('put works works\ncat works -> works\ncat good -> GOOD\nsh "ls | wc -l" -> *');
  if (merged.kind !== "cowfs") return;
  // The log is written behind the answers.
  let warned = warnings(merged);
  for (let tries = 0; tries < 300 && Object.keys(expected).some((name) => !warned.has(name)); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    warned = warnings(merged);
  }
  for (const [name, why] of Object.entries(expected)) {
    const lines = warned.get(name) ?? [];
    if (lines.length !== 1 || !why.test(lines[0] as string)) {
      merged.failures.push(`${name}: warned of by ${JSON.stringify(lines)}, not once by ${why}`);
    }
  }
}

const upper: Tree = {
  good: metacopy("/far/good"),
  gone: metacopy(),
  hidden: metacopy("/hidden-data"),
  directory: metacopy("/dir"),
  symlink: metacopy("/link"),
  "symlink-inside": metacopy("/inside"),
  pipe: metacopy("/fifo"),
  device: metacopy("/zero"),
  through: metacopy("/way/secret"),
  "to-itself": metacopy("/to-itself"),
  ring: metacopy("/ring2"),
  "below-a-file": metacopy("/far/good/x"),
  up: metacopy("../../../../secret"),
  absolute: metacopy("/../../../../secret"),
  dots: metacopy("/far/../far/good"),
  deep: metacopy(`/${"d/".repeat(300)}d`),
  long: metacopy("/abcdefghi".repeat(350)),
  "one-byte": metacopy(undefined, "y"),
  "three-bytes": metacopy(undefined, "\0\x03\0"),
  version: metacopy(undefined, "\x01\x04\0\0"),
  "too-short": metacopy(undefined, "\0\x09\0\0"),
  "too-long": metacopy(undefined, `\0\x45\0\x02${"d".repeat(65)}`),
};

const missing = /without data/;
const malformed = /malformed/;
const noFile = /no regular file/;

cases("metacopies without good data", [
  {
    name: "the data is gone, hidden, no file, out of the layers, or the marks make no sense",
    lowers: [
      {
        "hidden-data": whiteout,
        "dir/x": "x",
        link: link("/etc/passwd"),
        inside: link("far/good"),
        fifo: fifo(),
        zero: device(1, 5),
        way: link("../outside"),
        ring2: metacopy("/ring"),
        "far/good": "GOOD",
        "one-byte": "DATA",
        "three-bytes": "DATA",
        version: "DATA",
        "too-short": "DATA",
        "too-long": "DATA",
      },
      { "hidden-data": "DATA", ring: metacopy("/ring2") },
    ],
    upper,
    skip: { native: noLayers },
    differs: { cowfs: "kernel overlayfs gives no attributes either" },
    foreign: "is about what cannot be read",
    tree: "none",
    prepare: async ({ area }) => {
      await area.directory("outside");
      for (const path of ["outside/secret", "secret"]) writeFileSync(area.at(path), "EVIL");
      await command("touch", ["-a", "-d", "@1000", area.at("secret"), area.at("outside/secret")]);
    },
    run: async (merged) => {
      await refuse(merged, {
        gone: missing,
        hidden: missing,
        directory: noFile,
        symlink: noFile,
        "symlink-inside": noFile,
        pipe: noFile,
        device: noFile,
        through: missing,
        "to-itself": missing,
        ring: missing,
        "below-a-file": missing,
        up: malformed,
        absolute: malformed,
        dots: malformed,
        deep: missing,
        long: missing,
        "one-byte": malformed,
        "three-bytes": malformed,
        version: malformed,
        "too-short": malformed,
        "too-long": malformed,
      });
      for (const path of ["secret", "outside/secret"]) {
        if (statSync(merged.area.at(path)).atimeMs !== 1_000_000) merged.failures.push(`${path} was read`);
      }
    },
  },
  {
    name: "the data shrank or grew, or was exchanged, while nothing was mounted",
    lowers: [{ shrunk: "DATA", grown: "DATA", other: "DATA", removed: "DATA", "far/good": "GOOD" }],
    upper: { good: metacopy("/far/good") },
    skip: { native: noLayers, overlay: "shows the other data, cut to the size of the metacopy or short of it" },
    foreign: "shows the other data",
    tree: "none",
    litter: "is about the live mount",
    run: async (merged) => {
      await merged.steps("chmod shrunk 0600\nchmod grown 0600\nchmod other 0600\nchmod removed 0600");
      await merged.unmount();
      const lower = merged.lowers[0] as string;
      await command(
        "/bin/sh",
        ["-c", "printf abc > shrunk; printf more >> grown; rm removed; mv other x; printf EVIL > other"],
        {
          cwd: lower,
        },
      );
      await merged.acceptLowers();
      await merged.mount();
      await refuse(merged, { shrunk: /another size/, grown: /another size/, removed: missing, other: /another file/ });
    },
  },
  ...(["on", "require"] as const).map(
    (verity): Case => ({
      name: `verity=${verity}: what has a digest is not believed without one, whatever the data is`,
      lowers: [{ digest: "DATA", bare: "DATA", plain: "DATA" }],
      upper: { digest: metacopy(undefined, `\0\x24\0\x01${"d".repeat(32)}`), bare: metacopy() },
      options: { overlay: [`verity=${verity}`], cowfs: ["-o", `verity=${verity}`] },
      skip: { native: noLayers },
      foreign: "is about an option",
      tree: "none",
      steps: `
        cat digest -> EIO
        append digest x -> EIO
        cat bare -> ${verity === "on" ? "DATA" : "EIO"}
        chmod plain 0600
        cat plain -> DATA
        remount
        cat plain -> DATA
        append plain x
        cat plain -> DATAx
      `,
    }),
  ),
]);
