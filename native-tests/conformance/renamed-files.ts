import { hard } from "../harness/layers.js";
import type { Theme } from "./table.js";

export const renamedFiles: readonly Theme[] = [
  {
    title: "Renamed files",
    cases: [
      {
        name: "between directories of all kinds",
        lowers: [
          { f: "f", "a/x": "x" },
          { "a/y": "y", "b/z": "z" },
        ],
        upper: { "u/v": "v" },
        steps: `
          rename f b/f
          rename a/x u/x
          rename a/y a/x
          rename u/v a/y
          rename b/z z
          sh "find . -type f | sort | xargs tail -n +1" -> ?
          remount
          sh "find . -type f | sort | xargs tail -n +1" -> ?
        `,
      },
      {
        name: "a chain: each name takes the place of the one before",
        lowers: [{ a: "a", b: "b", c: "c", d: "d" }],
        steps: `
          unlink a
          rename b a
          rename c b
          rename d c
          sh "head a b c" -> ?
          ls -> a b c
          remount
          ls -> a b c
        `,
      },
      {
        name: "log rotation",
        lowers: [{ log: "new", "log.1": "old", "log.2": "older" }],
        steps: `
          w = open log O_WRONLY|O_APPEND
          rename log.2 log.3
          rename log.1 log.2
          rename log log.1
          put log ""
          write $w +
          cat log.1 -> new+
          cat log -> ""
          cat log.3 -> older
        `,
      },
      {
        name: "the way editors save: write beside, rename over",
        lowers: [{ f: "old", g: hard("f") }],
        steps: `
          i = ino f
          put f.new new
          chmod f.new 0644
          rename f.new f
          cat f -> new
          cat g -> old
          ino g -> $i
          stat g nlink -> 1
        `,
      },
      {
        name: "an open file follows its name, and what it replaced lives on",
        lowers: [{ f: "f", g: "g" }],
        steps: `
          f = open f O_RDWR
          g = open g O_RDWR
          rename f g
          pwrite $f 0 F
          cat g -> F
          pwrite $g 0 G
          pread $g 2 0 -> G
          cat g -> F
          fstat $g nlink -> 0
          fdpath $f -> MNT/g
        `,
        overlay: "a file that was open at a descriptor before keeps that of the lower layer, and its link count",
      },
      {
        name: "flags that make no sense",
        lowers: [{ f: "f", g: "g" }],
        steps: `
          rename f g RENAME_NOREPLACE|RENAME_EXCHANGE -> EINVAL
          rename f g 0x80 -> EINVAL
          rename none g RENAME_EXCHANGE -> ENOENT
          rename f none RENAME_EXCHANGE -> ENOENT
        `,
      },
      {
        name: "names with trailing slashes, dots, and through files",
        lowers: [{ f: "f", "d/": {} }],
        steps: `
          rename f/ g -> ENOTDIR
          rename f g/ -> ENOTDIR
          rename d/. e -> EBUSY
          rename d e/.. -> ENOENT
          rename f d/.. -> EBUSY
          rename f/x g -> ENOTDIR
          rename d e/
          ls -> e f
        `,
      },
      {
        name: "devices, sockets and fifos",
        lowers: [{ p: { type: "fifo" }, s: { type: "socket" }, c: { type: "char", major: 1, minor: 3 }, f: "f" }],
        steps: `
          rename p p2
          rename s s2
          rename c c2
          stat p2 type -> fifo
          stat c2 type,rdev -> "char 1:3"
          rename c2 f
          stat f type -> char
          rename s2 p2 RENAME_EXCHANGE
          stat p2 type -> socket
        `,
      },
    ],
  },
];
