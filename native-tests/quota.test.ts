/** `size=`: a limit on the upper, kept by the driver or by the project quota of its file system. */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Area, lacking } from "./harness/area.js";
import { attempt, type Ended, shell } from "./harness/command.js";
import { cowfs } from "./harness/mounts.js";
import { withProjects } from "./harness/projects.js";

const MiB = 1 << 20;
const limit = 10 * MiB;
/** What a file system may need beside the data, to say where they are. */
const slack = 256 << 10;

interface Disk {
  readonly name: string;
  readonly quota: "counted" | "project";
  /** Makes the file system; says why this kernel has none. */
  readonly make: (area: Area) => Promise<string | undefined>;
}

async function plain(area: Area, place: "tmpfs:96M" | "ext4:96M"): Promise<undefined> {
  await area.directory("disk", place);
}

const disks: readonly Disk[] = [
  { name: "tmpfs", quota: "counted", make: (area) => plain(area, "tmpfs:96M") },
  { name: "ext4", quota: "counted", make: (area) => plain(area, "ext4:96M") },
  {
    name: "ext4 with prjquota",
    quota: "project",
    make: (area) => withProjects(area, "ext4"),
  },
  {
    name: "xfs with pquota",
    quota: "project",
    make: (area) => withProjects(area, "xfs"),
  },
];

for (const disk of disks) {
  describe(`a limit on ${disk.name}`, () => {
    let area: Area;
    let missing: string | undefined;

    beforeAll(async () => {
      area = new Area();
      missing = await disk.make(area);
      if (missing !== undefined) return;
      mkdirSync(area.at("lower/d/e"), { recursive: true });
      writeFileSync(area.at("lower/three"), Buffer.alloc(3 * MiB, "3"));
      writeFileSync(area.at("lower/twelve"), Buffer.alloc(12 * MiB, "12"));
      for (const name of ["small", "d/x", "d/e/y"]) writeFileSync(area.at("lower", name), name);
    });

    afterAll(async () => {
      if (missing === undefined) await area.unmountPlace(area.at("disk"));
      expect(await area.remove()).toEqual([]);
    });

    const mount = async (name: string, ...options: string[]): Promise<Ended> => {
      mkdirSync(area.at(name), { recursive: true });
      const upper = area.at("disk", name);
      return await cowfs(["mount", "--lower", area.at("lower"), "--upper", upper, ...options, area.at(name)]);
    };
    /** Returns when the driver has let go of the disk. */
    const unmount = async (name: string): Promise<void> => {
      expect(await cowfs(["umount", area.at(name)])).toEqual({ status: 0, stdout: "", stderr: "" });
    };
    const room = async (name: string): Promise<{ size: number; used: number; free: number }> => {
      const line = await shell(`df -B1 --output=size,used,avail ${area.at(name)} | tail -n 1`);
      const [size = 0, used = 0, free = 0] = line.trim().split(/ +/).map(Number);
      return { size, used, free };
    };
    /** A limited mount, empty. */
    const limited = async (name: string, use: (run: (script: string) => Promise<Ended>) => Promise<void>) => {
      expect(await mount(name, "--storage-opt", "size=10M")).toEqual({ status: 0, stdout: "", stderr: "" });
      try {
        await use((script) => attempt("/bin/bash", ["-c", script], { cwd: area.at(name) }));
      } finally {
        if (existsSync(area.at("disk", name))) await unmount(name);
        for (const left of [name, `.${name}.work`]) rmSync(area.at("disk", left), { recursive: true, force: true });
      }
    };
    const full = (result: Ended): void => {
      expect(result.status).not.toBe(0);
      expect(result.stderr).toMatch(/No space left on device/);
    };
    const done = ({ status, stderr }: Ended): void => {
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    };

    test("writing ends there, df says so, and what is removed or cut off gives room again", async ({ skip }) => {
      if (missing !== undefined) skip(missing);
      await limited("full", async (run) => {
        const { size, free } = await room("full");
        expect(size).toBe(limit);
        expect(free).toBeGreaterThan(limit - slack);
        full(await run("cat /dev/zero > f"));
        const { size: written } = statSync(area.at("full/f"));
        expect(written).toBeLessThanOrEqual(limit);
        expect(written).toBeGreaterThan(limit - slack);
        expect((await room("full")).free).toBeLessThan(slack);
        // What has its blocks can be written again.
        done(await run("head -c 5M /dev/urandom | dd of=f bs=1M iflag=fullblock conv=notrunc status=none"));
        full(await run("head -c 1M /dev/zero > g"));
        done(await run("truncate -s 4M f"));
        expect((await room("full")).free).toBeGreaterThan(6 * MiB - slack);
        done(await run("head -c 5M /dev/zero > g; rm g"));
        // A file that is open keeps its room, however many names it has lost.
        done(await run("exec 5> o; head -c 5M /dev/zero >&5; ln o p; rm o p; ! head -c 3M /dev/zero 2>&1 > q; rm q"));
        done(await run("head -c 5M /dev/zero > q"));
      });
    });

    test("names can be removed when nothing else can be written", async ({ skip }) => {
      if (missing !== undefined) skip(missing);
      await limited("rm", async (run) => {
        await run("mkdir new; cat /dev/zero > f; cat /dev/zero > new/g");
        done(await run("rm -r small d new"));
        expect(readdirSync(area.at("rm")).sort()).toEqual(["f", "three", "twelve"]);
        done(await run("rm f three twelve; head -c 5M /dev/zero > g"));
      });
    });

    test("a copy that does not fit is refused, shows the lower file and leaves nothing", async ({ skip }) => {
      if (missing !== undefined) skip(missing);
      await limited("copy", async (run) => {
        full(await run("echo >> twelve"));
        done(await run(`cmp twelve ${area.at("lower/twelve")}`));
        done(await run("chmod 600 twelve"));
        full(await run("echo >> twelve"));
        done(await run(`cmp twelve ${area.at("lower/twelve")}`));
        expect((await room("copy")).free).toBeGreaterThan(limit - slack);
        done(await run("echo >> three"));
        const { free } = await room("copy");
        expect(free).toBeLessThanOrEqual(7 * MiB);
        // xfs gives a file that grows more than it needs, and takes it back when there is no other room.
        if (disk.name !== "xfs with pquota") expect(free).toBeGreaterThan(7 * MiB - slack);
        // Only what is left of it has to fit.
        done(await run("truncate -s 2M twelve; cp --sparse=never three again"));
        full(await run("cp --sparse=never three more"));
      });
    });

    test("holes are free, fallocate is not, and what it has promised it keeps", async ({ skip }) => {
      if (missing !== undefined) skip(missing);
      await limited("sparse", async (run) => {
        done(await run("truncate -s 1G s; echo x | dd of=s bs=64k seek=1000 conv=notrunc status=none"));
        expect((await room("sparse")).free).toBeGreaterThan(limit - slack);
        full(await run("fallocate -l 20M big"));
        done(await run("rm -f big; fallocate -l 6M a"));
        expect((await room("sparse")).free).toBeLessThan(4 * MiB);
        await run("cat /dev/zero > f");
        done(await run("head -c 6M /dev/urandom | dd of=a bs=1M iflag=fullblock conv=notrunc status=none"));
        full(await run("head -c 1M /dev/zero | dd of=s bs=1M iflag=fullblock conv=notrunc status=none"));
        done(await run("fallocate -p -l 3M a; head -c 2M /dev/zero > g"));
        await run("cat /dev/zero > f");
        // Of a mapping the kernel writes so much at once, and takes less for all of it.
        const mapped = "f = open('t', 'r+b'); m = mmap.mmap(f.fileno(), 1 << 20); m[:] = b'm' * (1 << 20); m.flush()";
        full(await run(`truncate -s -256K f; truncate -s 1M t; python3 -c "import mmap; ${mapped}"`));
      });
    });

    test("files and directories move about, linked and symbolic ones too", async ({ skip }) => {
      if (missing !== undefined) skip(missing);
      await limited("move", async (run) => {
        done(await run("mkdir -p a/b c; head -c 1M /dev/zero > a/f; ln -s f a/l; mkfifo a/p; ln a/f c/h; mv a/* c"));
        done(await run("mv d moved; mv c a; mv three a/c; mv small a; ln twelve a/twelve; mv -T moved a/c/b/new"));
        expect(readdirSync(area.at("move/a/c")).sort()).toEqual(["b", "f", "h", "l", "p", "three"]);
      });
    });

    test("the limit holds in the next mount, and may be another one then; other mounts have none of it", async ({
      skip,
    }) => {
      if (missing !== undefined) skip(missing);
      expect(await mount("again", "-o", "size=10M")).toEqual({ status: 0, stdout: "", stderr: "" });
      expect((await mount("other", "-o", "size=20M")).status).toBe(0);
      expect((await mount("free")).status).toBe(0);
      const { stdout } = await cowfs(["mounts", "--json"]);
      const mounts = JSON.parse(stdout) as { mountpoint: string; options: string[] }[];
      expect(mounts.find(({ mountpoint }) => mountpoint === area.at("again"))?.options).toEqual(
        expect.arrayContaining([`size=${limit}`, `quota=${disk.quota}`]),
      );
      await shell("head -c 6M /dev/zero > f", { cwd: area.at("again") });
      full(await attempt("/bin/bash", ["-c", "head -c 6M /dev/zero > g"], { cwd: area.at("again") }));
      await shell("head -c 15M /dev/zero > f", { cwd: area.at("other") });
      await shell("head -c 25M /dev/zero > f", { cwd: area.at("free") });
      await unmount("other");
      await unmount("free");
      await unmount("again");
      expect((await mount("again", "-o", "size=12M")).status).toBe(0);
      expect((await room("again")).size).toBe(12 * MiB);
      expect((await room("again")).free).toBeLessThanOrEqual(2 * MiB + slack);
      await unmount("again");
      // Below what there is: that stays, and nothing is added.
      const { status, stderr } = await mount("again", "-o", "size=1M");
      expect(status).toBe(0);
      expect(stderr).toMatch(/holds \d+ bytes, more than its size of 1048576/);
      expect((await room("again")).free).toBe(0);
      full(await attempt("/bin/bash", ["-c", "echo > x"], { cwd: area.at("again") }));
      await shell("rm -f f g x; echo fits > x", { cwd: area.at("again") });
      await unmount("again");
      expect((await mount("again")).status).toBe(0);
      await shell("head -c 25M /dev/zero > f", { cwd: area.at("again") });
      await unmount("again");
      // A work directory that is made anew belongs to the project of the upper.
      rmSync(area.at("disk/.again.work"), { recursive: true });
      expect((await mount("again", "-o", "size=30M")).status).toBe(0);
      await shell("rm f; echo >> three; mv small d", { cwd: area.at("again") });
      await unmount("again");
    });
  });
}

test("counted on xfs: what fallocate gives a file beyond its end counts, what xfs gives it does not", async ({
  skip,
}) => {
  const missing = await lacking("xfs:320M");
  if (missing !== undefined) skip(missing);
  const area = new Area();
  await area.directory("disk", "xfs:320M");
  mkdirSync(area.at("lower"));
  mkdirSync(area.at("merged"));
  const mount = async (): Promise<void> => {
    const layers = ["--lower", area.at("lower"), "--upper", area.at("disk/upper"), "-o", "size=10M"];
    expect(await cowfs(["mount", ...layers, area.at("merged")])).toEqual({ status: 0, stdout: "", stderr: "" });
  };
  const free = async (): Promise<number> =>
    Number(await shell(`df -B1 --output=avail ${area.at("merged")} | tail -n 1`));
  const run = (script: string): Promise<string> => shell(script, { cwd: area.at("merged") });
  await mount();
  await run("touch a b; fallocate -n -l 6M a; ! fallocate -n -l 6M b 2>/dev/null; rm -f b");
  expect(await free()).toBe(4 * MiB);
  // The promise is kept.
  await run("! cat /dev/zero 2>/dev/null >c; head -c 6M /dev/urandom >>a; rm c");
  expect(await free()).toBe(4 * MiB);
  await run("fallocate -n -o 6M -l 1M a; for i in 1 2 3; do head -c 100K /dev/zero >>d; done");
  expect(await free()).toBe(3 * MiB - (300 << 10));
  expect(await cowfs(["umount", area.at("merged")])).toMatchObject({ status: 0 });
  await mount();
  expect(await free()).toBe(3 * MiB - (300 << 10));
  expect(await cowfs(["umount", area.at("merged")])).toMatchObject({ status: 0 });
  await area.unmountPlace(area.at("disk"));
  expect(await area.remove()).toEqual([]);
});

test("what is no limit is refused", async () => {
  for (const [word, why] of [
    ["size=much", /is no size/],
    ["size=0", /at least 64k/],
    ["size=-1", /is no size/],
    ["size", /needs a value/],
    ["inodes=5", /storage option inodes is unknown/],
  ] as const) {
    const { status, stderr } = await cowfs([
      "mount",
      "--lower",
      "/usr",
      "--upper",
      "/none/u",
      "--storage-opt",
      word,
      "/none",
    ]);
    expect({ word, status }).toEqual({ word, status: 2 });
    expect(stderr).toMatch(why);
  }
  const { status, stderr } = await cowfs(["mount", "--lower", "/usr", "-o", "size=1G", "/none"]);
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/needs --upper/) as string });
});
