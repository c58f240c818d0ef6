/** The first content of a volume, when it is interrupted. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cowfsProgram } from "./harness/mounts.js";
import { Store, until } from "./harness/store.js";
import { helper } from "./harness/worker.js";

let store: Store;
const files = 800;

beforeAll(async () => {
  store = new Store();
  const tree = store.area.at("tree");
  mkdirSync(tree);
  await store.area.build(tree, {
    "data/many/%": { type: "many", count: files },
    "data/file": { data: "content", mode: 0o640, uid: 12, gid: 34 },
    "data/hard": { type: "hard", target: "data/file" },
    "data/": { mode: 0o2750, uid: 5, gid: 6 },
  });
  await store.image("base", [tree]);
  mkdirSync(store.area.at("m"));
});

afterAll(async () => {
  expect(await store.remove()).toEqual([]);
});

const volumeAt = (name: string): string => store.area.at("root/volumes", name);
const words = (name: string): string[] => ["mount", "--image", "base", "-v", `${name}:/data`, store.area.at("m")];

async function treeOf(path: string, wanted = "holes,dirtimes"): Promise<unknown> {
  return JSON.parse((await helper().call("snapshot", [path, wanted], 120_000)).text);
}

/** Mounts, which fills the volume, and compares it with what the image has. */
async function expectFilled(name: string, wanted?: string): Promise<void> {
  await store.ok(...words(name));
  expect(await treeOf(`${volumeAt(name)}/_data`, wanted)).toEqual(await treeOf(store.area.at("tree/data"), wanted));
  expect(readdirSync(volumeAt(name)).sort()).toEqual(["_data", "volume.json"]);
  await store.ok("umount", store.area.at("m"));
}

test("kill -9 in the middle leaves nothing half: the next one fills the volume", async () => {
  for (const share of [0, 0.3, 0.8]) {
    const name = `killed-${share * 10}`;
    const building = `${volumeAt(name)}/.populating`;
    const child = spawn(cowfsProgram, ["--root", store.path, ...words(name)], { detached: true, stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    const entries = (path: string): number => {
      try {
        return readdirSync(path).length;
      } catch {
        return 0; // not there yet, or not any more
      }
    };
    const isFar = (): boolean => existsSync(building) && entries(`${building}/many`) >= share * files;
    // A quick machine may have finished before anybody looks.
    await until(() => isFar() || entries(`${volumeAt(name)}/_data`) > 0, "the copy to come so far");
    if (child.exitCode === null) process.kill(-(child.pid as number), "SIGKILL");
    await ended;
    const isMoving = existsSync(`${volumeAt(name)}/.populated`);
    expect(isMoving || [0, 3].includes(entries(`${volumeAt(name)}/_data`))).toBe(true);
    await store.ok("umount", store.area.at("m"));
    await expectFilled(name);
  }
});

test("a crash while the copy moves in: the next one finishes it, and what somebody else put there stays", async () => {
  await store.ok("volume", "create", "moving");
  const [data, moving] = [`${volumeAt("moving")}/_data`, `${volumeAt("moving")}/.populated`];
  await expectFilled("moving");
  mkdirSync(moving);
  await helper().call("copy_tree", [data, moving]);
  for (const name of ["file", "hard"]) rmSync(`${data}/${name}`);
  rmSync(`${moving}/many`, { recursive: true });
  await expectFilled("moving", "holes");

  renameSync(`${data}/many`, store.area.at("away"));
  mkdirSync(moving);
  writeFileSync(`${moving}/file`, "of the image");
  writeFileSync(`${moving}/new`, "of the image");
  await store.ok(...words("moving"));
  expect(readdirSync(data).sort()).toEqual(["file", "hard", "new"]);
  await store.ok("umount", store.area.at("m"));
});

test("two commands at once fill a volume once", async () => {
  mkdirSync(store.area.at("m2"));
  const second = [...words("both").slice(0, -1), store.area.at("m2")];
  await Promise.all([store.ok(...words("both")), store.ok(...second)]);
  expect(await treeOf(`${volumeAt("both")}/_data`)).toEqual(await treeOf(store.area.at("tree/data")));
  for (const name of ["m", "m2"]) await store.ok("umount", store.area.at(name));
  expect(readdirSync(volumeAt("both")).sort()).toEqual(["_data", "volume.json"]);
});

test("create fills, once: the first container that is made decides, and what is removed before it starts does not come back", async () => {
  const other = store.area.at("other");
  mkdirSync(other);
  await store.area.build(other, { "data/other": "of another image" });
  await store.image("other", [other], { Cmd: ["none"] });
  const data = store.area.at("root/volumes/early/_data");
  const first = (await store.ok("create", "-v", "early:/data", "-v", "plain:/nothing/here", "base", "none")).trim();
  expect(await treeOf(data)).toEqual(await treeOf(store.area.at("tree/data")));
  expect(await store.ok("diff", first)).toBe("");
  const second = (await store.ok("create", "-v", "early:/data", "other")).trim();
  expect(existsSync(`${data}/other`)).toBe(false);
  for (const name of readdirSync(data)) rmSync(`${data}/${name}`, { recursive: true });
  // They cannot start, but their mounts are made.
  for (const id of [first, second]) {
    expect((await store.run(["start", "-a", id])).status).toBe(127);
    expect(readdirSync(data)).toEqual([]);
    await store.ok("cp", `${id}:/data/.`, store.area.at("copied"));
    expect(readdirSync(data)).toEqual([]);
  }
  await store.ok("rm", first, second);
});

test("a container whose volumes cannot be filled is not made", async () => {
  const tree = store.area.at("wrong");
  mkdirSync(tree);
  await store.area.build(tree, { data: "a file", "dir/file": "x", "other/sub/file": "y" });
  await store.image("wrong", [tree], { Cmd: ["none"], Volumes: { "/data": {} } });
  expect(await store.run(["create", "wrong"])).toEqual({
    status: 1,
    stdout: "",
    stderr: "cowfs: cannot mount volume over existing file, file exists /data\n",
  });
  expect(await store.ok("ps", "-aq")).toBe("");
  expect((await store.ok("volume", "ls", "-q", "-f", "label=com.docker.volume.anonymous")).trim()).toBe("");
  // Volumes that are new go with what was put into them; one that was there before stays.
  await store.ok("volume", "create", "before");
  const volumes = await store.ok("volume", "ls", "-q");
  const failed = await store.run(["create", "-v", "fresh:/other", "-v", "before:/dir", "-v", "bad:/data", "wrong"]);
  expect(failed).toMatchObject({ status: 1, stderr: expect.stringMatching(/file exists \/data\n$/) });
  expect(await store.ok("volume", "ls", "-q")).toBe(volumes);
  expect(readdirSync(`${volumeAt("before")}/_data`)).toEqual(["file"]);
});
