/** `--io passthrough`: the kernel reads and writes the layers' files by itself. */
import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Area } from "./harness/area.js";
import { type Case, cases } from "./harness/cases.js";
import { attempt, command } from "./harness/command.js";
import { file, hard } from "./harness/layers.js";
import type { Merged } from "./harness/merged.js";
import { cowfs, cowfsProgram } from "./harness/mounts.js";

const keeps = {
  native: "there is one file only, and no layer that could be kept to",
  overlay: "its descriptors follow the file into the upper",
};

/** The same cases, on cowfs with passthrough. */
function passed(theme: string, list: readonly Case[]): void {
  cases(
    theme,
    list.map((one) => ({ ...one, options: { cowfs: ["--io", "passthrough"], ...one.options } })),
  );
}

/** What the driver says of itself. */
async function status(merged: Merged, key: string): Promise<number> {
  const log = merged.area.at("driver.log");
  const before = readFileSync(log, "utf8").length;
  process.kill(merged.driver(), "SIGUSR1");
  for (let tries = 0; ; tries++) {
    const match = new RegExp(`"${key}":(\\d+)`).exec(readFileSync(log, "utf8").slice(before));
    if (match !== null) return Number(match[1]);
    if (tries > 500) throw new Error(`the driver says nothing of ${key}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

passed("passthrough: readers of a lower file, and writers", [
  {
    name: "a reader keeps the lower file, a writer gets the upper one, later openers too",
    lowers: [{ f: file("0123456789") }],
    skip: keeps,
    steps: `
      r = open f O_RDONLY
      pread $r 20 0 -> 0123456789
      @b w = open f O_RDWR
      @b pread $w 20 0 -> 0123456789
      @b pwrite $w 2 AB
      @b pwrite $w 10 more
      pread $r 20 0 -> 0123456789
      @b pread $w 20 0 -> 01AB456789more
      cat f -> 01AB456789more
      r2 = open f O_RDONLY
      pread $r2 20 0 -> 01AB456789more
      w2 = open f O_WRONLY|O_APPEND
      write $w2 end
      @b pread $w 20 0 -> 01AB456789moreend
      pread $r 20 0 -> 0123456789
      stat f size -> 17
      close $r
      cat f -> 01AB456789moreend
      drop_caches
      cat f -> 01AB456789moreend
    `,
  },
  {
    name: "each way to change the data while the lower file is open",
    lowers: [
      Object.fromEntries(
        ["rdwr", "wronly", "append", "trunc", "rdtrunc", "path", "sync"].map((name) => [name, "lower"]),
      ),
    ],
    skip: keeps,
    run: async (merged) => {
      const names = ["rdwr", "wronly", "append", "trunc", "rdtrunc", "path", "sync"];
      const open = new Map<string, string>();
      for (const name of names) open.set(name, await merged.do("open", name, "O_RDONLY"));
      await merged.steps(`
        @b a = open rdwr O_RDWR
        @b pwrite $a 0 L
        @b b = open wronly O_WRONLY
        @b pwrite $b 0 L
        @b c = open append O_WRONLY|O_APPEND
        @b write $c er
        @b d = open trunc O_WRONLY|O_TRUNC
        @b fstat $d size -> 0
        @b pwrite $d 0 new
        @b e = open rdtrunc O_RDONLY|O_TRUNC
        @b fstat $e size -> 0
        @b truncate path 2
        @b g = open sync O_RDWR|O_SYNC
        @b pwrite $g 1 OW
        @b fsync $g
        cat rdwr -> Lower
        cat wronly -> Lower
        cat append -> lowerer
        cat trunc -> new
        cat rdtrunc -> ""
        cat path -> lo
        cat sync -> lOWer
        stat path size -> 2
      `);
      for (const name of names) {
        const read = await merged.do("pread", open.get(name) ?? "", 20, 0);
        if (read !== "lower") merged.failures.push(`${name}: its reader saw ${JSON.stringify(read)}`);
      }
    },
  },
  {
    name: "one inode number before, while and after",
    lowers: [{ f: "lower" }],
    run: async (merged) => {
      const numbers = [await merged.do("ino", "f")];
      const reader = await merged.do("open", "f", "O_RDONLY");
      const writer = await merged.do("open", "f", "O_RDWR");
      numbers.push(await merged.do("fino", reader), await merged.do("fino", writer), await merged.do("ino", "f"));
      await merged.do("close", reader);
      await merged.do("pwrite", writer, 0, "L");
      numbers.push(await merged.do("fino", writer), await merged.do("ino", "f"));
      if (new Set(numbers).size !== 1) merged.failures.push(`several numbers: ${numbers.join(" ")}`);
    },
  },
  {
    name: "attributes changed by name and by descriptor, before and after somebody writes",
    lowers: [{ f: file("lower", { mode: 0o644, uid: 5, gid: 6 }) }],
    steps: `
      r = open f O_RDONLY
      chmod f 0600
      fstat $r mode,size -> "0600 5"
      fchmod $r 0640
      stat f mode -> 0640
      fchown $r 7 8
      stat f uid,gid -> "7 8"
      fsetx $r user.a 1
      getx f user.a -> 1
      setx f user.b 2
      fgetx $r user.b -> 2
      futimens $r 5.5 6.5
      stat f mtime -> 6.500000000
      pread $r 10 0 -> lower
      w = open f O_RDWR
      pwrite $w 5 more
      fchmod $r 0604
      stat f mode,size -> "0604 9"
      fstat $w mode -> 0604
      fsetx $r user.c 3
      getx f user.c -> 3
      chmod f 0606
      fstat $r mode,size,nlink -> "0606 9 1"
      rmx f user.a
      fgetx $r user.a -> ENODATA
      futimens $r 7.5 8.5
      stat f mtime -> 8.500000000
      unlink f
      fstat $r nlink -> 0
      fchmod $r 0600
      fstat $w mode,nlink -> "0600 0"
    `,
  },
  {
    name: "hard links: written through one name while read through the other",
    lowers: [{ a: "lower", b: hard("a"), c: hard("a") }],
    skip: keeps,
    steps: `
      stat b nlink -> 3
      r = open a O_RDONLY
      w = open b O_RDWR
      pwrite $w 0 LOWER!
      pread $r 10 0 -> lower
      cat a -> LOWER!
      cat c -> LOWER!
      stat a size,nlink -> "6 3"
      stat c size,nlink -> "6 3"
      fstat $r nlink -> 3
      link a d
      stat c nlink -> 4
      unlink b
      stat a nlink -> 3
      stat d nlink -> 3
      fstat $w nlink -> 3
      w2 = open c O_WRONLY|O_TRUNC
      pwrite $w2 0 new
      cat d -> new
      stat a size -> 3
      pread $r 10 0 -> lower
    `,
  },
  {
    name: "names change while old readers and new writers have the file open",
    lowers: [{ f: "lower", g: "other" }],
    skip: keeps,
    steps: `
      r = open f O_RDONLY
      w = open f O_RDWR
      pwrite $w 0 L
      rename f h
      cat h -> Lower
      pread $r 10 0 -> lower
      put f new
      cat f -> new
      rename g h
      cat h -> other
      pwrite $w 5 more
      pread $w 20 0 -> Lowermore
      pread $r 20 0 -> lower
      fstat $w nlink -> 0
      r2 = open f O_RDONLY
      unlink f
      pread $r2 10 0 -> new
      ls -> h
      drop_caches
      pread $r 20 0 -> lower
      pread $w 20 0 -> Lowermore
    `,
  },
  {
    name: "an old reader seeks, copies and sends what it reads",
    lowers: [
      {
        f: file("", {
          parts: [
            [0, "a"],
            [65_536, "b"],
          ],
          size: 200_000,
        }),
      },
    ],
    skip: keeps,
    steps: `
      r = open f O_RDONLY
      w = open f O_RDWR
      pwrite $w 131072 data
      pwrite $w 0 XX
      ftruncate $w 140000
      lseek $r 4096 SEEK_DATA -> 65536
      lseek $r 69632 SEEK_DATA -> ENXIO
      lseek $w 69632 SEEK_DATA -> 131072
      out = open out O_RDWR|O_CREAT
      copyrange $r 65536 $out 0 1 -> 1
      pread $out 5 0 -> b
      copyrange $w 131072 $out 0 4 -> 4
      pread $out 5 0 -> data
      pread $r 1 0 -> a
      sendfile $out $w 0 2 -> 2
    `,
  },
  {
    name: "a mapping of the lower file keeps to it, also after its descriptor was closed",
    lowers: [{ f: file("0123456789", { size: 4096 }), g: file("0123456789", { size: 4096 }) }],
    skip: keeps,
    steps: `
      r = open f O_RDONLY
      m = mmap $r 4096 r shared
      p = mmap $r 4096 rw private
      mread $m 0 4 -> 0123
      mwrite $p 0 PP
      w = open f O_RDWR
      n = mmap $w 4096
      mwrite $n 0 NEW
      mread $m 0 4 -> 0123
      mread $p 0 4 -> PP23
      pread $w 4 0 -> NEW3
      g = open g O_RDONLY
      k = mmap $g 4096 r shared
      close $g
      h = open g O_RDWR
      pwrite $h 0 NEW
      mread $k 0 4 -> 0123
      cat g -> /NEW3.*/
    `,
  },
  {
    name: "a program that runs from the lower file goes on when that is replaced",
    lowers: [{}],
    prepare: async ({ lowers }) => command("cp", ["/bin/sleep", `${lowers[0]}/prog`]),
    steps: `
      pid = spawn prog 1000
      open prog O_RDWR -> ETXTBSY
      truncate prog 0 -> ETXTBSY
      sh "cp --remove-destination /bin/cat prog"
      sh "echo works | ./prog" -> "0 works"
      stop $pid
      w = open prog O_RDWR
      exec prog -> ETXTBSY
      close $w
      sh "echo works | ./prog" -> "0 works"
    `,
  },
  {
    name: "nothing is left open",
    lowers: [Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`d/f${index}`, `f${index}`]))],
    upper: { "d/u": "u" },
    skip: { native: "has no driver", overlay: "has no driver" },
    run: async (merged) => {
      await merged.do("many_open", "d", "f%", 200, "O_RDONLY");
      await merged.worker("b").call("many_open", ["d", "f%", "100", "O_RDWR"]);
      await merged.steps(`
        u = open d/u O_RDWR
        n = open d/new O_RDWR|O_CREAT
        t = open d O_RDWR|O_TMPFILE
        pwrite $t 0 x
        sh "cat d/f7 d/f150" -> "0 f7f150"
      `);
      if ((await status(merged, "openFiles")) !== 303) {
        merged.failures.push(`${await status(merged, "openFiles")} files are open, not 200 + 100 + 3`);
      }
      await merged.endWorkers();
      for (let tries = 0; (await status(merged, "openFiles")) > 0; tries++) {
        if (tries > 50) throw new Error("files stay open");
      }
    },
  },
]);

passed("passthrough: what a file system does", [
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

passed("passthrough: layers on other file systems", [
  {
    name: "a layer on an overlayfs is passed through, one that lies too deep is read by the driver",
    lowers: [
      { f: "top", g: "g" },
      { deep: "deep", "d/x": "x" },
    ],
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
