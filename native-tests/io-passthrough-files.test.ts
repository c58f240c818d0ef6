/** `--io passthrough`: files behave as on any file system, wherever the layers lie; and when the policy is refused. */
import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { attempt, command } from "./harness/command.js";
import { file } from "./harness/layers.js";
import { cowfs, cowfsProgram } from "./harness/mounts.js";
import { keeps, passed } from "./harness/passthrough.js";

passed("what a file system does", [
  {
    name: "mappings, reads and writes of an upper file see each other, and times move",
    lowers: [{ f: file("0123456789", { size: 8192, mtime: "1000.0" }) }],
    steps: `
      fd = open f O_RDWR
      futimens $fd 1000.0 1000.0
      m = mmap $fd 8192
      @b bd = open f O_RDWR
      @b bm = mmap $bd 8192
      mwrite $m 2 AB
      @b mread $bm 0 10 -> 01AB456789
      @b pwrite $bd 0 XY
      mread $m 0 10 -> XYAB456789
      cat f -> /XYAB.*/
      futimens $fd 1000.0 1000.0
      stat f mtime -> 1000.000000000
      msync $m
      close $fd
      @b close $bd
      mwrite $m 4 late
      cat f -> /XYABlate89.*/
      sh "test $(stat -c %Y f) -gt 1000"
      unlink f
      @b mread $bm 0 4 -> XYAB
    `,
  },
  {
    name: "sizes and times after writes, appends, truncation and allocation",
    lowers: [{}],
    steps: `
      fd = open f O_RDWR|O_CREAT
      pwrite $fd 0 12345
      stat f size -> 5
      utimens f 5.0 6.0
      stat f mtime -> 6.000000000
      pwrite $fd 100000 x
      sh "test $(stat -c %Y f) -gt 6"
      stat f size -> 100001
      a = open f O_WRONLY|O_APPEND
      write $a end
      stat f size -> 100004
      pread $fd 10 100000 -> xend
      ftruncate $fd 3
      fstat $a size -> 3
      write $a more
      pread $fd 10 0 -> 123more
      fallocate $fd 0 0 5000
      stat f size -> 5000
      lseek $fd 0 SEEK_END -> 5000
      d = open f O_RDWR|O_DIRECT
      dwrite $d 4096 y 4096 -> 4096
      dread $d 0 4096 -> /123more.*/
      fstat $fd size -> 8192
      t = open f O_RDWR|O_TRUNC
      fstat $fd size -> 0
      pread $fd 5 0 -> ""
    `,
  },
  {
    name: "set-id bits and capabilities go when somebody else writes, and stay when root does",
    lowers: [
      {
        own: file("x", { mode: 0o6777 }),
        theirs: file("x", { mode: 0o6777 }),
        late: file("x", { mode: 0o777 }),
        late2: file("x", { mode: 0o777 }),
        cap: file("x", {
          mode: 0o777,
          xattrs: { "security.capability": "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
        }),
      },
    ],
    steps: `
      fd = open own O_RDWR
      pwrite $fd 0 y
      stat own mode -> 6777
      @u become 1000 1000
      @u fd = open theirs O_RDWR
      @u pwrite $fd 0 y
      stat theirs mode -> 0777
      @u ld = open late O_RDWR
      @u pwrite $ld 0 y
      chmod late 06777
      stat late mode -> 6777
      @u pwrite $ld 0 z
      stat late mode -> 0777
      @u l2 = open late2 O_WRONLY
      chmod late2 06777
      @u t = open late2 O_WRONLY|O_TRUNC
      stat late2 mode -> 0777
      cd = open cap O_RDWR
      pwrite $cd 0 y
      listx cap -> ""
    `,
  },
  {
    name: "an unlinked lower file, and one without a name",
    lowers: [{ f: "lower" }],
    skip: { overlay: "its link count stays" },
    steps: `
      r = open f O_RDONLY
      unlink f
      pread $r 10 0 -> lower
      fstat $r nlink,size -> "0 5"
      fchmod $r 0600
      fstat $r mode -> 0600
      pread $r 10 0 -> lower
      t = open . O_RDWR|O_TMPFILE
      pwrite $t 0 temporary
      fstat $t size,nlink -> "9 0"
      linkproc $t named
      cat named -> temporary
      w = open named O_RDWR
      pwrite $w 0 T
      pread $t 20 0 -> Temporary
    `,
  },
  {
    name: "an unlinked lower file that is open for reading cannot be opened for writing through /proc",
    lowers: [{ f: "lower", g: "lower" }],
    skip: keeps,
    tree: "none",
    steps: `
      r = open f O_RDONLY
      unlink f
      sh "exec 3<g; rm g; (echo new >&4) 4<>/proc/self/fd/3" -> *
      pread $r 10 0 -> lower
    `,
  },
]);

passed("layers on other file systems", [
  {
    name: "a layer on an overlayfs is passed through, one that lies too deep is read by the driver",
    // No directory in the deep one: those of an overlayfs on another get new numbers when they leave the kernel's cache.
    lowers: [{ f: "top", g: "g" }, { deep: "deep" }],
    skip: { native: "has no layers", overlay: "refuses to lie so deep" },
    tree: "none",
    prepare: async (merged) => {
      const { area, lowers } = merged;
      for (const name of ["none", "once", "twice"]) await area.directory(name);
      const overlay = (lower: string, at: string) =>
        command("mount", ["-t", "overlay", "-o", `lowerdir=${lower}:${area.at("none")}`, "overlay", at]);
      await overlay(lowers[1] ?? "", area.at("once"));
      await overlay(area.at("once"), area.at("twice"));
      lowers[1] = area.at("twice");
    },
    steps: `
      r = open deep O_RDONLY
      pread $r 10 0 -> deep
      m = mmap $r 4 r shared
      w = open deep O_RDWR
      pwrite $w 0 D
      pread $r 10 0 -> Deep
      mread $m 0 4 -> Deep
      cat deep -> Deep
      close $r
      close $w
      munmap $m
      w = open deep O_RDWR
      pwrite $w 4 er
      cat deep -> Deeper
      s = open f O_RDONLY
      x = open f O_RDWR
      pwrite $x 0 T
      pread $s 5 0 -> top
      cat f -> Top
    `,
  },
  {
    name: "upper and lower in memory",
    lowers: [{ place: "tmpfs:8M", tree: { f: "lower" } }],
    upperPlace: "tmpfs:64M",
    steps: `
      w = open f O_RDWR
      pwrite $w 0 L
      m = mmap $w 5
      mread $m 0 5 -> Lower
      put new data
      cat new -> data
    `,
  },
]);

describe("the choice of the policy", () => {
  let area: Area;
  beforeEach(async () => {
    area = new Area();
    for (const name of ["l", "m"]) await area.directory(name);
    writeFileSync(area.at("l", "f"), "lower");
  });
  afterEach(async () => {
    expect(await area.remove()).toEqual([]);
  });

  const mount = (...options: string[]) => cowfs(["mount", "--lower", "l", ...options, "m"], { cwd: area.path });

  test("an unknown one, and one that the transport does not have, are refused", async () => {
    expect(await mount("--io", "fast")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("cached, passthrough"),
    });
    expect(await mount("-o", "io=fast")).toMatchObject({ status: 2, stderr: expect.stringContaining("io=fast") });
    const refused = await mount("--io", "passthrough", "--transport", "fuse-native");
    expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining("--transport kernel") });
  });

  test("mounts lists it; reading a read-only union passes through", async () => {
    expect(await mount("-o", "io=passthrough")).toMatchObject({ status: 0, stderr: "" });
    const { stdout } = await cowfs(["mounts", "--json"]);
    expect(stdout).toContain("io=passthrough");
    expect(readFileSync(area.at("m", "f"), "utf8")).toBe("lower");
    expect(await cowfs(["umount", area.at("m")])).toMatchObject({ status: 0 });
  });

  test("without the privilege it is refused in one line, and auto works", async () => {
    const inside = (io: string) =>
      attempt("unshare", ["-Urm", "sh", "-c", `"$@" && cat m/f && "$1" umount m`, "sh", ...program(io)], {
        cwd: area.path,
      });
    const program = (io: string) => [cowfsProgram, "mount", "--lower", "l", "--io", io, "m"];
    const refused = await inside("passthrough");
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/^cowfs: .*CAP_SYS_ADMIN in the initial user namespace.*--io cached\n$/);
    expect(await inside("auto")).toMatchObject({ status: 0, stdout: "lower" });
  });
});
