/** One container, shown by cowfs and by the kernel's overlayfs in turn: both keep what the other has left. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mountAtOnce, mountOverlay } from "../src/assemble/drivers/overlay-mount.js";
import { placesOf } from "../src/store/containers.js";
import { attempt, shell } from "./harness/command.js";
import { cowfsProgram, processEnd } from "./harness/mounts.js";
import { mountInfo } from "./harness/namespace.js";
import { busyboxTree, Store } from "./harness/store.js";

let store: Store;

beforeAll(async () => {
  store = new Store();
  const tree = await busyboxTree(store.area.at("tree"));
  await shell(
    "mkdir -p dir/sub gone; echo a >dir/a; echo b >dir/sub/b; echo g >gone/g; echo old >file; echo linked >l1; ln l1 l2; echo mode >mode",
    { cwd: tree },
  );
  await store.image("base", [tree]);
});

afterAll(async () => {
  expect(await store.remove()).toEqual([]);
});

/** What a container does at each start, after it has told what it found. */
const script = `
  n=$(cat /count 2>/dev/null || echo 0); echo $((n + 1)) >/count
  cat /file /mode; stat -c '%a %h' /mode /l1 /l2; cat /l1 /l2; ls /gone 2>&1; find /dir* | sort; cat /dir*/sub/b
  echo $n >>/file; echo $n >>/l1; touch -c /l2; chmod 60$n /mode; mv /dir$n /dir$((n + 1)) 2>/dev/null || mv /dir /dir1
  rm -rf /gone; mkdir /gone; echo $n >/gone/$n
  rm -f /dir*/a; echo $n >>/dir$((n + 1))/sub/b; touch /.wh.mode /gone/.wh..wh..opq`;

async function startEach(name: string, drivers: readonly string[]): Promise<string[]> {
  await store.ok("create", "--name", name, "--driver", drivers[0] as string, "base", "sh", "-c", script);
  const said: string[] = [];
  for (const driver of drivers) {
    said.push(await store.ok("start", "-a", "--driver", driver, name));
    expect(await store.ok("inspect", "--format", "{{.GraphDriver.Name}}", name)).toBe(`${driver}\n`);
  }
  said.push(await store.ok("diff", name));
  return said;
}

test("a container that changes its driver at each start is as one that does not", async () => {
  const kept = await startEach("kept", ["cowfs", "cowfs", "cowfs"]);
  expect(kept[2]).toContain("old\n0\n1\nmode\n601 1\n644 2\n");
  expect(await startEach("turns", ["cowfs", "overlay2", "cowfs"])).toEqual(kept);
  expect(await startEach("other", ["overlay2", "cowfs", "overlay2"])).toEqual(kept);
});

test("the kernel mounts overlay2, and a driver is recorded", async () => {
  const run = ["run", "--name", "seen", "--driver", "overlay2", "base", "grep", "-m1", " / / ", "/proc/self/mountinfo"];
  expect(await store.ok(...run)).toContain(" - overlay ");
  // Without a word it stays what it was.
  expect(await store.ok("start", "-a", "seen")).toContain(" - overlay ");
  expect(await store.ok("start", "-a", "--driver", "cowfs", "seen")).toContain(" - fuse.cowfs ");
  expect(await store.ok("start", "-a", "seen")).toContain(" - fuse.cowfs ");
});

test("a driver of cowfs that was killed: overlay2 shows all that was written", async () => {
  const words = [
    "run",
    "-d",
    "--name",
    "killed",
    "base",
    "sh",
    "-c",
    "echo more >>/file; chmod 600 /mode; exec sleep 600",
  ];
  const id = (await store.ok(...words)).trim();
  const { merged, state } = placesOf(store.root, id);
  for (const file of ["/file", "/mode"])
    await store.ok(
      "exec",
      "killed",
      "sh",
      "-c",
      `until [ ${file} -nt /etc/motd ] || [ "$(stat -c %a ${file})" = 600 ]; do sleep 0.05; done`,
    );
  const [driver = 0] = (await attempt("pgrep", ["-f", `driver ${merged}`])).stdout.split("\n").map(Number);
  process.kill(driver, "SIGKILL");
  expect(await processEnd(driver, 60_000)).toBe(true);
  expect(JSON.parse(readFileSync(state, "utf8"))).toMatchObject({ status: "running" });
  await store.ok("stop", "-t", "0", "killed");
  expect(mountInfo().filter(({ mountpoint }) => mountpoint === merged)).toEqual([]);
  await store.ok("start", "--driver", "overlay2", "killed");
  expect(await store.ok("exec", "killed", "sh", "-c", "cat /file; stat -c %a /mode")).toBe("old\nmore\nmore\n600\n");
  await store.ok("rm", "-f", "killed");
});

test("overlay2 goes on in a copy of the data root", async () => {
  const words = "cat /mode /l1 /l2; ls /other; chmod 600 /mode; echo more >>/l1; touch -c /l2; mv /dir /other";
  await store.ok("create", "--name", "moved", "--driver", "overlay2", "base", "sh", "-c", words);
  await store.run(["start", "-a", "moved"]);
  const copy = store.area.at("copy");
  await shell(`cp -a ${store.path} ${copy}`);
  const again = await attempt(cowfsProgram, ["--root", copy, "start", "-a", "moved"]);
  expect(again.stdout).toBe("mode\nlinked\nmore\nlinked\nmore\na\nsub\n");
});

test("vfs misses no change in a copy of the data root, though everything there was changed when it was copied", async () => {
  await store.ok("create", "--name", "whole", "--driver", "vfs", "base", "sh");
  const id = (await store.ok("inspect", "--format", "{{.Id}}", "whole")).trim();
  const copy = store.area.at("copies");
  // The stamp of the copying is copied last.
  await shell(
    `cd ${store.path}/containers/${id}/tree; touch -r mode ../when; echo edom >mode; touch -r ../when mode
     cp -a ${store.path} ${copy}; cd ${copy}/containers/${id}; cp -a copied last; mv last copied`,
  );
  const changes = await attempt(cowfsProgram, ["--root", copy, "diff", "whole"]);
  expect(changes.stdout).toBe("C /mode\n");
});

test("before Linux 6.7 overlayfs takes all layers at once", async () => {
  await shell("mkdir -p o/1 o/2 o/upper o/work o/merged; echo 1 >o/1/file; echo 2 >o/2/file; echo 2 >o/2/two", {
    cwd: store.area.path,
  });
  const at = (name: string): string => store.area.at("o", name);
  const lowers = [at("1"), at("2")];
  const plan = { lowers, upper: at("upper"), work: at("work"), mountpoint: at("merged") };
  expect(mountAtOnce(plan)).toBe(0);
  expect(await shell("cat merged/file merged/two; umount merged", { cwd: at("") })).toBe("1\n2\n");
  const many = { ...plan, lowers: Array<string>(501).fill(at("1")) };
  expect(mountOverlay(many)).toBe("it takes 500 layers, and these are 501");
});

test("what cannot be switched says so, and stays what it was", async () => {
  await store.ok("run", "-d", "--name", "runs", "base", "sleep", "600");
  const running = await store.run(["start", "--driver", "overlay2", "runs"]);
  expect(running).toMatchObject({ status: 1, stderr: "cowfs: container runs is running: stop it first\n" });
  const unknown = await store.run(["start", "--driver", "aufs", "runs"]);
  expect(unknown.stderr).toContain("the storage driver aufs is unknown: choose one of cowfs, overlay2");
  expect(await store.ok("inspect", "--format", "{{.Driver}}", "runs")).toBe("cowfs\n");
  await store.ok("rm", "-f", "runs");
  const limited = ["create", "--name", "limited", "--storage-opt", "size=1m"];
  expect(
    await store.run([...limited, "--driver", "overlay2", "-v", "fresh:/data", "-v", "/own", "base"]),
  ).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(
      /^cowfs: the storage driver overlay2 cannot keep a size here: that takes project quotas/,
    ) as string,
  });
  expect(await store.ok("volume", "ls", "-q")).toBe("");
  expect(await store.run([...limited, "--driver", "vfs", "base"])).toMatchObject({
    status: 1,
    stderr: "cowfs: the storage driver vfs has no --storage-opt size: use cowfs or overlay2\n",
  });
  await store.ok(...limited, "base");
  const toOverlay = await store.run(["start", "--driver", "overlay2", "limited"]);
  expect(toOverlay).toMatchObject({ status: 1, stderr: expect.stringContaining("project quotas") as string });
  expect(await store.ok("inspect", "--format", "{{.Driver}}", "limited")).toBe("cowfs\n");
  const btrfs = await store.run(["run", "--driver", "btrfs", "base"]);
  expect(btrfs).toMatchObject({
    status: 125,
    stderr: "cowfs: the storage driver btrfs cannot be used: the data root does not lie on btrfs\n",
  });
});
