/** `--io auto`: files of the upper are read and written by the kernel itself, others are cached, and opens are messages while that pays. */
import { cases } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { file } from "./harness/layers.js";
import type { Merged } from "./harness/merged.js";
import { keeps, status } from "./harness/passthrough.js";

/** Demands how many requests of a kind have come, where there is a driver. */
async function came(merged: Merged, kind: string, fits: (count: number) => boolean): Promise<void> {
  if (merged.kind !== "cowfs") return;
  const count = await status(merged, kind);
  if (!fits(count)) merged.failures.push(`${count} requests ${kind}`);
}

const options = { cowfs: ["--io", "auto", "--debug"] };
const lowers = [
  { f: "0123456789", ...Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`many/${i}`, `${i}`])) },
];

/** As big as lower files must be to be passed through where nothing can be written. */
const big = { big: file("lower", { size: 16 << 20 }), other: "lower" };
const bigLowers = [{ ...lowers[0], ...big }];
const passesBig = { cowfs: [...options.cowfs, "-o", "lower_passthrough=16m"] };
const manyOpens = `sh "cat many/* | md5sum; cat many/* | md5sum; cat many/* | md5sum" -> /[^]*/`;

cases("auto", [
  {
    name: "a new file, and one copied up before, are read and written without the driver",
    options,
    lowers,
    run: async (merged) => {
      await merged.steps(`
        w = open new O_RDWR|O_CREAT|O_EXCL 0640
        pwrite $w 0 new
        @b r = open new O_RDONLY
        @b pread $r 10 0 -> new
        pwrite $w 3 er
        @b pread $r 10 0 -> newer
        stat new size -> 5
        close $w
        @b close $r
      `);
      await came(merged, "WRITE", (count) => count === 0);
      await came(merged, "READ", (count) => count === 0);
    },
  },
  {
    name: "who reads a lower file sees what others write, at the first copy and later",
    options,
    lowers,
    skip: { overlay: "its readers keep to the lower file" },
    steps: `
      r = open f O_RDONLY
      m = mmap $r 10 r shared
      pread $r 20 0 -> 0123456789
      @b w = open f O_RDWR
      @b pwrite $w 2 AB
      pread $r 20 0 -> 01AB456789
      mread $m 0 10 -> 01AB456789
      @c a = open f O_WRONLY|O_APPEND
      @c write $a more
      pread $r 20 0 -> 01AB456789more
      @b ftruncate $w 3
      pread $r 20 0 -> 01A
      @b close $w
      @c close $a
      @b w = open f O_RDWR|O_TRUNC
      @b pwrite $w 0 anew
      pread $r 20 0 -> anew
      close $r
      @b close $w
      cat f -> anew
      @b w = open f O_RDWR
      @b pwrite $w 4 !
      cat f -> anew!
    `,
  },
  {
    name: "a mapping that outlives its descriptor goes on sharing the file, however many are opened meanwhile",
    options,
    lowers,
    upper: { f: file("aaaaaaaa", { size: 4096 }) },
    steps: `
      w = open f O_RDWR
      m = mmap $w 4096
      close $w
      @c r = open f O_RDONLY
      @c k = mmap $r 4096 r shared
      @c close $r
      sh "cat many/* | md5sum" -> /[^]*/
      @b cat f -> /aaaaaaaa.*/
      mwrite $m 0 XXXX
      @b cat f -> /XXXXaaaa.*/
      @b v = open f O_RDWR
      @b n = mmap $v 4096
      @b close $v
      @b mwrite $n 100 Y
      @b msync $n
      mread $m 100 1 -> Y
      @c mread $k 0 4 -> XXXX
      sh "cat many/* | md5sum" -> /[^]*/
      @c mread $k 100 1 -> Y
      cat f -> /XXXXaaaa.*/
    `,
  },
  {
    name: "after many opens of lower files none is a message, and what is written stays right",
    options,
    lowers,
    run: async (merged) => {
      await merged.steps(`
        w = open log O_WRONLY|O_CREAT|O_APPEND 0600
        write $w one
        sh "cat many/* | md5sum; cat many/* | md5sum; cat log" -> /[^]*/
        write $w two
        cat log -> onetwo
        close $w
        sh "cat many/* | md5sum; cat many/* | md5sum; echo three >> log; echo x >> many/1; cat log many/1" -> /[^]*/
        w = open log O_RDWR
        pwrite $w 0 ONE
        @b cat log -> /[^]*/
        close $w
        sh "echo new > new; cat new; > many/2; cat many/2" -> /[^]*/
      `);
      await came(merged, "OPEN", (count) => count < 2500);
      await came(merged, "MKNOD", (count) => count > 0);
    },
  },
  {
    name: "a big lower file is read by the kernel itself, and who has it open keeps to it; a small one shows what others write",
    options: passesBig,
    lowers: bigLowers,
    skip: keeps,
    run: async (merged) => {
      await merged.steps(`
        r = open big O_RDONLY
        m = mmap $r 4096 r shared
        pread $r 5 0 -> lower
      `);
      await came(merged, "READ", (count) => count === 0);
      await merged.steps(`
        s = open other O_RDONLY
        @b w = open big O_RDWR
        @b pwrite $w 0 UP
        @b v = open other O_RDWR
        @b pwrite $v 0 UP
        pread $r 5 0 -> lower
        mread $m 0 5 -> lower
        pread $s 5 0 -> UPwer
        @b pread $w 5 0 -> UPwer
        sh "head -c 5 big" -> "0 UPwer"
        @b close $w
        @b w = open big O_WRONLY|O_TRUNC
        @b pwrite $w 0 new
        cat big -> new
        pread $r 5 0 -> lower
      `);
    },
  },
  {
    name: "a big lower file that is mapped or runs does not keep opens from being no messages; what is written then is seen by all who open it",
    options: passesBig,
    lowers: bigLowers,
    prepare: async ({ lowers }) => {
      await command("cp", ["/bin/sleep", `${lowers[0]}/program`]);
      await command("truncate", ["-s", "16M", `${lowers[0]}/program`]);
    },
    skip: keeps,
    run: async (merged) => {
      await merged.steps(`
        pid = spawn program 1000
        r = open big O_RDONLY
        m = mmap $r 4096 r shared
        close $r
        ${manyOpens}
      `);
      await came(merged, "OPEN", (count) => count < 1000);
      await merged.steps(`
        r = open big O_RDONLY
        pread $r 5 0 -> lower
        w = open big O_RDWR
        pwrite $w 0 UP
        ftruncate $w 3
        pread $r 5 0 -> UPw
        fstat $r size -> 3
        fchmod $r 0640
        stat big mode,size -> "0640 3"
        mread $m 0 5 -> lower
        stop $pid
      `);
    },
  },
  {
    name: "while a big lower file is open opens stay messages, and who has it open keeps to it",
    options: passesBig,
    lowers: bigLowers,
    skip: keeps,
    run: async (merged) => {
      await merged.steps(`
        r = open big O_RDONLY
        ${manyOpens}
      `);
      await came(merged, "OPEN", (count) => count > 1500);
      await merged.steps(`
        w = open big O_RDWR
        pwrite $w 0 UP
        pread $r 5 0 -> lower
        close $r
        close $w
        ${manyOpens}
        sh "head -c 5 big" -> "0 UPwer"
      `);
    },
  },
  {
    name: "while somebody has a big file open as it was before the copy-up, opens stay messages",
    options: passesBig,
    lowers: bigLowers,
    skip: keeps,
    run: async (merged) => {
      await merged.steps(`
        r = open big O_RDONLY
        truncate big 5
        link big linked
        ${manyOpens}
      `);
      await came(merged, "OPEN", (count) => count > 1500);
      await merged.steps(`
        w = open linked O_RDWR
        pwrite $w 0 UP
        cat big -> UPwer
        pread $r 5 0 -> lower
        close $r
        close $w
        ${manyOpens}
        w = open big O_RDWR
        pwrite $w 2 PER
        cat linked -> UPPER
      `);
    },
  },
  {
    name: "without an upper nobody can write: big files are read by the kernel itself",
    options,
    lowers: bigLowers,
    upper: false,
    skip: { native: "has no layers", overlay: "wants two layers" },
    tree: "none",
    run: async (merged) => {
      await merged.steps(`
        r = open big O_RDONLY
        pread $r 5 0 -> lower
        open big O_RDWR -> EROFS
      `);
      await came(merged, "READ", (count) => count === 0);
      await merged.steps(`close $r\n${manyOpens}`);
      await came(merged, "OPEN", (count) => count < 1000);
      await merged.steps("cat other -> lower");
    },
  },
  {
    name: "with a writable upper all see what is written, whatever the size, and however they come to the file",
    options,
    lowers: bigLowers,
    steps: `
      r = open big O_RDONLY
      @b w = open big O_WRONLY|O_APPEND
      @b write $w end
      fstat $r size -> 16777219
      pread $r 5 16777216 -> end
      @b pwrite $w 0 UP
      sh "exec 3<big; echo x 1<>/proc/self/fd/3; head -c 2 big | tr '\\\\n' -" -> /[^]*x-/
      pread $r 1 0 -> x
    `,
  },
]);
