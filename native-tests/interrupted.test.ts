/** Commands that a signal ends in the middle of their work, as Ctrl-C does: they undo what they had begun, and then end by that signal. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { shell } from "./harness/command.js";
import { cowfsProgram } from "./harness/mounts.js";
import { mountInfo } from "./harness/namespace.js";
import { Store, until } from "./harness/store.js";

let store: Store;

beforeEach(async () => {
  store = new Store();
  await store.busybox("base");
});

afterEach(async () => {
  expect(await store.remove()).toEqual([]);
});

/** Starts a command whose input and output nobody goes on with: it stands still in the middle. */
function stuck(words: readonly string[]): { child: ChildProcess; ended: Promise<unknown> } {
  const child = spawn(cowfsProgram, ["--root", store.path, ...words], { stdio: "pipe", cwd: store.area.path });
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  const ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve({ code, signal, said })));
  return { child, ended };
}

const temporaries = (): string[] => readdirSync(join(store.path, "tmp"));
const mounts = (): string[] =>
  mountInfo()
    .map(({ mountpoint }) => mountpoint)
    .filter((path) => path.startsWith(store.area.path));

/** Ends a command by a signal once it is where it should be, and looks at what it has left. */
async function interrupt(
  words: readonly string[],
  input: string,
  isThere: () => boolean,
  signal: NodeJS.Signals = "SIGINT",
): Promise<void> {
  const before = mounts();
  const { child, ended } = stuck(words);
  child.stdin?.on("error", () => {});
  child.stdin?.write(await begin(input));
  await until(isThere, `cowfs ${words.join(" ")} to be at work`);
  child.kill(signal);
  expect(await ended).toEqual({ code: null, signal, said: "" });
  child.stdin?.destroy();
  child.stdout?.destroy();
  expect(temporaries()).toEqual([]);
  expect(mounts()).toEqual(before);
  expect(await store.run(["system", "check"])).toMatchObject({ status: 0, stdout: "ok: nothing is wrong\n" });
}

/** The first part of an archive. */
async function begin(archive: string): Promise<Buffer> {
  return archive === "" ? Buffer.alloc(0) : Buffer.from(await shell(`head -c 20000 ${archive} | base64`), "base64");
}

test("what reads an archive from a pipe", async () => {
  const at = (name: string): string => store.area.at(name);
  await store.ok("image", "save", "-o", at("image.tar"), "base");
  await shell("mkdir many; for i in $(seq 100); do echo $i >many/$i; done; tar cf tree.tar many", {
    cwd: store.area.path,
  });
  const isBuilding = (): boolean => temporaries().length > 0;
  await interrupt(["image", "load"], at("image.tar"), isBuilding);
  await interrupt(["image", "import", "-", "tree"], at("tree.tar"), isBuilding, "SIGTERM");
  const half = join(store.path, "volumes/new/.populating");
  await interrupt(["volume", "import", "new"], at("tree.tar"), () => existsSync(half), "SIGHUP");
  expect(readdirSync(join(store.path, "volumes"))).toEqual([]);
  expect(await store.ok("image", "ls", "-q")).toMatch(/^[0-9a-f]{12}\n$/);
});

test("what looks into a container that does not run", async () => {
  await store.ok("create", "--name", "box", "-v", "data:/data", "base", "true");
  const { path } = store.area;
  await shell("mkdir dir; echo x >dir/x; tar cf dir.tar dir", { cwd: path });
  const isMounted = (): boolean => mounts().length > 0;
  await interrupt(["export", "box"], "", isMounted);
  await interrupt(["cp", "-", "box:/tmp"], "", isMounted);
  await interrupt(["cp", "box:/bin", "-"], "", isMounted, "SIGTERM");
  // The place of the volume.
  expect(await store.ok("diff", "box")).toBe("A /data\n");
  expect(await store.ok("ps", "-a", "--format", "{{.State}}")).toBe("created\n");
});

test("a container whose volume is being filled", async () => {
  // So many files that copying them takes a while, on whatever disk.
  await shell("mkdir -p tree/data; cd tree/data; seq 15000 | xargs touch", { cwd: store.area.path });
  await store.ok("image", "import", store.area.at("tree"), "many", "-q", "-c", 'CMD ["x"]');
  await shell("mkdir vol; echo mine >vol/file; tar cf vol.tar -C vol file", { cwd: store.area.path });
  const half = join(store.path, "volumes/filled/.populating");
  const { child, ended } = stuck(["create", "--name", "box", "-v", "filled:/data", "-v", "precious:/other", "many"]);
  await until(() => existsSync(half), "the copy");
  child.kill("SIGSTOP");
  // It has made this one, too, but what is in there is somebody else's.
  await store.ok("volume", "import", "precious", store.area.at("vol.tar"));
  child.kill("SIGINT");
  child.kill("SIGCONT");
  expect(await ended).toEqual({ code: null, signal: "SIGINT", said: "" });
  expect(await store.ok("ps", "-aq")).toBe("");
  expect(mounts()).toEqual([]);
  expect(readdirSync(join(store.path, "volumes"))).toEqual(["precious"]);
  expect(await shell(`cat ${store.path}/volumes/precious/_data/file`)).toBe("mine\n");
  expect(await store.run(["system", "check"])).toMatchObject({ status: 0, stdout: "ok: nothing is wrong\n" });
});

/** Whether a process has a file open that lies, with a name or without, in a directory. */
function writesIn(pid: number, directory: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const path = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return path.startsWith(`${directory}/`);
    });
  } catch {
    // A descriptor, or the process, is gone meanwhile.
    return false;
  }
}

test("what writes a file", async () => {
  await shell("mkdir tree; head -c 20000000 /dev/urandom >tree/big", { cwd: store.area.path });
  await store.ok("image", "import", store.area.at("tree"), "big", "-q");
  const directory = store.area.at("out");
  await shell(`mkdir ${directory}`);
  const others = (): string[] => readdirSync(directory).filter((name) => name !== "saved");
  for (const [signal, ...words] of [
    ["SIGINT", "--compress", "gzip"],
    ["SIGINT", "--format", "oci-dir"],
    ["SIGINT", "--format", "oci-archive"],
    ["SIGKILL", "--format", "oci-archive"],
    ["SIGKILL", "--format", "oci-dir"],
  ] satisfies [NodeJS.Signals, ...string[]][]) {
    const save = ["image", "save", ...words, "-o", join(directory, "saved"), "big"];
    const { child, ended } = stuck(save);
    const isOver = (): boolean => child.exitCode !== null || existsSync(join(directory, "saved"));
    await until(() => isOver() || writesIn(child.pid as number, directory), "the file");
    child.kill(signal);
    // It may have been quick.
    expect([
      { code: null, signal, said: "" },
      { code: 0, signal: null, said: "" },
    ]).toContainEqual(await ended);
    if (signal === "SIGKILL") {
      // Nothing undid what it had begun. A directory cannot be without a name: the next one that has the same takes it away.
      if (!words.includes("oci-dir")) expect(others()).toEqual([]);
      await shell(`rm -rf ${directory}/saved`);
      await store.ok(...save);
    }
    expect(others()).toEqual([]);
    expect(temporaries()).toEqual([]);
    await shell(`rm -rf ${directory}/saved`);
  }
});
