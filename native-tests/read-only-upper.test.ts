/** Uppers that cannot be written to: when the mount starts, and while it lives. Real file systems in loop devices. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { cases } from "./harness/cases.js";
import { attempt, command, type Ended, shell } from "./harness/command.js";
import { hard } from "./harness/layers.js";
import { cowfs } from "./harness/mounts.js";
import { mountAt } from "./harness/namespace.js";

const silent: Ended = { status: 0, stdout: "", stderr: "" };

describe("an upper that is read-only when the mount starts", () => {
  let area: Area;
  let mounted: string[];

  beforeEach(async () => {
    area = new Area();
    mounted = [];
    for (const name of ["low", "fs", "m"]) mkdirSync(area.at(name));
    await area.build(area.at("low"), { f: "f", gone: "gone", a: "a", b: hard("a"), c: hard("a"), "d/x": "x" });
    // What an earlier life of the mount has left.
    expect(await here("mount", "--lower", "low", "--upper", "fs/up", "--work", "fs/work", "m")).toEqual(silent);
    await shell("cd m; echo new > n; rm gone; echo more >> a; rm b; mv d e; chmod 600 f", { cwd: area.path });
    expect(await here("umount", "m")).toEqual(silent);
  });

  afterEach(async () => {
    for (const path of mounted.reverse()) await command("umount", [path]);
    await shell("chattr -i fs fs/* || true", { cwd: area.path });
    expect(await area.remove()).toEqual([]);
  });

  const here = (...args: string[]): Promise<Ended> => cowfs(args, { cwd: area.path });

  /** The ways in which `fs` becomes read-only. */
  const ways: [string, () => Promise<unknown>, string, RegExp][] = [
    [
      "a read-only bind mount",
      async () => {
        mkdirSync(area.at("ro"));
        await command("mount", ["--bind", area.at("fs"), area.at("ro")]);
        mounted.push(area.at("ro"));
        await command("mount", ["-o", "remount,bind,ro", area.at("ro")]);
      },
      "ro",
      /ro\/up is on a read-only file system or mount/,
    ],
    ["squashfs", () => image("squashfs"), "ro", /ro\/up is on a read-only file system or mount/],
    [
      "a loop device that cannot be written to",
      () => image("ext4"),
      "ro",
      /ro\/up is on a read-only file system or mount/,
    ],
    ["chattr +i of the upper", () => command("chattr", ["+i", area.at("fs/up")]), "fs", /fs\/up is immutable/],
    [
      "chattr +i of the work directory",
      () => command("chattr", ["+i", area.at("fs/work")]),
      "fs",
      /fs\/work is immutable/,
    ],
  ];

  async function image(type: "squashfs" | "ext4"): Promise<void> {
    mkdirSync(area.at("ro"));
    const [source, file] = [area.at("fs"), area.at("image")];
    if (type === "squashfs") await command("mksquashfs", [source, file, "-quiet", "-no-progress"]);
    else await shell("truncate -s 32M image; mkfs.ext4 -q -d fs image", { cwd: area.path });
    await command("mount", ["-o", "loop,ro", file, area.at("ro")]);
    mounted.push(area.at("ro"));
  }

  test.each(ways)("%s is refused, and mounts with -o ro", async (_, make, at, message) => {
    await make();
    const layers = ["--lower", "low", "--upper", `${at}/up`, "--work", `${at}/work`];
    const before = await shell("find fs low -printf '%p %C@\\n' | sort", { cwd: area.path });
    const refused = await here("mount", ...layers, "m");
    expect(refused).toMatchObject({ status: 1, stdout: "" });
    expect(refused.stderr).toMatch(message);
    expect(refused.stderr).toMatch(/^cowfs: .*: make it writable, or mount with -o ro, or leave out --upper\n$/);
    expect(mountAt(area.at("m"))).toBeUndefined();

    const warned = await here("mount", ...layers, "-o", "ro", "m");
    expect(warned).toMatchObject({ status: 0, stdout: "" });
    expect(warned.stderr).toMatch(message);
    expect(warned.stderr).toMatch(/^cowfs: .*: it can only be read\n$/);
    expect(readdirSync(area.at("m")).sort()).toEqual(["a", "c", "e", "f", "n"]);
    expect(readFileSync(area.at("m", "f"), "utf8")).toBe("f");
    expect(readFileSync(area.at("m", "e", "x"), "utf8")).toBe("x");
    // The name that no upper has leads to the index.
    expect(readFileSync(area.at("m", "c"), "utf8")).toBe("amore\n");
    expect(() => writeFileSync(area.at("m", "z"), "")).toThrow(/EROFS/);
    // The mount's own flag is one thing, the upper another.
    await command("mount", ["-i", "-o", "remount,rw", area.at("m")]);
    expect(() => writeFileSync(area.at("m", "z"), "")).toThrow(/EROFS/);
    expect(() => writeFileSync(area.at("m", "a"), "")).toThrow(/EROFS/);
    expect(await here("umount", "m")).toEqual(silent);
    expect(await shell("find fs low -printf '%p %C@\\n' | sort", { cwd: area.path })).toBe(before);
  });

  test("a copy that a crash of the machine made void is the lower file, whatever size it has got", async () => {
    const boot = "00000000-0000-0000-0000-000000000000";
    await shell(
      `echo lower > low/void; cd fs/up; truncate -s 12345 void; chmod 600 void; setfattr -n trusted.overlay.impure -v y .
       setfattr -n trusted.overlay.metacopy void; setfattr -n trusted.overlay.cowfs.pending -v "6 420 1000 0 1000 0  ${boot} 6" void`,
      { cwd: area.path },
    );
    await command("chattr", ["+i", area.at("fs/work")]);
    const mounted = await here("mount", "--lower", "low", "--upper", "fs/up", "--work", "fs/work", "-o", "ro", "m");
    expect(mounted.status).toBe(0);
    expect(await shell("stat -c '%F %s %a %Y' m/void; cat m/void", { cwd: area.path })).toBe(
      "regular file 6 600 1000\nlower\n",
    );
    expect(await here("umount", "m")).toEqual(silent);
  });

  test("what it would have to be created in is named", async () => {
    await command("chattr", ["+i", area.at("fs")]);
    const { status, stderr } = await here("mount", "--lower", "low", "--upper", "fs/new", "m");
    expect(status).toBe(1);
    expect(stderr).toMatch(/the directory of the upper layer .*fs\/new is immutable/);
  });

  test("nobody writes to an upper that another mount reads, and several may read it", async () => {
    await command("chattr", ["+i", area.at("fs/work")]);
    mkdirSync(area.at("m2"));
    const layers = ["--lower", "low", "--upper", "fs/up", "-o", "ro", "--work"];
    for (const at of ["m", "m2"]) expect((await here("mount", ...layers, "fs/work", at)).status).toBe(0);
    mkdirSync(area.at("m3"));
    const { status, stderr } = await here("mount", ...layers, "fs/work2", "m3");
    expect(status).toBe(1);
    expect(stderr).toMatch(/fs\/up is in use by another mount/);
    for (const at of ["m", "m2"]) expect(await here("umount", at)).toEqual(silent);
  });
});

cases("an upper whose file system becomes read-only while it is mounted", [
  {
    name: "writers get EROFS, readers go on, and after remount,rw all is well",
    lowers: [{ f: "f", g: "g", big: { fill: 2_000_000 }, "d/x": "x", a: "a", b: hard("a") }],
    upperPlace: "ext4:64M",
    run: async (merged) => {
      const at = merged.kind === "native" ? merged.root : merged.area.at("up");
      await merged.steps("cat d/x -> x");
      await command("mount", ["-o", "remount,ro", at]);
      await merged.steps(`
        cat f -> f
        cat d/x -> x
        stat big size -> 2000000
        append f more -> EROFS
        append big more -> EROFS
        truncate big 10 -> EROFS
        put new new -> EROFS
        mkdir new -> EROFS
        symlink x new -> EROFS
        link f new -> EROFS
        unlink g -> EROFS
        unlink a -> EROFS
        rename d e -> EROFS
        rename f g -> EROFS
        chmod f 600 -> EROFS
        chown d 1 1 -> EROFS
        setx f user.a b -> EROFS
        append a more -> EROFS
        cat b -> a
        cat f -> f
        stat big size -> 2000000
      `);
      await command("mount", ["-o", "remount,rw", at]);
      await merged.steps(`
        append f more
        append a more
        cat b -> amore
        rename d e
        unlink g
        mkdir new
        truncate big 10
        stat big size -> 10
        ls -> "a b big e f new"
      `);
    },
  },
]);

describe("an upper on ext4 that finds an error (errors=remount-ro)", () => {
  test("EROFS for writers, reads go on, and the mount ends in good order", async () => {
    const area = new Area();
    for (const name of ["low", "m", "fs"]) mkdirSync(area.at(name));
    await area.build(area.at("low"), { f: "f", g: "g", "d/x": "x" });
    await shell("truncate -s 32M i; mkfs.ext4 -q i; mount -o loop,errors=remount-ro i fs; mkdir fs/up fs/work", {
      cwd: area.path,
    });
    const here = (...args: string[]): Promise<Ended> => cowfs(args, { cwd: area.path });
    expect(await here("mount", "--lower", "low", "--upper", "fs/up", "--work", "fs/work", "m")).toEqual(silent);
    await shell("echo more >> m/f; sync -f m", { cwd: area.path });
    const device = (await command("findmnt", ["-n", "-o", "SOURCE", area.at("fs")])).trim().replace("/dev/", "");
    const trigger = `/sys/fs/ext4/${device}/trigger_fs_error`;
    if (existsSync(trigger)) {
      writeFileSync(trigger, "1");
      for (const script of ["echo x >> m/f", "echo x > m/new", "rm m/g", "mv m/d m/e", "chmod 600 m/g", "sync m/f"]) {
        const { status, stderr } = await attempt("/bin/bash", ["-c", script], { cwd: area.path });
        expect({ script, status, stderr }).toMatchObject({ stderr: expect.stringContaining("Read-only file system") });
      }
      expect(readFileSync(area.at("m", "f"), "utf8")).toBe("fmore\n");
      expect(readFileSync(area.at("m", "d", "x"), "utf8")).toBe("x");
    }
    expect(await here("umount", "m")).toEqual(silent);
    await command("umount", [area.at("fs")]);
    expect(await area.remove()).toEqual([]);
  });
});
