import { file } from "../harness/layers.js";
import type { Theme } from "./table.js";

export const dataBelow: readonly Theme[] = [
  {
    title: "Attributes without the data",
    upperPlace: "ext4:128M",
    cases: [
      {
        name: "chmod, chown, utimens and setxattr of a large lower file",
        complaint: "chmod or chown copies whole files and doubles layers",
        overlay: "needs metacopy=on",
        lowers: [{ f: file("", { fill: 24 << 20 }) }],
        steps: `
          before = free .
          chmod f 0600
          chown f 5 6
          utimens f 1.5 2.5
          setx f user.k v
          used . $before 1024 -> little
          stat f mode,uid,gid,size,mtime -> "0600 5 6 25165824 2.500000000"
          r = open f O_RDONLY
          verify $r 0 24M
        `,
      },
      {
        name: "chown -R of a tree of large files",
        complaint: "chown -R at the start of a container takes minutes and space",
        overlay: "needs metacopy=on",
        lowers: [
          {
            "d/a": file("", { fill: 8 << 20 }),
            "d/b": file("", { fill: 8 << 20 }),
            "d/s/c": file("", { fill: 8 << 20 }),
          },
        ],
        steps: `
          before = free .
          sh "chown -R 1000:1000 d" -> "0 "
          used . $before 1024 -> little
          sh "stat -c %u:%g d d/a d/s/c" -> "0 1000:1000\\n1000:1000\\n1000:1000"
          remount
          r = open d/a O_RDONLY
          verify $r 0 8M
        `,
      },
      {
        name: "rename and link of a large lower file",
        overlay: "needs metacopy=on",
        lowers: [{ f: file("", { fill: 8 << 20 }), "d/": {} }],
        steps: `
          before = free .
          rename f d/g
          link d/g h
          used . $before 1024 -> little
          r = open h O_RDONLY
          verify $r 0 8M
          stat h nlink -> 2
        `,
      },
      {
        name: "then the first write copies it, and everything stays",
        lowers: [{ f: file("", { fill: 4 << 20 }) }],
        steps: `
          chmod f 0640
          setx f user.k v
          r = open f O_RDONLY
          w = open f O_RDWR
          pwrite $w 2M changed
          verify $w 0 2M
          pread $w 7 2M -> changed
          verify $w 3M 1M
          stat f mode,size -> "0640 4194304"
          getx f user.k -> v
          remount
          r = open f O_RDONLY
          verify $r 3M 1M
        `,
      },
      {
        name: "then truncated",
        lowers: [{ f: file("", { fill: 4 << 20 }) }],
        steps: `
          chmod f 0640
          truncate f 1000
          r = open f O_RDONLY
          verify $r 0 1000
          truncate f 3000
          fstat $r size -> 3000
          pread $r 2 2000 -> "\\0\\0"
        `,
      },
      {
        name: "over remounts, and renamed meanwhile",
        overlay: "renaming a directory needs redirect_dir=on",
        lowers: [{ "d/f": file("", { fill: 2 << 20 }) }],
        steps: `
          chmod d/f 0600
          remount
          rename d e
          rename e/f g
          remount
          stat g mode,size -> "0600 2097152"
          r = open g O_RDONLY
          verify $r 0 2M
          w = open g O_RDWR
          pwrite $w 0 x
          verify $w 64 1M
        `,
        tree: "none",
      },
      {
        name: "an open of the file for writing, without a write, keeps contents and times",
        lowers: [{ f: file("", { fill: 100_000 }) }],
        steps: `
          m = stat f mtime
          opens f O_RDWR
          opens f O_WRONLY|O_APPEND
          stat f mtime -> $m
          r = open f O_RDONLY
          verify $r 0 100000
        `,
      },
    ],
  },
];
