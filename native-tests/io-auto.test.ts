/** `--io auto`: files of the upper are read and written by the kernel itself, others are cached, and opens are messages while that pays. */
import { cases } from "./harness/cases.js";
import { file } from "./harness/layers.js";
import type { Merged } from "./harness/merged.js";
import { status } from "./harness/passthrough.js";

/** Demands how many requests of a kind have come, where there is a driver. */
async function came(merged: Merged, kind: string, fits: (count: number) => boolean): Promise<void> {
  if (merged.kind !== "cowfs") return;
  const count = await status(merged, kind).catch(() => 0);
  if (!fits(count)) merged.failures.push(`${count} requests ${kind}`);
}

const options = { cowfs: ["--io", "auto", "--debug"] };
const lowers = [
  { f: "0123456789", ...Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`many/${i}`, `${i}`])) },
];

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
]);
