import { file, hard, link, many } from "../harness/layers.js";
import type { Theme } from "./table.js";

export const inodes: readonly Theme[] = [
  {
    title: "Inode numbers",
    cases: [
      {
        name: "stay over the copy-up of files of all kinds",
        complaint: "Inode numbers change under a program",
        overlay: "the number is kept only with xino, or where all layers are on one file system",
        lowers: [
          { f: "f", l: link("x"), p: { type: "fifo" }, s: { type: "socket" }, c: { type: "char", major: 1, minor: 3 } },
        ],
        steps: `
          f = ino f
          l = ino l
          p = ino p
          s = ino s
          c = ino c
          append f +
          chown l 1 1
          chmod p 0600
          chmod s 0600
          chmod c 0600
          ino f -> $f
          ino l -> $l
          ino p -> $p
          ino s -> $s
          ino c -> $c
        `,
      },
      {
        name: "of a lower file stay over copy-up and remounts",
        lowers: [{ f: "f" }],
        steps: `
          f = ino f
          append f +
          ino f -> $f
          remount
          ino f -> $f
          append f +
          ino f -> $f
          remount
          ino f -> $f
        `,
      },
      {
        name: "of a lower file with links stay over copy-up and remounts",
        lowers: [{ f: "f", g: hard("f") }],
        steps: `
          f = ino f
          append g +
          remount
          ino f -> $f
          ino g -> $f
        `,
      },
      {
        name: "of directories stay over copy-up and remounts",
        lowers: [{ "d/s/x": "x" }],
        steps: `
          d = ino d
          s = ino d/s
          put d/s/new new
          ino d -> $d
          ino d/s -> $s
          remount
          ino d -> $d
          ino d/s -> $s
        `,
      },
      {
        name: "of merged directories stay when the upper one goes and comes",
        lowers: [{ "d/x": "x" }, { "d/y": "y" }],
        upper: { "d/z": "z" },
        steps: `
          d = ino d
          unlink d/z
          unlink d/x
          put d/z z
          ino d -> $d
          drop_caches
          ino d -> $d
        `,
      },
      {
        name: "of upper files stay over remounts",
        upper: { u: "u", "d/v": "v" },
        steps: `
          u = ino u
          v = ino d/v
          d = ino d
          remount
          ino u -> $u
          ino d/v -> $v
          ino d -> $d
        `,
      },
      {
        name: "stay over renames, of directories with everything in them",
        overlay: "a directory with lower parts is renamed only with redirect_dir=on",
        lowers: [{ f: "f", "d/x": "x", "d/s/y": "y" }],
        steps: `
          f = ino f
          d = ino d
          x = ino d/x
          y = ino d/s/y
          rename f g
          rename d e
          ino g -> $f
          ino e -> $d
          ino e/x -> $x
          ino e/s/y -> $y
          drop_caches
          ino e/s/y -> $y
        `,
      },
      {
        name: "stay over a rename and a remount",
        overlay: "a directory with lower parts is renamed only with redirect_dir=on",
        lowers: [{ f: "f", "d/x": "x" }],
        steps: `
          f = ino f
          d = ino d
          x = ino d/x
          rename f g
          rename d e
          remount
          ino g -> $f
          ino e -> $d
          ino e/x -> $x
        `,
      },
      {
        name: "stay when the kernel forgets and asks again",
        lowers: [{ f: "f", "d/x": "x" }],
        steps: `
          f = ino f
          d = ino d
          append f +
          chmod d/x 0600
          x = ino d/x
          drop_caches
          ino f -> $f
          ino d -> $d
          ino d/x -> $x
        `,
      },
      {
        name: "in a listing are those of stat, for all kinds of layers",
        overlay: "the numbers in a listing are those of the layers",
        lowers: [
          { f: "f", g: "g", "d/x": "x", l: link("x") },
          { h: "h", "d/y": "y", "e/z": "z" },
        ],
        upper: { u: "u", "d/v": "v" },
        steps: `
          append f +
          append h +
          append d/y +
          mkdir n
          link g g2
          dinos . -> good
          dinos d -> good
          dots . -> good
          dots d -> good
          dots n -> good
        `,
      },
      {
        name: "in a listing are those of stat, after renames",
        overlay: "a directory with lower parts is renamed only with redirect_dir=on",
        lowers: [{ f: "f", "d/s/x": "x" }],
        steps: `
          append f +
          rename f d/g
          rename d e
          dinos . -> good
          dinos e -> good
          dots e/s -> good
          drop_caches
          dinos e -> good
        `,
      },
      {
        name: "are each used once",
        lowers: [
          { "d/%": many(100), f: "f" },
          { "e/%": many(100), g: "g" },
        ],
        upper: { "u/%": many(50) },
        steps: `
          append f +
          append g +
          many_create d n% 20
          sh "find . -printf '%i\\n' | sort | uniq -d" -> "0 "
          remount
          sh "find . -printf '%i\\n' | sort | uniq -d" -> "0 "
        `,
      },
      {
        name: "of an open file, removed and replaced",
        lowers: [{ f: "f" }],
        steps: `
          f = ino f
          r = open f O_RDONLY
          fino $r -> $f
          unlink f
          put f new
          fino $r -> $f
          w = open f O_RDWR
          fstat $w size -> 3
        `,
      },
      {
        name: "one st_dev for everything",
        overlay: "files that are not directories show the device of their layer",
        lowers: [
          { f: "f", "d/x": "x" },
          { g: "g", "d/y": "y" },
        ],
        upper: { u: "u" },
        steps: `
          same_dev . f g u d d/x d/y -> same
          append g +
          same_dev . g -> same
        `,
      },
      {
        name: "find -xdev, du -x and cp -x see one file system",
        lowers: [
          { f: "f", "d/x": "x" },
          { g: "g", "d/y": "y" },
        ],
        upper: { u: "u" },
        steps: `
          sh "find . -xdev | sort" -> ?
          sh "d=$(mktemp -d); cp -ax . $d && ls $d; rm -r $d" -> "0 d\\nf\\ng\\nu"
        `,
      },
      {
        name: "what tar looks at: nothing of a file changes when others are copied up",
        complaint: "tar: file changed as we read it",
        lowers: [{ "d/f": "f", "d/g": "g", "d/s/x": "x" }],
        steps: `
          f = stat d/f dev,ino,mode,nlink,uid,gid,size,mtime,ctime
          d = stat d dev,ino,mode,nlink,uid,gid,mtime,ctime
          fd = open d/f O_RDONLY
          append d/g +
          chmod d/s 0700
          fstat $fd dev,ino,mode,nlink,uid,gid,size,mtime,ctime -> $f
          read $fd 9 -> f
          stat d/f dev,ino,mode,nlink,uid,gid,size,mtime,ctime -> $f
          stat d dev,ino,mode,nlink,uid,gid,mtime,ctime -> $d
          ls d -> f g s
          stat d dev,ino,mode,nlink,uid,gid,mtime,ctime -> $d
          sh "tar cf - d | tar tf - | wc -l" -> "0 5"
        `,
      },
      {
        name: "tar of hard links, one of which has been changed",
        complaint: "Archives of changed trees lose hard links",
        overlay: "the names of a lower file come apart at the first change unless index=on",
        lowers: [{ "d/a": "data", "d/b": hard("d/a"), "d/c": hard("d/a") }],
        steps: `
          append d/b +
          sh "tar cf - d 2>&1 | tar tvf - | grep -c 'link to'" -> "0 2"
        `,
      },
      {
        name: "of a file changed by rename over it are those of the new one",
        lowers: [{ f: "f", g: "g" }],
        steps: `
          g = ino g
          rename g f
          ino f -> $g
          remount
          ino f -> $g
        `,
      },
    ],
  },
  {
    title: "Inode numbers of several file systems",
    lowerPlaces: ["tmpfs:16M", "ext4:16M", "disk"],
    cases: [
      {
        name: "are each used once, in one st_dev",
        complaint: "With layers on several file systems st_dev differs from file to file",
        overlay: "without xino the numbers are those of the layers, and so are the devices",
        lowers: [
          { a: "a", "d/x": "x" },
          { b: "b", "d/y": "y" },
          { c: "c", "d/z": "z" },
        ],
        upper: { u: "u" },
        steps: `
          same_dev . a b c u d d/x d/y d/z -> same
          sh "find . -printf '%i\\n' | sort | uniq -d" -> "0 "
          dinos . -> good
          dinos d -> good
        `,
      },
      {
        name: "stay over copy-up",
        lowers: [{ a: "a", "d/x": "x" }, { b: "b", "d/y": "y" }, { c: "c" }],
        steps: `
          a = ino a
          b = ino b
          c = ino c
          d = ino d
          append a +
          append b +
          append c +
          put d/new n
          ino a -> $a
          ino b -> $b
          ino c -> $c
          ino d -> $d
          same_dev . a b c d -> same
        `,
      },
      {
        name: "stay over copy-up and a remount",
        lowers: [{ a: "a", "d/x": "x" }, { b: "b", "d/y": "y" }, { c: "c" }],
        steps: `
          b = ino b
          c = ino c
          append b +
          append c +
          remount
          ino b -> $b
          ino c -> $c
          dinos . -> good
        `,
      },
      {
        name: "hard links of each file system stay together",
        overlay: "the names of a lower file come apart at the first change unless index=on",
        lowers: [
          { a: "a", a2: hard("a") },
          { b: "b", b2: hard("b") },
          { c: "c", c2: hard("c") },
        ],
        steps: `
          append a +
          cat a2 -> a+
          append b +
          cat b2 -> b+
          append c +
          cat c2 -> c+
          stat b2 nlink -> 2
        `,
      },
      {
        name: "a rename takes the number along",
        lowers: [{ a: "a" }, { b: file("b") }, { "d/z": "z" }],
        steps: `
          a = ino a
          b = ino b
          rename a a1
          rename b a
          ino a1 -> $a
          ino a -> $b
        `,
      },
    ],
  },
];
