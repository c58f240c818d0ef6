/** Layers that images share are stored once, and the commands say so; what names and removals do to them. */
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { command, shell } from "./harness/command.js";
import { Store } from "./harness/store.js";

let store: Store;

beforeEach(() => {
  store = new Store();
});

afterEach(async () => {
  expect(await store.remove()).toEqual([]);
});

/** A docker-archive of an image whose layers are the directories `layers` of the area; the last step of its history leaves no layer. */
async function archive(name: string, layers: readonly string[]): Promise<string> {
  await shell(
    `mkdir -p made
     for layer in ${layers.join(" ")}; do [ -e made/$layer.tar ] || tar --sort=name -C $layer -cf made/$layer.tar .; done
     python3 - "${name}" ${layers.join(" ")} <<'PY'
import hashlib, json, sys
name, layers = sys.argv[1], sys.argv[2:]
digest = lambda path: hashlib.sha256(open(path, "rb").read()).hexdigest()
history = [{"created": "2026-01-0%dT00:00:00Z" % (i + 1), "created_by": "/bin/sh -c step " + layer} for i, layer in enumerate(layers)]
history.append({"created": "2026-01-09T00:00:00Z", "created_by": "/bin/sh -c #(nop) LABEL app=" + name, "empty_layer": True})
config = json.dumps({"architecture": "amd64", "os": "linux", "created": "2026-01-09T00:00:00Z", "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": {"app": name}},
  "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest("made/%s.tar" % layer) for layer in layers]}, "history": history})
open("made/config.json", "w").write(config)
open("made/manifest.json", "w").write(json.dumps([{"Config": "config.json", "RepoTags": [name + ":latest"], "Layers": [layer + ".tar" for layer in layers]}]))
PY
     tar -C made -cf ${name}.tar config.json manifest.json ${layers.map((layer) => `${layer}.tar`).join(" ")}`,
    { cwd: store.area.path },
  );
  return store.area.at(`${name}.tar`);
}

/** What people see: output comes by the byte. */
const seen = async (...words: string[]): Promise<string> => Buffer.from(await store.ok(...words), "latin1").toString();

const diskUse = async (): Promise<number> => Number((await command("du", ["-sk", store.path])).split("\t")[0]) * 1024;

interface Step {
  readonly layer: string | null;
  readonly createdBy: string;
  readonly size: number;
  readonly sharedWith: readonly string[];
}

const sizes = { base: 6_000_000, packages: 3_000_000, pip: 1_500_000, source1: 200_000, source2: 90_000 };

test("two images of five layers share three: on the disk, in history, in df", async () => {
  const lines = Object.entries(sizes).map(
    ([name, size]) => `mkdir ${name}; head -c ${size} /dev/urandom >${name}/${name}.bin`,
  );
  await shell(lines.join("\n"), { cwd: store.area.path });
  await store.ok("image", "load", "-q", "-i", await archive("one", ["base", "packages", "pip", "source1"]));
  const before = await diskUse();
  await store.ok("image", "load", "-q", "-i", await archive("two", ["base", "packages", "pip", "source2"]));
  const growth = (await diskUse()) - before;
  expect(growth).toBeGreaterThanOrEqual(sizes.source2);
  expect(growth).toBeLessThan(sizes.source2 + 150_000);
  expect(readdirSync(`${store.path}/layers`)).toHaveLength(5);

  const steps = JSON.parse(await store.ok("image", "history", "--json", "one")) as Step[];
  expect(steps.map(({ createdBy, size, sharedWith }) => [createdBy.split(" ").at(-1), size, sharedWith])).toEqual([
    ["app=one", 0, []],
    ["source1", sizes.source1, []],
    ["pip", sizes.pip, ["two:latest"]],
    ["packages", sizes.packages, ["two:latest"]],
    ["base", sizes.base, ["two:latest"]],
  ]);
  const table = await seen("image", "history", "one");
  expect(table).toMatch(/^LAYER .*CREATED BY .*SIZE .*SHARED WITH\n- .*LABEL app=one +0B +-\n/);
  expect(table).toMatch(/RUN step base +6MB +(░|:)+ +two:latest\n/);
  expect(table).toMatch(/4 layers, 10\.7MB: \S 200kB of its own, \S 10\.5MB shared with other images\n$/);

  const all = Object.values(sizes).reduce((sum, size) => sum + size);
  const [images] = JSON.parse(await store.ok("system", "df", "--json")) as {
    type: string;
    size: number;
    total: number;
    reclaimable: number;
  }[];
  expect(images).toMatchObject({ type: "Images", total: 2, active: 0, size: all, reclaimable: all });
  const shared = sizes.base + sizes.packages + sizes.pip;
  const details = JSON.parse(await store.ok("system", "df", "-v", "--json")) as { images: object[] };
  expect(details.images).toMatchObject([
    { names: ["two:latest"], size: shared + sizes.source2, sharedSize: shared, uniqueSize: sizes.source2 },
    { names: ["one:latest"], size: shared + sizes.source1, sharedSize: shared, uniqueSize: sizes.source1 },
  ]);
  expect(await seen("system", "df")).toMatch(
    /TYPE .*RECLAIMABLE.*\nImages +2 +0 +10\.79MB +10\.79MB \(100%\) +(░|:)+\n/,
  );
  expect(await seen("system", "df", "-v")).toMatch(/two +latest +\w{12} .*10\.59MB +10\.5MB +90kB +0 /);
  expect(
    await store.ok("image", "inspect", "-f", '{{index .Config.Labels "app"}} {{len .RootFS.Layers}} {{.Size}}', "two"),
  ).toBe(`two 4 ${shared + sizes.source2}\n`);

  // What is not shared goes with its image.
  const removed = (await store.ok("image", "rm", "two")).trimEnd().split("\n");
  expect(removed.map((line) => line.replace(/sha256:.*/, ""))).toEqual([
    "Untagged: two:latest",
    "Deleted: ",
    "Deleted: ",
  ]);
  expect(await diskUse()).toBeLessThan(before + 50_000);
  await store.ok("image", "rm", "one");
  expect(readdirSync(`${store.path}/layers`)).toEqual([]);
});

test("names: ls, filters, tag, rm", async () => {
  const tree = store.area.at("tree");
  await shell("mkdir tree other; echo x >tree/x; echo y >other/y", { cwd: store.area.path });
  const first = await store.image("group/app:1", [tree], { Labels: { kind: "a" } });
  const second = await store.image("tool", [tree, store.area.at("other")], { Labels: { kind: "b" } });
  await store.ok("image", "tag", "group/app:1", "group/app:latest");
  const names = async (...words: string[]): Promise<string[]> =>
    (await store.ok("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", ...words))
      .split("\n")
      .filter(Boolean)
      .sort();
  expect(await names()).toEqual(["group/app:1", "group/app:latest", "tool:latest"]);
  expect(await names("-f", "label=kind=a")).toEqual(["group/app:1", "group/app:latest"]);
  expect(await names("-f", "reference=*/app:*")).toEqual(["group/app:1", "group/app:latest"]);
  expect(await names("tool")).toEqual(["tool:latest"]);
  expect(await store.ok("image", "ls", "-q", "--no-trunc", "group/app")).toBe(`${first}\n`);
  expect(await store.ok("image", "ls", "--format", "json", "tool")).toMatch(
    /^\{"Repository":"tool","Tag":"latest",.*\}\n$/,
  );
  const wrong = await store.run(["image", "ls", "-f", "colour=red"]);
  expect(wrong).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/unknown filter "colour=red": known are dangling=,/),
  });
  const field = await store.run(["image", "ls", "--format", "{{.Name}}"]);
  expect(field).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/unknown field \.Name: there are \.Repository/),
  });
  const missing = await store.run(["image", "inspect", "tol"]);
  expect(missing).toMatchObject({ status: 1, stderr: expect.stringMatching(/^cowfs: .*tol.*tool:latest.*\n$/) });

  // What there is, is shown all the same.
  const some = await store.run(["image", "inspect", "-f", "{{.Id}}", "tol", "docker.io/library/tool"]);
  expect(some).toMatchObject({ status: 1, stdout: `${second}\n` });

  // A name goes alone as long as there is another, however it is written.
  await store.ok("image", "tag", "group/app:1", "localhost/own");
  expect(await store.ok("image", "rm", "own")).toBe("Untagged: localhost/own:latest\n");
  expect(await store.ok("image", "rm", "docker.io/group/app:1")).toBe("Untagged: group/app:1\n");
  // A name that moves leaves a dangling image.
  await store.ok("image", "tag", "tool", "group/app:latest");
  expect(await store.ok("image", "ls", "-q", "--no-trunc", "-f", "dangling=true")).toBe(`${first}\n`);
  const several = await store.run(["image", "rm", second]);
  expect(several).toMatchObject({ status: 1, stderr: expect.stringMatching(/several repositories/) });
  const declined = await store.run(["image", "prune"]);
  expect(declined).toMatchObject({
    status: 0,
    stderr: expect.stringMatching(/^WARNING! .*\nAre you sure .*\[y\/N\] /),
  });
  expect(await names("-f", "dangling=true")).toHaveLength(1);
  expect(await store.ok("image", "prune", "-f")).toBe(
    `Deleted Images:\ndeleted: ${first}\n\nTotal reclaimed space: 0B\n`,
  );
  expect(await store.ok("image", "rm", "-f", second)).toMatch(
    /^Untagged: group\/app:latest\nUntagged: tool:latest\nDeleted: /,
  );
  expect(readdirSync(`${store.path}/images`)).toEqual(["names.json"]);
});

test("an image that a container uses stays", async () => {
  const id = await store.busybox("base");
  await store.ok("create", "--name", "user", "base", "true");
  expect(await store.run(["image", "rm", "base"])).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^cowfs: .*base.* is used by the stopped container user \(\w{12}\): .*\n$/),
  });
  expect(await store.ok("image", "prune", "-af")).toBe("Total reclaimed space: 0B\n");
  const forced = await store.run(["image", "rm", "-f", "base"]);
  expect(forced).toMatchObject({
    status: 0,
    stdout: "Untagged: base:latest\n",
    stderr: expect.stringMatching(/stays/),
  });
  expect(await store.ok("start", "-a", "user")).toBe("");
  await store.ok("rm", "user");
  expect(await store.ok("image", "prune", "-f")).toMatch(new RegExp(`^Deleted Images:\ndeleted: ${id}\n`));
  expect(readFileSync(`${store.path}/images/names.json`, "utf8")).toContain('"names": {}');
  expect(readdirSync(`${store.path}/layers`)).toEqual([]);
});
