/**
 * A failure, or a crash, at each system call of copy-up, rename and removal: what the layers show afterwards is the state
 * before or the state after, nothing in between, and the lower layers are untouched.
 */
import { existsSync, lstatSync, lutimesSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { EIO, ENOSPC } from "../errno.js";
import { S_IFREG } from "../layer/stat.js";
import { native } from "../native/index.js";
import { ROOT } from "./node-table.js";
import { fsyncFd, readFd, write } from "./ops/data.js";
import { getattr } from "./ops/getattr.js";
import { link } from "./ops/link.js";
import { mkdir } from "./ops/mkdir.js";
import { mknod } from "./ops/mknod.js";
import { readlink } from "./ops/readlink.js";
import { rename } from "./ops/rename.js";
import { rmdir } from "./ops/rmdir.js";
import { noChange, setattr } from "./ops/setattr.js";
import { unlink } from "./ops/unlink.js";
import { Bench, type LayerTree } from "./testing.js";
import type { WhiteoutFormat } from "./workdir.js";

type Call = (...args: unknown[]) => unknown;

/** Counts the calls into the addon from `arm` on; the one with the number `at` fails. */
const faults = vi.hoisted(() => ({ at: 0, seen: 0, crash: false, error: -5, hit: "" }));

vi.mock("../native/index.js", async (original) => {
  const real = (await original<{ native: Record<string, Call> }>()).native;
  // Reading a resource back or giving it up is no step of an operation.
  const harmless = new Set(["close", "preadNowait", "pread"]);
  const wrapped: Record<string, Call> = {};
  for (const [name, call] of Object.entries(real)) {
    wrapped[name] = (...args) => {
      if (faults.at === 0 || harmless.has(name)) return call(...args);
      if (++faults.seen !== faults.at) return call(...args);
      faults.hit = `${name}(${args.map((arg) => (typeof arg === "object" ? "…" : String(arg))).join(", ")})`;
      if (!faults.crash) return faults.error;
      throw new Error("crash");
    };
  }
  return { native: wrapped };
});

// In memory: each reopening syncs the file system of the layers, which may take long where others write.
if (existsSync("/dev/shm")) vi.stubEnv("TMPDIR", "/dev/shm");

// A union sets the umask to 0 for good; the layers are made with the same one before and after.
process.umask(0);

let bench: Bench | undefined;
afterEach(() => {
  faults.at = 0;
  bench?.close();
  bench = undefined;
});

const cred = { uid: 0, gid: 0 };
const buffer = Buffer.alloc(65536);

/** The merged tree as text: everything a user can see of each object. */
function tree(b: Bench, path = "/"): string {
  const names = b.list(path);
  if (typeof names === "number") return `${path}: error ${names}\n`;
  let text = "";
  for (const name of names) {
    const full = path === "/" ? name : `${path}/${name}`;
    const node = b.node(full);
    if (node < 0 || getattr(b.u, node) < 0) return `${text}${full}: error ${node}\n`;
    const { mode, uid, gid, size, mtime, mtimeNsec, isDirectory, isRegular, isSymlink } = b.u.stat;
    let content = "";
    if (isRegular) content = buffer.latin1Slice(0, native.pread(readFd(b.u, node), buffer, 0, buffer.length, 0));
    if (isSymlink) content = b.u.scratch.latin1Slice(0, readlink(b.u, node));
    // Times of what the operation itself touches differ between two runs; the lower files' are from the year 2001.
    const time = mtime < 1_000_000_000 ? `${mtime}.${mtimeNsec}` : "now";
    text += `${full} ${mode.toString(8)} ${uid}:${gid} ${isDirectory ? "" : size} ${isDirectory ? "" : time} ${content}\n`;
    if (isDirectory) text += tree(b, full);
  }
  return text;
}

const lowers: LayerTree[] = [
  { "d/a": "top", "d/s/x": "x", "e/": "", link: "-> d/a", "over/": "", "d/h1": "linked", "h/h2": "= d/h1" },
  { "d/b": "below", "d/s/y": "y", "e/hidden": "h", "m/f": "data below", "m/g": "DATA BELOW" },
];
const upper: LayerTree = {
  mine: "upper file",
  "over/": "",
  "plain/": "",
  "m/f": "metacopy 10",
  "m/g": "metacopy 10 /m/g",
  "m/h": "= m/g",
};

/** Seconds of all times in the layers before an operation. */
const OLD = 900_000_000;

/** The paths of everything in a directory, what it holds before each. */
function objects(path: string): string[] {
  const isDirectory = lstatSync(path).isDirectory();
  return [...(isDirectory ? readdirSync(path).flatMap((name) => objects(join(path, name))) : []), path];
}

/** The whiteout of the upper, as each format has it. */
const hidden: Record<WhiteoutFormat, LayerTree> = {
  overlay: { "e/hidden": "whiteout" },
  aufs: { "e/.wh.hidden": "" },
  xattr: { "e/hidden": "xattr whiteout" },
};

function make(whiteout: WhiteoutFormat, lazy = false): Bench {
  const b = new Bench(lowers, { ...hidden[whiteout], ...upper }, { whiteout, lazy });
  b.change(() => {
    // What is in a directory first: its own time does not change any more then.
    for (const path of [...objects(b.upper), ...b.lowers.flatMap(objects)]) lutimesSync(path, OLD, OLD);
  });
  return b;
}

const nothing = noChange();

const chmodTo600 = { ...nothing, valid: 1, mode: 0o600 };

/** Each looks up what it needs first (without faults) and returns the step under test. */
const operations: Record<string, (b: Bench) => () => number> = {
  "write to a lower file": (b) => {
    const node = b.node("d/a");
    return () => write(b.u, node, Buffer.from("NEW CONTENT"), 0, 11, 0, null, false);
  },
  "chmod of a lower file in a lower directory": (b) => {
    const node = b.node("d/s/y");
    return () => setattr(b.u, node, chmodTo600);
  },
  "write to a lower file with two names": (b) => {
    const node = b.node("d/h1");
    return () => write(b.u, node, Buffer.from("NEW CONTENT"), 0, 11, 0, null, false);
  },
  "unlink of one of two names of a lower file": (b) => {
    const h = b.node("h");
    b.node("h/h2");
    return () => unlink(b.u, h, "h2");
  },
  "rename of one of two names of a lower file": (b) => {
    const h = b.node("h");
    b.node("h/h2");
    return () => rename(b.u, h, "h2", ROOT, "mine", 0);
  },
  "write to a metacopy": (b) => {
    const node = b.node("m/f");
    return () => write(b.u, node, Buffer.from("NEW"), 0, 3, 0, null, false);
  },
  "write to a metacopy with two names": (b) => {
    const node = b.node("m/h");
    b.node("m/g");
    return () => write(b.u, node, Buffer.from("NEW"), 0, 3, 0, null, false);
  },
  "truncation of a metacopy": (b) => {
    const node = b.node("m/f");
    return () => setattr(b.u, node, { ...nothing, valid: 8, size: 4 });
  },
  "rename of a metacopy": (b) => {
    const m = b.node("m");
    b.node("m/f");
    return () => rename(b.u, m, "f", ROOT, "moved", 0);
  },
  "hard link of a metacopy": (b) => {
    const node = b.node("m/f");
    return () => link(b.u, node, ROOT, "linked");
  },
  "unlink of a metacopy": (b) => {
    const m = b.node("m");
    b.node("m/f");
    return () => unlink(b.u, m, "f");
  },
  "chmod of a lower directory": (b) => {
    const node = b.node("d/s");
    return () => setattr(b.u, node, chmodTo600);
  },
  "hard link of a lower file": (b) => {
    const node = b.node("d/b");
    return () => link(b.u, node, ROOT, "linked");
  },
  "unlink of a lower file": (b) => {
    const d = b.node("d");
    b.node("d/a");
    return () => unlink(b.u, d, "a");
  },
  "unlink of an upper file": (b) => {
    b.node("mine");
    return () => unlink(b.u, ROOT, "mine");
  },
  "rmdir of a merged directory full of whiteouts": (b) => {
    b.node("e");
    return () => rmdir(b.u, ROOT, "e");
  },
  "rename of a lower file": (b) => {
    const d = b.node("d");
    b.node("d/a");
    return () => rename(b.u, d, "a", ROOT, "moved", 0);
  },
  "rename of a lower symbolic link over an upper file": (b) => {
    b.node("link");
    b.node("mine");
    return () => rename(b.u, ROOT, "link", ROOT, "mine", 0);
  },
  "rename of a merged directory": (b) => {
    const plain = b.node("plain");
    b.node("d");
    return () => rename(b.u, ROOT, "d", plain, "moved", 0);
  },
  "rename of a directory over a merged one full of whiteouts": (b) => {
    b.node("d");
    b.node("e");
    return () => rename(b.u, ROOT, "d", ROOT, "e", 0);
  },
  "exchange of a lower directory and an upper file": (b) => {
    b.node("d");
    b.node("mine");
    return () => rename(b.u, ROOT, "d", ROOT, "mine", 2);
  },
  "rename of a directory over a whiteout": (b) => {
    const e = b.node("e");
    b.node("plain");
    return () => rename(b.u, ROOT, "plain", e, "hidden", 0);
  },
  "create over a whiteout": (b) => {
    const e = b.node("e");
    return () => mknod(b.u, e, "hidden", S_IFREG | 0o644, 0, 0, 0, cred);
  },
  "mkdir over a whiteout": (b) => {
    const e = b.node("e");
    return () => mkdir(b.u, e, "hidden", 0o755, 0, cred);
  },
};

/** What writes whiteouts, or replaces them. */
const ofWhiteouts = /^(unlink|rmdir|rename|exchange|create|mkdir)(?!.*(metacopy|two names))/;

for (const [title, format, prepare] of (["overlay", "aufs", "xattr"] as const).flatMap((format) =>
  Object.entries(operations)
    .filter(([title]) => format === "overlay" || ofWhiteouts.test(title))
    .map(([title, prepare]) => [title, format, prepare] as const),
)) {
  for (const crash of [false, true]) {
    test(`${title}, ${crash ? "a crash" : "a failure"} at each call, ${format}`, () => {
      const reference = make(format);
      bench = reference;
      const before = tree(reference);
      reference.reopen();
      expect(prepare(reference)()).toBeGreaterThanOrEqual(0);
      const live = tree(reference);
      reference.reopen();
      const after = tree(reference);
      expect(after).toBe(live);
      expect(after).not.toBe(before);
      reference.close();
      bench = undefined;
      for (let at = 1; ; at++) {
        const b = make(format);
        bench = b;
        const step = prepare(b);
        Object.assign(faults, { at, seen: 0, crash, error: at % 2 === 0 ? -ENOSPC : -EIO, hit: "" });
        let result = 0;
        try {
          result = step();
        } catch (error) {
          if (!crash || (error as Error).message !== "crash") throw error;
        }
        faults.at = 0;
        const hit = faults.hit;
        if (hit === "") {
          expect(result).toBeGreaterThanOrEqual(0);
          break;
        }
        const where = `call ${at}, ${hit}, result ${result}`;
        if (!crash) expect([before, after], `the live tree after ${where}`).toContain(tree(b));
        b.reopen();
        expect([before, after], `the tree after ${where} and a remount`).toContain(tree(b));
        const changed = b.lowers.flatMap(objects).filter((path) => lstatSync(path).mtimeMs !== OLD * 1000);
        expect(changed, where).toEqual([]);
        b.close();
        bench = undefined;
      }
    });
  }
}

/** Writes to lower files and metacopies whose copies are not synced: what is done to those. */
const ofUnsynced: Record<string, (b: Bench) => () => number> = {
  ...Object.fromEntries(Object.entries(operations).filter(([title]) => /^write|^truncation/.test(title))),
  "fsync of an unsynced copy": (b) => {
    const node = written(b, "d/a");
    return () => Math.min(fsyncFd(b.u, node), 0);
  },
  "fsync of an unsynced copy with two names": (b) => {
    const node = written(b, "d/h1");
    return () => Math.min(fsyncFd(b.u, node), 0);
  },
  "fsync of what was a metacopy": (b) => {
    const node = written(b, "m/g");
    return () => Math.min(fsyncFd(b.u, node), 0);
  },
  "rename of an unsynced copy": (b) => {
    written(b, "d/a");
    return () => rename(b.u, b.node("d"), "a", ROOT, "moved", 0);
  },
  "hard link of an unsynced copy": (b) => {
    const node = written(b, "d/a");
    return () => link(b.u, node, ROOT, "linked");
  },
  "unlink of an unsynced copy": (b) => {
    written(b, "d/a");
    return () => unlink(b.u, b.node("d"), "a");
  },
  "truncation and growth of an unsynced copy": (b) => {
    const node = written(b, "d/a");
    return () => {
      const cut = setattr(b.u, node, { ...nothing, valid: 8, size: 2 });
      return cut < 0 ? cut : setattr(b.u, node, { ...nothing, valid: 8, size: 20 });
    };
  },
};

function written(b: Bench, path: string): number {
  const node = b.node(path);
  expect(write(b.u, node, Buffer.from("NEW CONTENT"), 0, 11, 0, null, false)).toBe(11);
  return node;
}

const ends = ["a failure", "a kill of the driver", "a crash of the machine"] as const;

for (const [title, prepare] of Object.entries(ofUnsynced)) {
  for (const end of ends) {
    test(`${title}, unsynced: ${end} at each call`, () => {
      const fresh = make("overlay", true);
      bench = fresh;
      const lower = tree(fresh);
      const reference = prepare(fresh);
      const before = tree(fresh);
      expect(reference()).toBeGreaterThanOrEqual(0);
      const after = tree(fresh);
      const states = new Set([before, after]);
      if (title.startsWith("truncation and")) {
        // Two steps, and the one between them is a state too.
        states.add(after.replace(/^d\/a .*$/m, (line) => line.replace(/ 20 /, " 2 ").replace(/NE\0*$/, "NE")));
      }
      fresh.kill();
      expect(tree(fresh)).toBe(after);
      fresh.close();
      bench = undefined;
      for (let at = 1; ; at++) {
        const b = make("overlay", true);
        bench = b;
        const step = prepare(b);
        const crash = end !== "a failure";
        Object.assign(faults, { at, seen: 0, crash, error: at % 2 === 0 ? -ENOSPC : -EIO, hit: "" });
        let result = 0;
        try {
          result = step();
        } catch (error) {
          if (!crash || (error as Error).message !== "crash") throw error;
        }
        faults.at = 0;
        const hit = faults.hit;
        const where = `call ${at}, ${hit}, result ${result}`;
        if (end === "a failure") {
          expect([...states], `the live tree after ${where}`).toContain(tree(b));
          b.reopen();
          expect([...states], `the tree after ${where} and a remount`).toContain(tree(b));
        } else if (end === "a kill of the driver") {
          b.kill();
          expect([...states], `the tree after ${where} and a remount`).toContain(tree(b));
        } else {
          b.crash();
          // Nothing was synced by a program that got no answer: the lower file, or what the operation left.
          const allowed = [lower, ...(hit === "" && title.startsWith("fsync") ? [] : states)];
          expect(hit === "" && title.startsWith("fsync") ? [after] : allowed, where).toContain(tree(b));
          // And the copy can be written to again.
          const again = b.node("d/b");
          expect(write(b.u, again, Buffer.from("B"), 0, 1, 0, null, false)).toBe(1);
        }
        const changed = b.lowers.flatMap(objects).filter((path) => lstatSync(path).mtimeMs !== OLD * 1000);
        expect(changed, where).toEqual([]);
        b.close();
        bench = undefined;
        if (hit === "") break;
      }
    });
  }
}
