/** Commands that are killed at any moment: nothing is lost, the check mends what they left, and the same command works then. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lacking } from "./harness/area.js";
import { shell } from "./harness/command.js";
import { cowfsProgram } from "./harness/mounts.js";
import { mountInfo } from "./harness/namespace.js";
import { busyboxTree, Store } from "./harness/store.js";

let store: Store;

beforeEach(async () => {
  store = new Store();
  await fill();
});

async function fill(): Promise<void> {
  const tree = await busyboxTree(store.area.at("tree"));
  await shell(
    "mkdir -p data/many; for i in $(seq 300); do echo $i >data/many/$i; done; head -c 8000000 /dev/urandom >data/big",
    { cwd: tree },
  );
  await store.image("base", [tree]);
}

afterEach(async () => {
  expect(await store.remove()).toEqual([]);
});

/** Runs a command, kills it after so many milliseconds, if it is not over by then, and waits for its end. Returns how long it ran. */
async function killed(words: readonly string[], after: number): Promise<number> {
  const start = performance.now();
  const child = spawn(cowfsProgram, ["--root", store.path, ...words], { stdio: "ignore", cwd: "/" });
  const timer = setTimeout(() => child.kill("SIGKILL"), after);
  await new Promise((resolve) => child.on("close", resolve));
  clearTimeout(timer);
  return performance.now() - start;
}

/**
 * Kills a command at several moments of its life. Each time the check must be able to mend everything, and `then` sees that nothing was lost
 * and that it works again; `before` makes what it needs.
 */
async function killAtTimes(
  words: readonly string[],
  before: () => Promise<unknown>,
  then: () => Promise<unknown>,
  shares: readonly number[] = [0.5, 0.75, 0.92],
): Promise<void> {
  await before();
  const whole = await killed(words, 60_000);
  await then();
  for (const share of shares) {
    await before();
    await killed(words, whole * share);
    const mended = await store.run(["system", "check", "--repair"]);
    expect(mended, `killed at ${share}`).toMatchObject({ status: 0, stderr: "" });
    expect(await store.run(["system", "check"])).toMatchObject({ status: 0, stdout: "ok: nothing is wrong\n" });
    expect(readdirSync(join(store.path, "tmp"))).toEqual([]);
    expect(mountInfo().filter(({ mountpoint }) => mountpoint.startsWith(`${store.path}/`))).toEqual([]);
    await then();
  }
}

const content = "ls /data/many | wc -l; wc -c </data/big; cat /etc/motd";
const expected = "300\n8000000\nfrom the image\n";

test("image load and image rm", async () => {
  const archive = store.area.at("base.tar");
  await store.ok("image", "save", "-o", archive, "base");
  const load = ["image", "load", "-q", "-i", archive];
  const works = async (): Promise<void> => {
    await store.ok(...load);
    expect(await store.ok("run", "--rm", "base", "sh", "-c", content)).toBe(expected);
    expect(await store.ok("image", "verify", "--quiet", "base")).toBe("");
    expect(readdirSync(join(store.path, "layers"))).toHaveLength(1);
  };
  await killAtTimes(load, () => store.run(["image", "rm", "base"]), works);
  await killAtTimes(["image", "rm", "base"], () => store.ok(...load), works);
});

test("commit", async () => {
  await store.ok(
    "run",
    "--name",
    "changed",
    "base",
    "sh",
    "-c",
    "rm /data/many/1; mv /data/many /data/moved; chmod 600 /data/big; echo new >/data/new",
  );
  const commit = ["commit", "changed", "next"];
  await killAtTimes(
    commit,
    () => store.run(["image", "rm", "next"]),
    async () => {
      await store.ok(...commit);
      expect(
        await store.ok(
          "run",
          "--rm",
          "next",
          "sh",
          "-c",
          "ls /data/moved | wc -l; cat /data/new; ls /data; stat -c %a /data/big",
        ),
      ).toBe("299\nnew\nbig\nmoved\nnew\n600\n");
      expect(await store.ok("start", "-a", "changed").catch(String)).not.toMatch(/damaged|missing/);
    },
  );
});

test("a run that fills a volume, and rm", async () => {
  const run = ["run", "--name", "filling", "-v", "data:/data", "base", "true"];
  const works = async (): Promise<void> => {
    await store.run(["rm", "-f", "filling"]);
    expect(await store.ok("run", "--rm", "-v", "data:/data", "base", "sh", "-c", content)).toBe(expected);
  };
  const fresh = async (): Promise<void> => {
    await store.run(["rm", "-f", "filling"]);
    await store.run(["volume", "rm", "data"]);
  };
  await killAtTimes(run, fresh, works);
  await killAtTimes(["rm", "filling"], () => store.ok(...run), works);
});

const copying = [
  ["vfs", "disk"],
  ["btrfs", "btrfs:512M"],
] as const;
const without = await lacking("btrfs:512M");

test.each(copying)("create with %s, which makes a base tree and copies it", async (driver, place) => {
  if (driver === "btrfs") {
    if (without !== undefined) return;
    expect(await store.remove()).toEqual([]);
    store = await Store.on(place);
    await fill();
  }
  const archive = store.area.at("base.tar");
  await store.ok("image", "save", "-o", archive, "base");
  const create = ["create", "--name", "copied", "--driver", driver, "base", "sh", "-c", content];
  // Base trees go with the image.
  const fresh = async (): Promise<void> => {
    await store.run(["rm", "-f", "copied"]);
    await store.run(["image", "rm", "base"]);
    expect(existsSync(store.root.bases) ? readdirSync(join(store.root.bases, driver)) : []).toEqual([]);
    await store.ok("image", "load", "-q", "-i", archive);
  };
  const works = async (): Promise<void> => {
    await store.run(["rm", "-f", "copied"]);
    await store.ok(...create);
    expect(await store.ok("start", "-a", "copied")).toBe(expected);
  };
  await killAtTimes(create, fresh, works, [0.6, 0.85]);
});
