/** `--io passthrough`: those who read a lower file, and those who write to it. */

import type { Case } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { file, hard } from "./harness/layers.js";
import { keeps, passed, passedBig, status } from "./harness/passthrough.js";

const readersAndWriters: readonly Case[] = [
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
];

passed("readers of a lower file, and writers", readersAndWriters);
passedBig("readers of a lower file, and writers", readersAndWriters);
