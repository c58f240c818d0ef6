/** `--storage-opt size=` of containers: a limit that belongs to the writable layer for as long as the container lives. */
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { attempt, command } from "./harness/command.js";
import { withProjects } from "./harness/projects.js";
import { Store } from "./harness/store.js";

const MiB = 1 << 20;
const limited = ["--storage-opt", "size=4M"];
/** A shell script that fills the root, and says how far that went. */
const fill = "cat /dev/zero >/f; stat -c %s /f";

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

test("a container's files end at its size, its volumes do not, and the size is there at every start", async () => {
  const script = `df -k / | tail -n 1; ${fill}; head -c 6000000 /dev/zero > /data/g && rm /bin/ls && echo on`;
  const { status, stdout, stderr } = await store.run([
    ...["run", "--name", "small", "-v", "/data", "--driver", "cowfs", ...limited, "base"],
    ...["sh", "-c", script],
  ]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/No space left on device/) as string });
  const [disk = "", size, last] = stdout.trim().split("\n");
  expect(disk).toMatch(/^\S+ +4096 /);
  expect(Number(size)).toBeLessThanOrEqual(4 * MiB);
  expect(Number(size)).toBeGreaterThan(3 * MiB);
  expect(last).toBe("on");
  const [container] = JSON.parse(await store.ok("inspect", "small")) as {
    HostConfig: { StorageOpt: object };
    GraphDriver: { Data: { Quota: string } };
  }[];
  expect(container?.HostConfig.StorageOpt).toEqual({ size: "4M" });
  expect(container?.GraphDriver.Data.Quota).toMatch(/^(counted|project)$/);
  const again = await store.run(["start", "-a", "small"]);
  expect(again.stdout.trim().split("\n")[0]).toMatch(/^\S+ +4096 /);
  // A copy that does not fit leaves what was there, and nothing beside it.
  const big = store.area.at("big");
  writeFileSync(big, Buffer.alloc(6 * MiB, "b"));
  await store.ok("cp", "small:/etc/motd", store.area.at("motd"));
  for (const target of ["small:/etc/motd", "small:/etc/new"]) {
    const failed = await store.run(["cp", big, target]);
    expect(failed).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^cowfs: small:\S+: the copy failed at \w+: \w+: ENOSPC\n$/m) as string,
    });
  }
  expect(await store.ok("diff", "small")).not.toMatch(/\/etc\//);
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

for (const type of ["ext4", "xfs"] as const) {
  describe(`by project quotas of ${type}`, () => {
    let area: Area;
    let missing: string | undefined;
    let disk: Store;

    beforeAll(async () => {
      area = new Area();
      missing = await withProjects(area, type);
      if (missing !== undefined) return;
      disk = new Store(area, area.at("disk/root"));
      await disk.busybox("base");
    });

    afterAll(async () => {
      if (missing === undefined) await area.unmountPlace(area.at("disk"));
      expect(await area.remove()).toEqual([]);
    });

    /** The limits of projects, in bytes. */
    const limits = async (): Promise<number[]> => {
      const report = await command("xfs_quota", ["-x", "-f", "-c", "report -p -b -n -N", area.at("disk")]);
      const lines = report.split("\n").map((line) => line.trim().split(/ +/));
      return lines.map((words) => Number(words[3]) * 1024).filter((limit) => limit > 0);
    };

    for (const driver of ["cowfs", "overlay2"] as const) {
      test(`${driver}: a container ends at its size at every start, and nothing else does`, async ({ skip }) => {
        if (missing !== undefined) skip(missing);
        const larger = "head -c 6000000 /dev/zero >/f";
        await disk.ok(...["create", "--name", "other", "--driver", driver, "base"], ...["sh", "-c", larger]);
        const script = `df -k / | tail -n 1; { ${fill}; } 2>&1; rm -f /f /bin/ls; echo it fits >/g; cat /g`;
        const ran = await disk.run([
          ...["run", "--name", "small", "--driver", driver, "-v", "/data", ...limited, "base"],
          ...["sh", "-c", script],
        ]);
        expect(ran).toMatchObject({ status: 0, stderr: "" });
        const [line, why, size, last] = ran.stdout.trim().split("\n");
        expect(line).toMatch(/^\S+ +4096 /);
        expect(why).toMatch(
          driver === "cowfs" || type === "xfs" ? /No space left on device/ : /No space left on device|quota exceeded/i,
        );
        expect(Number(size)).toBeLessThanOrEqual(4 * MiB);
        expect(Number(size)).toBeGreaterThan(3 * MiB);
        expect(last).toBe("it fits");
        expect(await disk.ok("inspect", "--format", "{{.GraphDriver.Data.Quota}}", "small")).toBe("project\n");
        await disk.ok("start", "-a", "other");
        // Full, it starts again, as it does with the other driver, where it is as full.
        const again = "(echo >>/etc/motd; mkdir -p /d/d; cat /dev/zero >/f) 2>/dev/null; true";
        await disk.ok("run", "--name", "full", "--driver", driver, ...limited, "base", "sh", "-c", again);
        for (const next of [driver, driver === "cowfs" ? "overlay2" : "cowfs", driver]) {
          const more = await disk.run(["start", "-a", "--driver", next, "full"]);
          expect({ next, more }).toMatchObject({ next, more: { status: 0, stdout: "" } });
        }
        expect(await limits()).toEqual([4 * MiB, 4 * MiB]);
        await disk.ok("rm", "-v", "small", "full", "other");
        expect(await limits()).toEqual([]);
      });
    }

    test("containers that are made and removed side by side keep their own limits", async ({ skip }) => {
      if (missing !== undefined) skip(missing);
      for (const round of [1, 2]) {
        const names = ["a", "b", "c", "d"].map((name) => `${name}${round}`);
        const old = round === 1 ? [] : names.map((name) => name.replace("2", "1"));
        await Promise.all([
          ...names.map((name) => disk.ok("create", "--name", name, "--driver", "overlay2", ...limited, "base")),
          ...old.map((name) => disk.ok("rm", name)),
        ]);
        expect(await limits()).toEqual(names.map(() => 4 * MiB));
      }
      await disk.ok("rm", ...["a2", "b2", "c2", "d2"]);
    });
  });
}
