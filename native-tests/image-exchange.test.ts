/** Images go to podman, skopeo and umoci and come back: the same ids, and the same trees to the last attribute. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { attempt, command, shell } from "./harness/command.js";
import { compareTrees } from "./harness/merged.js";
import { cowfs, cowfsProgram, mountStack } from "./harness/mounts.js";
import { busyboxTree, Store } from "./harness/store.js";
import { helper } from "./harness/worker.js";

let store: Store;
let id: string;

beforeEach(async () => {
  store = new Store();
  const at = store.area.path;
  await busyboxTree(store.area.at("base"));
  await shell(
    `mkdir -p base/data/old/deep base/data/whole base/usr/lib; echo 1 >base/data/old/deep/file; echo 2 >base/data/whole/below; echo 3 >base/data/gone
     echo linked >base/data/first; ln base/data/first base/data/second; ln base/data/first base/usr/third
     setfattr -n user.note -v "a b" base/data/first; setfattr -n user.binary -v 0s/wAB base/data/old
     cp base/bin/busybox base/bin/setuid; chown 123:3000001 base/bin/setuid; chmod 6711 base/bin/setuid
     cp base/bin/busybox base/bin/capable; setcap cap_net_raw+ep base/bin/capable
     chmod 1777 base/tmp; ln -s /etc/passwd base/absolute; ln -s ../../../outside base/outward; mkfifo base/fifo
     touch -d 1971-02-03T04:05:06 base/data/first; chmod 700 base/data/old; chown 5:6 base/data/old
     cp -a base expected
     mkdir -p top/data/whole top/data/old; mknod top/data/gone c 0 0; mknod top/data/old/deep c 0 0
     chmod 700 top/data/old; chown 5:6 top/data/old; setfattr -n user.binary -v 0s/wAB top/data/old
     setfattr -n trusted.overlay.opaque -v y top/data/whole; echo new >top/data/whole/above; echo added >top/data/added
     rm -r expected/data/gone expected/data/old/deep expected/data/whole; cp -a top/data/whole expected/data/; cp -a top/data/added expected/data/
     setfattr -x trusted.overlay.opaque expected/data/whole
     touch -d 1972-02-03 top/data/old expected/data/old top/data/whole expected/data/whole top/data top expected/data expected base`,
    { cwd: at },
  );
  id = await store.image("exchange/app:1", [store.area.at("base"), store.area.at("top")], {
    Cmd: ["sh", "-c", "cat /data/added /data/whole/*"],
  });
});

afterEach(async () => {
  expect(await store.remove()).toEqual([]);
});

/** All of a tree, but for its root, which each program makes as it likes. */
async function seen(path: string): Promise<Record<string, string>> {
  const answer = await helper().call("snapshot", [path, ""], 120_000);
  const { ".": _, ...rest } = JSON.parse(answer.text) as Record<string, string>;
  return rest;
}

/** What an image shows through cowfs. */
async function shown(other: Store, word: string): Promise<Record<string, string>> {
  const at = await other.area.directory("merged");
  const lowers = await other.ok("image", "inspect", "-f", "{{.GraphDriver.Data.LowerDir}}", word);
  await mountStack("cowfs", { lowers: lowers.trim().split(":") }, at);
  try {
    return await seen(at);
  } finally {
    await cowfs(["umount", at]);
  }
}

const has = (name: string): boolean => existsSync(`/usr/bin/${name}`);

test("an image is saved, and is the same when it is loaded again, in each format", async () => {
  const expected = await seen(store.area.at("expected"));
  expect(compareTrees(expected, await shown(store, "exchange/app:1"))).toBe("");
  for (const [format, words] of [
    ["docker-archive", []],
    ["docker-archive", ["--compress", "gzip"]],
    ["oci-archive", []],
    ["oci-archive", ["--compress", "gzip"]],
    ["oci-dir", []],
  ] as const) {
    const file = store.area.at(`saved-${format}-${words.length}`);
    await store.ok("image", "save", "--format", format, ...words, "-o", file, "exchange/app:1");
    const other = ["--root", store.area.at(`root-${format}-${words.length}`)];
    const loaded = await cowfs([...other, "image", "load", "-q", "-i", file], { timeout: 60_000 });
    expect({ format, ...loaded }).toMatchObject({ status: 0 });
    const found = await cowfs([...other, "image", "inspect", "-f", "{{.Id}} {{.RepoTags}}", "exchange/app:1"]);
    expect(found.stdout).toBe(`${id} [exchange/app:1]\n`);
  }
  // The same image gives the same bytes, on stdout too, but not on a terminal.
  await shell(
    `${cowfsProgram} --root root image save exchange/app:1 | cmp - saved-docker-archive-0
     ! script -qec "${cowfsProgram} --root root image save exchange/app:1" /dev/null >said
     grep -q 'not written to a terminal' said; [ $(wc -c <said) -lt 200 ]`,
    { cwd: store.area.path },
  );
  expect(readdirSync(`${store.path}/tmp`)).toEqual([]);
});

test("a changed layer is not saved, and nothing half-written is left", async () => {
  const path = (await store.ok("image", "inspect", "-f", "{{(index .Layers 0).Path}}", id)).trim();
  await shell(`cd ${path}/..; mv archive.gz kept; mkdir archive.gz`);
  const unread = await store.run(["image", "save", "-o", store.area.at("out.tar"), id]);
  expect(unread).toMatchObject({ status: 1, stderr: expect.stringMatching(/\/archive.gz cannot be read: EISDIR/) });
  await shell(`cd ${path}/..; rmdir archive.gz; mv kept archive.gz; echo 9 >${path}/data/gone`);
  const { status, stderr } = await store.run(["image", "save", "-o", store.area.at("out.tar"), id]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^cowfs: the layer \w{12} is no longer what was loaded.*\n$/);
  expect(readdirSync(store.area.path).filter((name) => name.startsWith("out.tar"))).toEqual([]);
  const there = await store.run(["image", "save", "--format", "oci-dir", "-o", store.path, id]);
  expect(there).toMatchObject({ status: 1, stderr: expect.stringMatching(/is not empty/) });
  expect(await store.run(["image", "save", "-o", store.area.at("out.tar"), "nothing"])).toMatchObject({ status: 1 });
});

describe.skipIf(!has("podman"))("podman (needs podman)", () => {
  // Two limits, which podman would raise beyond what it may; runc works with whatever cgroups there are.
  const limits = ["--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000", "--network", "none"];

  async function podman(...words: string[]): Promise<string> {
    const [root, run] = [store.area.at("podman"), store.area.at("podman-run")];
    const own = ["--root", root, "--runroot", run, "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"];
    return await command("podman", [...own, "--events-backend", "none", "--runtime", "runc", ...words], {
      timeout: 120_000,
    });
  }

  afterEach(async () => {
    await podman("image", "umount", "--all", "--force");
    // It mounts its own directory, so that what is below is private.
    await attempt("umount", [store.area.at("podman/overlay")]);
  });

  test("loads, shows and runs what cowfs saves", async () => {
    const name = "localhost/exchange/app:1";
    for (const format of ["docker-archive", "oci-archive"]) {
      const file = store.area.at(format);
      await store.ok("image", "save", "--format", format, "-o", file, "exchange/app:1");
      expect(await podman("load", "-q", "-i", file)).toBe(`Loaded image: ${name}\n`);
      expect((await podman("image", "inspect", "--format", "{{.Id}}", name)).trim()).toBe(id.slice("sha256:".length));
    }
    const mounted = (await podman("image", "mount", name)).trim();
    expect(compareTrees(await seen(store.area.at("expected")), await seen(mounted))).toBe("");
    expect(await podman("run", "--rm", ...limits, name)).toBe("added\nnew\n");
  });

  test("what it saves is loaded, the same, and runs", async () => {
    await store.ok("image", "save", "-o", store.area.at("first.tar"), "exchange/app:1");
    await podman("load", "-q", "-i", store.area.at("first.tar"));
    // A layer of podman's own making on top.
    await podman(
      "run",
      "--name",
      "changed",
      ...limits,
      "localhost/exchange/app:1",
      "sh",
      "-c",
      "rm /data/added; echo by podman >/data/podman",
    );
    await podman("commit", "-q", "changed", "localhost/exchange/app:2");
    for (const format of ["docker-archive", "oci-archive"]) {
      const file = store.area.at(`podman-${format}`);
      await podman("save", "-q", "--format", format, "-o", file, "localhost/exchange/app:2");
      await store.ok("image", "load", "-q", "-i", file);
      const mounted = (await podman("image", "mount", "localhost/exchange/app:2")).trim();
      expect(compareTrees(await seen(mounted), await shown(store, "localhost/exchange/app:2"))).toBe("");
      // Its lower layers are those that are here already.
      expect(readdirSync(`${store.path}/layers`)).toHaveLength(3);
      const ran = await store.ok("run", "--rm", "localhost/exchange/app:2", "sh", "-c", "cat /data/podman; ls /data");
      expect(ran).toBe("by podman\nfirst\nold\npodman\nsecond\nwhole\n");
      await store.ok("image", "rm", "localhost/exchange/app:2");
    }
  });
});

test.skipIf(!has("skopeo") || !has("umoci"))("skopeo and umoci read what is saved (needs skopeo, umoci)", async () => {
  await store.ok(
    "image",
    "save",
    "--format",
    "oci-dir",
    "--compress",
    "gzip",
    "-o",
    store.area.at("oci"),
    "exchange/app:1",
  );
  await shell(
    `umoci unpack --image oci:exchange/app:1 unpacked
     skopeo copy -q oci:oci:exchange/app:1 docker-archive:copied.tar:exchange/app:3`,
    { cwd: store.area.path },
  );
  expect(compareTrees(await seen(store.area.at("expected")), await seen(store.area.at("unpacked/rootfs")))).toBe("");
  await store.ok("image", "load", "-q", "-i", store.area.at("copied.tar"));
  expect((await store.ok("image", "inspect", "-f", "{{.Id}}", "exchange/app:3")).trim()).toBe(id);
  expect(statSync(store.area.at("oci")).isDirectory()).toBe(true);
});
