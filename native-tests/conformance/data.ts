import { file } from "../harness/layers.js";
import { keepsLower, type Theme } from "./table.js";

export const data: readonly Theme[] = [
  {
    title: "Data",
    cases: [
      {
        name: "truncated, longer and shorter",
        lowers: [{ f: "0123456789", g: "0123456789", h: "0123456789" }],
        steps: `
          truncate f 4
          cat f -> 0123
          truncate g 20
          stat g size -> 20
          sha g -> ?
          truncate h 0
          cat h -> ""
          truncate f 10
          sha f -> ?
          truncate none 1 -> ENOENT
          r = open f O_RDONLY
          ftruncate $r 1 -> EINVAL
        `,
      },
      {
        name: "opened with O_TRUNC, O_APPEND and both",
        lowers: [{ f: "lower", g: "lower", h: "lower" }],
        steps: `
          a = open f O_WRONLY|O_TRUNC
          pwrite $a 0 x
          cat f -> x
          b = open g O_WRONLY|O_APPEND
          write $b 1
          @p append g 2
          write $b 3
          cat g -> lower123
          c = open h O_WRONLY|O_TRUNC|O_APPEND
          write $c x
          cat h -> x
        `,
      },
      {
        name: "pwrite to an O_APPEND descriptor appends, as Linux does it",
        lowers: [{ f: "lower" }],
        steps: `
          a = open f O_WRONLY|O_APPEND
          pwrite $a 0 + -> 1
          cat f -> lower+
          w = open f O_WRONLY
          pwrite2 $w 0 ! 0x10 -> 1
          cat f -> lower+!
        `,
      },
      {
        name: "O_DIRECT",
        lowers: [{ f: file("", { fill: 16_384 }) }],
        steps: `
          d = open f O_RDWR|O_DIRECT
          dwrite $d 4096 D 4096 -> 4096
          r = open f O_RDONLY
          pread $r 3 4096 -> DDD
          w = open f O_RDWR
          pwrite $w 8192 buffered
          sh "dd if=f iflag=direct bs=4096 skip=2 count=1 2>/dev/null | head -c 8" -> "0 buffered"
        `,
      },
      {
        name: "O_SYNC, fsync, fdatasync, syncfs, sync_file_range",
        lowers: [{ f: "lower", "d/": {} }],
        steps: `
          a = open f O_RDWR|O_SYNC
          pwrite $a 0 L
          fsync $a
          fdatasync $a
          syncfs $a
          sync_file_range $a 0 0
          sync_file_range $a 0 0 0x80 -> EINVAL
          d = open d O_RDONLY|O_DIRECTORY
          fsync $d
          syncfs $d
          p = open f O_PATH
          fsync $p -> EBADF
          cat f -> Lower
        `,
      },
      {
        name: "syncfs and sync_file_range through descriptors that were opened for reading, before the copy-up",
        lowers: [{ f: file("", { fill: 10_000 }), "d/x": "x" }],
        steps: `
          r = open f O_RDONLY
          d = open d O_RDONLY|O_DIRECTORY
          sync_file_range $r 0 0
          sync_file_range $r 4096 100 2
          sync_file_range $r -1 100 -> EINVAL
          sync_file_range $r 0 -1 -> EINVAL
          sync_file_range $d 0 0
          fdatasync $r
          syncfs $r
          w = open f O_RDWR
          pwrite $w 5000 NEW
          sync_file_range $r 4096 4096
          sync_file_range $w 4096 4096 1
          sync_file_range $w 0 0 7
          fdatasync $r
          fdatasync $d
          syncfs $r
          p = open f O_PATH
          syncfs $p -> EBADF
          sync_file_range $p 0 0 -> EBADF
        `,
      },
      {
        name: "fallocate in all its modes",
        lowers: [{ f: file("", { fill: 65_536 }) }],
        steps: `
          w = open f O_RDWR
          fallocate $w 0 60000 10000
          fstat $w size -> 70000
          fallocate $w FALLOC_FL_KEEP_SIZE 70000 10000
          fstat $w size -> 70000
          fallocate $w FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE 8192 8192
          pread $w 3 8192 -> "\\0\\0\\0"
          fallocate $w FALLOC_FL_ZERO_RANGE 20000 1000
          pread $w 3 20000 -> "\\0\\0\\0"
          fallocate $w FALLOC_FL_PUNCH_HOLE 0 10 -> EOPNOTSUPP
          fallocate $w FALLOC_FL_COLLAPSE_RANGE 4096 4096 -> *
          fallocate $w 0 0 0 -> EINVAL
        `,
        tree: "none",
      },
      {
        name: "holes: SEEK_DATA and SEEK_HOLE, before and after the copy-up",
        passthrough: keepsLower,
        lowers: [
          {
            f: file("", {
              parts: [
                [0, "start"],
                [1 << 20, "middle"],
              ],
              size: 4 << 20,
            }),
          },
        ],
        steps: `
          r = open f O_RDONLY
          lseek $r 0 SEEK_DATA -> 0
          lseek $r 4096 SEEK_DATA -> 1048576
          lseek $r 0 SEEK_HOLE -> 4096
          lseek $r 1052672 SEEK_DATA -> ENXIO
          lseek $r 4M SEEK_DATA -> ENXIO
          append f end
          lseek $r 4096 SEEK_DATA -> 1048576
          lseek $r 1048576 SEEK_HOLE -> 1052672
          lseek $r 2M SEEK_DATA -> 4194304
        `,
      },
      {
        name: "a sparse lower file of 8 GiB stays sparse",
        complaint: "Copy-up fills the holes of sparse files (and the disk)",
        lowers: [{ f: file("", { parts: [[5_368_709_120, "far"]], size: 8_589_934_592 }) }],
        steps: `
          append f end
          r = open f O_RDONLY
          data $r -> ?
          pread $r 3 5368709120 -> far
          fstat $r size -> 8589934595
          sh "du -k f | cut -f1" -> ?
        `,
      },
      {
        name: "offsets beyond 4 GiB",
        lowers: [{ f: "start" }],
        steps: `
          w = open f O_RDWR
          pwrite $w 5G far
          pread $w 3 5G -> far
          pread $w 5 0 -> start
          ftruncate $w 4294967297
          fstat $w size -> 4294967297
          pread $w 3 5G -> ""
          m = mmap $w 4096 rw shared 4G
          mread $m 0 1 -> "\\0"
        `,
      },
      {
        name: "copy_file_range between layers, and within one file",
        lowers: [{ a: file("", { fill: 100_000 }), b: "b" }],
        upper: { u: "" },
        steps: `
          a = open a O_RDONLY
          u = open u O_RDWR
          copyrange $a 0 $u 0 100000 -> 100000
          verify $u 0 100000
          b = open b O_RDWR
          copyrange $a 4096 $b 1 1000 -> 1000
          fstat $b size -> 1001
          copyrange $u 0 $u 200000 4096 -> 4096
          fstat $u size -> 204096
          copyrange $u 0 $a 0 10 -> EBADF
        `,
      },
      {
        name: "sendfile and splice from a lower file and into an upper one",
        lowers: [{ a: file("", { fill: 50_000 }), t: "t" }],
        steps: `
          a = open a O_RDONLY
          o = open out O_RDWR|O_CREAT
          sendfile $o $a 0 50000 -> 50000
          verify $o 0 50000
          splice_out $a 0 10 -> ?
          t = open t O_RDWR
          b = open a O_RDONLY
          tee_through $b $t 4096 -> 4096
          verify $t 0 4096
        `,
      },
      {
        name: "a write refused for its size or place",
        lowers: [{ f: "f" }],
        steps: `
          w = open f O_RDWR
          pwrite $w 0 "" -> 0
          fallocate $w 0 0 0x7fffffffffffffff -> EFBIG
          ftruncate $w 0x7fffffffffffffff -> EFBIG
          cat f -> f
        `,
      },
      {
        name: "seeking beyond the largest file",
        differs:
          "the kernel has one limit for all FUSE file systems, 8 EiB, whatever the upper's is; a write that far fails as it should",
        lowers: [{ f: "f" }],
        steps: `
          w = open f O_RDWR
          lseek $w 0x7ffffffffffffff0 SEEK_SET -> EINVAL
          pwrite $w 16T x -> EFBIG
          cat f -> f
        `,
      },
      {
        name: "mremap, and mappings beyond the end",
        lowers: [{ f: file("", { fill: 4096 }) }],
        steps: `
          w = open f O_RDWR
          m = mmap $w 4096 rw
          pwrite $w 8192 more
          mremap_grow $m 12288
          mread $m 8192 4 -> more
          mwrite $m 4096 hole
          pread $w 4 4096 -> hole
        `,
      },
      {
        name: "a mapping lives on after the file was removed, and after it was replaced",
        lowers: [{ f: file("", { fill: 4096 }), g: "old" }],
        steps: `
          w = open f O_RDWR
          m = mmap $w 4096 rw
          close $w
          unlink f
          mwrite $m 0 alive
          mread $m 0 5 -> alive
          r = open g O_RDONLY
          n = mmap $r 3 r
          put x new
          rename x g
          mread $n 0 3 -> old
          cat g -> new
        `,
      },
      {
        name: "a writable mapping needs a writable descriptor",
        lowers: [{ f: file("", { fill: 4096 }) }],
        steps: `
          r = open f O_RDONLY
          mmap $r 4096 rw -> EACCES
          mmap $r 4096 rw private
          w = open f O_WRONLY
          mmap $w 4096 r -> EACCES
          d = open . O_RDONLY|O_DIRECTORY
          mmap $d 4096 r -> ENODEV
        `,
      },
      {
        name: "reading the file that is written, in one process and another",
        lowers: [{ f: "" }],
        steps: `
          w = open f O_RDWR
          @p r = open f O_RDONLY
          fill $w 0 200000 3
          @p verify $r 0 200000 3
          ftruncate $w 100
          @p fstat $r size -> 100
          fill $w 100 1000 5
          @p fstat $r size -> 1100
        `,
      },
      {
        name: "reflinks, where the file system has none",
        lowers: [{ a: "a" }],
        upper: { b: "b" },
        steps: `
          a = open a O_RDONLY
          b = open b O_RDWR
          clone $b $a -> EOPNOTSUPP
          cat b -> b
          sh "cp --reflink=auto a c; cat c" -> "0 a"
        `,
      },
    ],
  },
];
