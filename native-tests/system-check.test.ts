/** What a crash leaves is found and mended; what somebody is at work on, and what a user wrote, is left alone. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { command, type Ended } from "./harness/command.js";
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

const check = (...words: string[]): Promise<Ended> => store.run(["system", "check", ...words]);

const clean: Ended = { status: 0, stdout: "ok: nothing is wrong\n", stderr: "" };

/** What is found, is mended, and is not found again; returns the first lines of what was found, in their order. */
async function mends(): Promise<string[]> {
  const found = await check();
  expect(found).toMatchObject({ status: 1, stderr: "" });
  const mended = await check("--repair");
  expect(mended).toMatchObject({ status: 0, stderr: "" });
  expect(await check()).toEqual(clean);
  const lines = found.stdout.trim().split("\n").slice(0, -1);
  for (const line of lines) expect(line).toMatch(/^found: .* \(--repair would .*\)$/);
  expect(mended.stdout.split("\n").filter((line) => line.startsWith("mended: "))).toHaveLength(lines.length);
  return lines.map((line) => line.replace(/^found: | \(--repair .*/g, ""));
}

test("leftovers of commands that were killed", async () => {
  expect(await check()).toEqual(clean);
  const at = (...names: string[]): string => join(store.path, ...names);
  mkdirSync(at("tmp/load-0123/layer/tree"), { recursive: true });
  writeFileSync(at("images/names.json.999999999.new"), "{");
  writeFileSync(at("locks/tmp-gone-1"), "");
  for (const old of ["images/names.json.999999999.new", "locks/tmp-gone-1"]) utimesSync(at(old), 1, 1);
  // Somebody may be about to rename the one, and to take the other.
  const young = ["images/names.json.1.new", "locks/tmp-new"];
  for (const name of young) writeFileSync(at(name), "");
  symlinkSync("f".repeat(64), at("container-names/nobody"));
  const names = JSON.parse(readFileSync(at("images/names.json"), "utf8")) as { names: Record<string, string> };
  names.names["lost:1"] = `sha256:${"0".repeat(64)}`;
  writeFileSync(at("images/names.json"), JSON.stringify(names));
  await store.ok("volume", "create", "half");
  mkdirSync(at("volumes/half/.populating"));
  // A layer without an image, and a container without its name.
  const [image] = readdirSync(at("images")).filter((name) => name.length === 64);
  await store.image("other", [await alone("other")]);
  rmSync(at("images", readdirSync(at("images")).find((name) => name.length === 64 && name !== image) ?? ""), {
    recursive: true,
  });
  const id = (await store.ok("create", "--name", "web", "base", "true")).trim();
  rmSync(at("container-names/web"));

  const found = await mends();
  const expected: unknown[] = [
    "container name nobody: no container has it",
    `container ${id.slice(0, 12)}: its name web does not lead to it`,
    `image name lost:1: it stands for 000000000000, which is not there`,
    expect.stringMatching(/^image name other:latest: it stands for/) as string,
    "images/names.json.999999999.new: its writer was killed before it was complete",
    expect.stringMatching(/^layer \w{12}: no image has it$/) as string,
    "locks/tmp-gone-1: it is the lock of something that is gone",
    "tmp/load-0123: the command that was at work there is gone",
    "volume half: its first content was not copied to the end",
  ];
  expect(found).toEqual(expect.arrayContaining(expected));
  expect(found).toHaveLength(expected.length);
  expect(readdirSync(at("tmp"))).toEqual([]);
  expect(young.filter((name) => !existsSync(at(name)))).toEqual([]);
  expect(readdirSync(at("layers"))).toHaveLength(1);
  expect(await store.ok("start", "-a", "web")).toBe("");
});

async function alone(name: string): Promise<string> {
  const path = store.area.at(`tree-${name}`);
  mkdirSync(path);
  writeFileSync(join(path, "file"), name);
  return path;
}

test("a container whose monitor and process were killed keeps what it wrote", async () => {
  const id = (
    await store.ok("run", "-d", "--name", "web", "base", "sh", "-c", "echo kept >/wrote; sync; exec sleep 1000")
  ).trim();
  const upper = join(store.path, "containers", id, "upper");
  await until(() => existsSync(join(upper, "wrote")), "the container's file");
  // A check leaves one that runs alone.
  expect(await check("--repair")).toEqual(clean);
  const state = JSON.parse(readFileSync(join(store.path, "containers", id, "state.json"), "utf8")) as {
    pid: number;
    monitor: { pid: number };
  };
  process.kill(state.monitor.pid, "SIGKILL");
  process.kill(state.pid, "SIGKILL");
  await until(
    () => !existsSync(`/proc/${state.pid}`) && !existsSync(`/proc/${state.monitor.pid}`),
    "the end of the container",
  );
  expect(await mends()).toEqual(["container web: it ended, and nobody recorded that"]);
  expect(mountInfo().filter(({ mountpoint }) => mountpoint.startsWith(store.path))).toEqual([]);
  expect(await store.ok("ps", "-a", "--format", "{{.Names}} {{.State}}")).toBe("web exited\n");
  expect(readFileSync(join(upper, "wrote"), "utf8")).toBe("kept\n");
});

test("what is damaged is named, kept, and comes back with its image", async () => {
  const archive = store.area.at("base.tar");
  await store.ok("image", "save", "-o", archive, "base");
  await store.ok("run", "--name", "user", "base", "sh", "-c", "echo mine >/file");
  const layer = (await store.ok("image", "inspect", "-f", "{{(index .Layers 0).Path}}", "base")).trim();
  renameSync(layer, `${layer}.lost`);
  const found = await check();
  expect(found).toMatchObject({ status: 1, stderr: "" });
  expect(found.stdout).toMatch(/damaged: image \w{12}: 1 of its layers is not there: \w{12} \(load the image again/);
  expect(found.stdout).toMatch(/found: layer \w{12}: its tree is missing \(--repair would put it aside/);
  const mended = await check("--repair");
  expect(mended.status).toBe(1);
  expect(mended.stdout).toMatch(/\n2 found, 1 mended, 1 left\n$/);
  // Lists live with it, and a container is shown that has lost its image.
  expect(await store.ok("image", "ls", "--format", "{{.Repository}} {{.Size}}")).toBe("base 0B\n");
  const [image = ""] = readdirSync(join(store.path, "images")).filter((name) => /^[0-9a-f]{64}$/.test(name));
  renameSync(join(store.path, "images", image), store.area.at("image"));
  const shown = "{{.Name}} {{.Config.Image}} {{.GraphDriver.Data.LowerDir}}";
  expect(await store.ok("inspect", "-f", shown, "user")).toBe("user base \n");
  renameSync(store.area.at("image"), join(store.path, "images", image));
  await store.ok("image", "load", "-q", "-i", archive);
  expect(await check()).toEqual(clean);
  expect(readdirSync(join(store.path, "layers")).filter((name) => name.includes(".damaged."))).toHaveLength(1);
  expect(await store.ok("start", "-a", "user")).toBe("");

  // A volume without its record may be all that somebody has: nothing is done to it.
  mkdirSync(join(store.path, "volumes/data/_data"), { recursive: true });
  writeFileSync(join(store.path, "volumes/data/_data/precious"), "1");
  const volume = await check("--repair");
  expect(volume).toMatchObject({
    status: 1,
    stdout: expect.stringMatching(/^damaged: volume data: .*volume.json is missing \(its content is in /),
  });
  expect(JSON.parse((await check("--json")).stdout)).toMatchObject([
    { what: "volume data", repairable: false, repaired: false, error: null },
  ]);
  expect(existsSync(join(store.path, "volumes/data/_data/precious"))).toBe(true);
});

test("others may be at work while it repairs", async () => {
  const archive = store.area.at("base.tar");
  await store.ok("image", "save", "-o", archive, "base");
  let isOver = false;
  const found: Ended[] = [];
  const repairs = (async () => {
    while (!isOver) found.push(await check("--repair"));
  })();
  try {
    for (let round = 0; round < 4; round++) {
      await store.ok("run", "--rm", "-v", `data${round}:/etc`, "base", "test", "-e", "/etc/motd");
      await store.ok("create", "--name", `c${round}`, "base");
      await store.ok("rm", `c${round}`);
      await store.ok("image", "rm", "base");
      await store.ok("image", "load", "-q", "-i", archive);
    }
  } finally {
    isOver = true;
    await repairs;
  }
  expect(found.filter(({ stdout }) => stdout !== clean.stdout)).toEqual([]);
  expect(await check()).toEqual(clean);
});

test("prune removes what nothing uses, and says how much that was", async () => {
  await store.image("unused", [await alone("unused")]);
  await store.ok("run", "--name", "stopped", "base", "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x >/big");
  const running = (await store.ok("run", "-d", "--name", "running", "base", "sleep", "1000")).trim();
  await store.ok("volume", "create", "named");
  const anonymous = (await store.ok("volume", "create")).trim();
  const pruned = await store.ok("system", "prune", "-f");
  expect(pruned).toMatch(/^Deleted Containers:\n[0-9a-f]{64}\n\nTotal reclaimed space: 100kB\n$/);
  const asked = await store.run(["system", "prune", "-a", "--volumes"]);
  expect(asked.stderr).toMatch(
    /^WARNING! This will remove:\n( {2}- .*\n){4}Are you sure you want to continue\? \[y\/N\] \n?$/,
  );
  expect(asked).toMatchObject({ status: 0, stdout: "" });
  expect(await store.ok("system", "prune", "-af", "--volumes")).toMatch(
    new RegExp(
      `^Deleted Volumes:\n${anonymous}\n\nDeleted Images:\nuntagged: unused:latest\n(deleted: .*\n){2}\nTotal reclaimed space: 6B\n$`,
    ),
  );
  expect(await store.ok("image", "ls", "--format", "{{.Repository}}")).toBe("base\n");
  expect(await store.ok("volume", "ls", "-q")).toBe("named\n");
  expect(await store.ok("ps", "-q", "--no-trunc")).toBe(`${running}\n`);
  expect(await store.ok("info", "-f", "{{.Images}} {{.Containers}} {{.Volumes}} {{.Root}} {{.Backing.Type}}")).toMatch(
    new RegExp(`^1 1 1 ${store.path} \\w+\n$`),
  );
  expect(await command("sh", ["-c", `test -n "$(ls ${store.path}/layers)"`])).toBe("");
});
