/** `--storage-opt size=` of containers: a limit that belongs to the writable layer for as long as the container lives. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { attempt } from "./harness/command.js";
import { Store } from "./harness/store.js";

let store: Store;

beforeAll(async () => {
  store = new Store();
  await store.busybox("base");
  await attempt("mount", ["-t", "cgroup2", "none", "/sys/fs/cgroup"]);
});

afterAll(async () => {
  await attempt("umount", ["/sys/fs/cgroup"]);
  expect(await store.remove()).toEqual([]);
});

const limited = ["--driver", "cowfs", "--storage-opt", "size=4M"];

test("a container's files end at its size, its volumes do not, and the size is there at every start", async () => {
  const script =
    "df -k / | tail -n 1; cat /dev/zero > /f; stat -c %s /f; head -c 6000000 /dev/zero > /data/g && rm /bin/ls && echo on";
  const { status, stdout, stderr } = await store.run([
    ...["run", "--name", "small", "-v", "/data", ...limited, "base"],
    ...["sh", "-c", script],
  ]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/No space left on device/) as string });
  const [disk = "", size, last] = stdout.trim().split("\n");
  expect(disk).toMatch(/^\S+ +4096 /);
  expect(Number(size)).toBeLessThanOrEqual(4 << 20);
  expect(Number(size)).toBeGreaterThan(3 << 20);
  expect(last).toBe("on");
  const [container] = JSON.parse(await store.ok("inspect", "small")) as {
    HostConfig: { StorageOpt: object };
    GraphDriver: { Data: { Quota: string } };
  }[];
  expect(container?.HostConfig.StorageOpt).toEqual({ size: "4M" });
  expect(container?.GraphDriver.Data.Quota).toMatch(/^(counted|project)$/);
  const again = await store.run(["start", "-a", "small"]);
  expect(again.stdout.trim().split("\n")[0]).toMatch(/^\S+ +4096 /);
  await store.ok("rm", "-v", "small");
});

test("what is no size is refused, and makes no container", async () => {
  for (const [word, why] of [
    ["size=lots", /size=lots is no size/],
    ["size=1", /size=1 is too little/],
    ["dm.basesize=10G", /storage option dm.basesize is unknown/],
  ] as const) {
    const { status, stderr } = await store.run(["create", "--storage-opt", word, "base"]);
    expect({ word, status }).toEqual({ word, status: 2 });
    expect(stderr).toMatch(why);
  }
  expect(await store.ok("ps", "-aq")).toBe("");
});
