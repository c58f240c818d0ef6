import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { cases } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { file } from "./harness/layers.js";

cases("opening", [
  {
    name: "O_APPEND, O_TRUNC, O_EXCL, O_NOFOLLOW, O_DIRECTORY, O_PATH",
    lowers: [
      { f: "lower", d: { type: "dir" }, l: { type: "link", target: "f" }, dangling: { type: "link", target: "none" } },
    ],
    upper: { u: "upper" },
    steps: `
      a = open f O_WRONLY|O_APPEND
      write $a 1
      @b append f 2
      write $a 3
      lseek $a 0
      write $a 4
      cat f -> lower1234
      open u O_RDWR|O_TRUNC
      stat u size -> 0
      open f O_RDONLY|O_TRUNC
      stat f size -> 0
      open f O_RDWR|O_CREAT|O_EXCL -> EEXIST
      open u O_RDWR|O_CREAT|O_EXCL -> EEXIST
      open l O_RDWR|O_CREAT|O_EXCL -> EEXIST
      open dangling O_RDWR|O_CREAT|O_EXCL -> EEXIST
      open dangling O_RDWR -> ENOENT
      open dangling O_RDWR|O_CREAT
      stat none type -> file
      open l O_RDONLY|O_NOFOLLOW -> ELOOP
      open f O_RDONLY|O_DIRECTORY -> ENOTDIR
      open d O_RDONLY|O_DIRECTORY
      open d O_RDWR -> EISDIR
      open d O_WRONLY|O_CREAT -> EISDIR
      open f/x O_RDONLY -> ENOTDIR
      p = open f O_PATH
      read $p 1 -> EBADF
      r = open f O_RDONLY
      pwrite $r 0 x -> EBADF
      ftruncate $r 0 -> EINVAL
    `,
  },
  {
    name: "O_TMPFILE, with and without a name afterwards",
    lowers: [{ "d/": { mode: 0o777 }, "d/there": "there" }],
    steps: `
      fd = open d O_TMPFILE|O_RDWR 0640
      pwrite $fd 0 unnamed
      fstat $fd nlink,size,mode -> "0 7 0640"
      ls d -> there
      linkproc $fd d/named
      fstat $fd nlink -> 1
      cat d/named -> unnamed
      pwrite $fd 7 -more
      cat d/named -> unnamed-more
      i = fino $fd
      ino d/named -> $i
      linkproc $fd d/there -> EEXIST
      linkfd $fd d/second
      stat d/second nlink -> 2
      xd = open d O_TMPFILE|O_RDWR|O_EXCL 0600
      linkproc $xd d/never -> ENOENT
      open d O_TMPFILE|O_RDONLY -> EINVAL
      open d/there O_TMPFILE|O_RDWR -> ENOTDIR
      wd = open d O_TMPFILE|O_WRONLY
      pwrite $wd 0 lost
      close $wd
      ls d -> named second there
    `,
  },
  {
    name: "many temporary files at once",
    lowers: [{}],
    steps: `
      a = open . O_TMPFILE|O_RDWR
      b = open . O_TMPFILE|O_RDWR
      c = open . O_TMPFILE|O_RDWR
      pwrite $a 0 A
      pwrite $b 0 B
      pwrite $c 0 C
      pread $a 5 0 -> A
      linkproc $b b
      linkproc $a a
      cat a -> A
      cat b -> B
      ls -> a b
    `,
  },
]);

cases("reading and writing", [
  {
    name: "at offsets beyond 4 GiB",
    lowers: [{ f: file("start", { size: 6 * 2 ** 30, parts: [[5 * 2 ** 30, "lower"]] }) }],
    steps: `
      fd = open f O_RDWR
      pread $fd 5 5G -> lower
      pwrite $fd 5368709125 more
      pread $fd 9 5G -> lowermore
      pwrite $fd 9T far
      pread $fd 3 9T -> far
      fstat $fd size -> 9895604649987
      lseek $fd 1T SEEK_DATA -> 9895604649984
      ftruncate $fd 4294967297
      fstat $fd size -> 4294967297
      pread $fd 5 0 -> start
      pread $fd 5 5G -> ""
    `,
  },
  {
    name: "short reads at the end, writes behind the end",
    lowers: [{ f: "0123456789" }],
    steps: `
      fd = open f O_RDWR
      pread $fd 100 5 -> 56789
      pread $fd 100 10 -> ""
      pread $fd 100 1000 -> ""
      pwrite $fd 8192 x
      pread $fd 4 10 -> "\\0\\0\\0\\0"
      fstat $fd size -> 8193
      pwrite $fd 0 ""
      lseek $fd 0 SEEK_END -> 8193
      read $fd 10 -> ""
      ftruncate $fd 12
      pread $fd 100 8 -> "89\\0\\0"
      lseek $fd -1 SEEK_SET -> EINVAL
    `,
  },
  {
    name: "sizes and pages after truncation and growth, by name and by descriptor",
    lowers: [{ f: file("", { fill: 100_000 }) }],
    steps: `
      fd = open f O_RDWR
      truncate f 5000
      fstat $fd size -> 5000
      verify $fd 0 5000 -> good
      ftruncate $fd 10000
      stat f size -> 10000
      pread $fd 3 5000 -> "\\0\\0\\0"
      pwrite $fd 9998 abcd
      stat f size -> 10002
      truncate f 0
      pread $fd 10 0 -> ""
      pwrite $fd 3 x
      cat f -> "\\0\\0\\0x"
    `,
  },
  {
    name: "large writes and reads in one call",
    lowers: [{}],
    steps: `
      fd = open f O_RDWR|O_CREAT
      fill $fd 0 20M 3
      verify $fd 0 20M 3 -> good
      fsync $fd
      drop_caches
      verify $fd 0 20M 3 -> good
      fsync $fd
      fdatasync $fd
      syncfs $fd
    `,
  },
  {
    name: "asynchronous direct writes while others read through the cache",
    lowers: [{}],
    tree: "none",
    // Where files are passed through, the cache is that of the upper's file system.
    options: { cowfs: ["--io", "cached"] },
    run: async (merged) => {
      const aio = fileURLToPath(new URL("tools/aio.py", import.meta.url));
      expect(await command("python3", [aio, `${merged.root}/f`, "12"])).toBe("0 stale\n");
    },
  },
  {
    name: "O_DIRECT",
    lowers: [{ f: file("", { fill: 65_536 }) }],
    steps: `
      r = open f O_RDONLY|O_DIRECT
      dread $r 4096 4096 -> /0000.*/
      fd = open f O_RDWR|O_DIRECT
      dwrite $fd 8192 x 4096 -> 4096
      p = open f O_RDONLY
      pread $p 3 8192 -> xxx
      verify $p 0 8192 -> good
      verify $p 12288 50000 -> good
      w = open f O_WRONLY
      pwrite $w 0 buffered
      dread $fd 0 4096 -> /buffered.*/
      dwrite $fd 65536 y 4096 -> 4096
      fstat $fd size -> 69632
    `,
  },
  {
    name: "sendfile, splice, ioctls and advice",
    lowers: [{ f: "content of a lower file" }],
    steps: `
      in = open f O_RDONLY
      out = open copy O_RDWR|O_CREAT
      sendfile $out $in 0 7 -> 7
      cat copy -> content
      splice_out $in 8 100 -> "of a lower file"
      fionread $in -> 23
      fadvise $in 3
      fadvise $in 4
      pread $in 7 0 -> content
      poll $in 5 -> 5
      getflags $in -> 0x0
    `,
  },
  {
    name: "a time that no file system has becomes the nearest",
    lowers: [{ f: "f" }],
    tree: "notimes",
    steps: `
      sh "touch -d @67767976233529199 f" -> /0 /
      sh "touch -d @-67767976233529199 f" -> /0 /
    `,
  },
  {
    name: "SEEK_DATA and SEEK_HOLE of lower and upper files",
    lowers: [
      {
        f: file("", {
          parts: [
            [0, "a"],
            [65_536, "b"],
          ],
          size: 200_000,
        }),
        empty: "",
      },
    ],
    steps: `
      fd = open f O_RDONLY
      lseek $fd 0 SEEK_DATA -> 0
      lseek $fd 0 SEEK_HOLE -> 4096
      lseek $fd 4096 SEEK_DATA -> 65536
      lseek $fd 65536 SEEK_HOLE -> 69632
      lseek $fd 69632 SEEK_DATA -> ENXIO
      lseek $fd 200000 SEEK_DATA -> ENXIO
      lseek $fd -9223372036854775808 SEEK_DATA -> ENXIO
      lseek $fd 9223372036854775807 SEEK_HOLE -> ENXIO
      lseek $fd 199999 SEEK_HOLE -> 199999
      e = open empty O_RDONLY
      lseek $e 0 SEEK_HOLE -> ENXIO
      w = open new O_RDWR|O_CREAT
      pwrite $w 100000 x
      fsync $w
      lseek $w 0 SEEK_DATA -> 98304
      lseek $w 98304 SEEK_HOLE -> 100001
      read $w 1 -> ""
    `,
  },
  {
    name: "fallocate: allocation, keeping the size, punching, zeroing, collapsing, inserting",
    lowers: [{ f: file("", { fill: 40_960 }) }],
    steps: `
      fd = open f O_RDWR
      fallocate $fd 0 0 50000
      fstat $fd size -> 50000
      fallocate $fd FALLOC_FL_KEEP_SIZE 50000 100000
      fstat $fd size -> 50000
      fallocate $fd FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE 4096 8192
      pread $fd 4 4096 -> "\\0\\0\\0\\0"
      verify $fd 0 4096 -> good
      verify $fd 12288 20000 -> good
      fallocate $fd FALLOC_FL_ZERO_RANGE 16384 4096
      pread $fd 4 16384 -> "\\0\\0\\0\\0"
      fallocate $fd FALLOC_FL_PUNCH_HOLE 0 4096 -> EOPNOTSUPP
      fallocate $fd 0 0 0 -> EINVAL
      fallocate $fd 0 -1 10 -> EINVAL
      r = open f O_RDONLY
      fallocate $r 0 0 10 -> EBADF
    `,
  },
  {
    name: "fallocate to collapse and insert ranges: done, or refused for what it is",
    lowers: [{ f: file("", { fill: 40_960 }) }],
    steps: `
      fd = open f O_RDWR
      fallocate $fd FALLOC_FL_COLLAPSE_RANGE 0 4096 -> /|EOPNOTSUPP/
      fallocate $fd FALLOC_FL_INSERT_RANGE 0 4096 -> /|EOPNOTSUPP/
      verify $fd 8192 30000 -> good
    `,
    tree: "none",
    differs: { cowfs: "the FUSE kernel module does not pass these on", overlay: "nor does overlayfs need to" },
  },
  {
    name: "copy_file_range within a file, between files, and from lower to upper",
    lowers: [{ f: file("", { fill: 300_000 }), g: "other" }],
    upper: { u: "upper file" },
    steps: `
      in = open f O_RDONLY
      out = open copy O_RDWR|O_CREAT
      copyrange $in 0 $out 0 300000 -> 300000
      verify $out 0 300000 -> good
      fstat $out size -> 300000
      u = open u O_RDWR
      g = open g O_RDWR
      copyrange $u 0 $g 2 5 -> 5
      cat g -> otupper
      copyrange $in 299990 $u 0 100 -> 10
      w = open f O_RDWR
      copyrange $w 0 $w 400000 100 -> 100
      copyrange $w 0 $w 10 100 -> EINVAL
      copyrange $in 0 $in 0 10 -> EBADF
      stat f size -> 400100
    `,
  },
]);

cases("mappings", [
  {
    name: "shared mappings of one file in two processes see each other, and read and write see them",
    lowers: [{ f: file("0123456789", { size: 8192 }) }],
    steps: `
      fd = open f O_RDWR
      m = mmap $fd 8192
      @b bd = open f O_RDWR
      @b bm = mmap $bd 8192
      mwrite $m 2 AB
      @b mread $bm 0 10 -> 01AB456789
      @b mwrite $bm 5000 far
      mread $m 5000 3 -> far
      pread $fd 10 0 -> 01AB456789
      pwrite $fd 0 XY
      @b mread $bm 0 4 -> XYAB
      msync $m
      cat f -> /XYAB456789.*/
      drop_caches
      @b pread $bd 10 0 -> XYAB456789
      @b pread $bd 3 5000 -> far
    `,
  },
  {
    name: "a mapping made for reading before the copy-up sees what is written after it",
    notPassthrough: "whoever has the lower file open keeps to it",
    lowers: [{ f: file("0123456789", { size: 4096 }) }],
    skip: { overlay: "such a mapping keeps to the lower file" },
    steps: `
      r = open f O_RDONLY
      m = mmap $r 4096 r shared
      p = mmap $r 4096 r private
      mread $m 0 4 -> 0123
      w = open f O_RDWR
      pwrite $w 0 NEW
      mread $m 0 4 -> NEW3
      mread $p 0 4 -> NEW3
    `,
  },
  {
    name: "private mappings keep their changes to themselves",
    lowers: [{ f: file("0123456789", { size: 4096 }) }],
    upper: { u: file("abcdefghij", { size: 4096 }) },
    steps: `
      fd = open f O_RDONLY
      m = mmap $fd 4096 rw private
      mwrite $m 0 XX
      mread $m 0 4 -> XX23
      pread $fd 4 0 -> 0123
      ud = open u O_RDWR
      n = mmap $ud 4096 rw private
      mwrite $n 0 YY
      pread $ud 4 0 -> abcd
      x = open f O_RDONLY
      mmap $x 4096 rw shared -> EACCES
    `,
  },
  {
    name: "what is written through a mapping is there after closing, dropping caches and remounting",
    lowers: [{ f: file("", { fill: 1 << 20 }) }],
    steps: `
      fd = open f O_RDWR
      m = mmap $fd 1M
      close $fd
      mwrite $m 500000 through-the-mapping
      msync $m
      munmap $m
      drop_caches
      fd = open f O_RDONLY
      pread $fd 19 500000 -> through-the-mapping
      verify $fd 0 500000 -> good
      close $fd
      remount
      fd = open f O_RDONLY
      pread $fd 19 500000 -> through-the-mapping
    `,
  },
]);
