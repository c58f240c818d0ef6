import { file, hard, link } from "../harness/layers.js";
import { keepsLower, type Theme } from "./table.js";

const apart = "the names of a lower file come apart at the first change unless index=on";

export const links: readonly Theme[] = [
  {
    title: "Hard links",
    cases: [
      {
        name: "written through one name, read through the others",
        lowers: [{ a: "data", b: hard("a"), "d/c": hard("a") }],
        complaint: "Hard links come apart, link counts drift",
        overlay: apart,
        steps: `
          append a +a
          cat b -> data+a
          cat d/c -> data+a
          append d/c +c
          cat a -> data+a+c
          stat b nlink -> 3
        `,
      },
      {
        name: "one inode number before and after the copy-up",
        lowers: [{ a: "data", b: hard("a"), "d/c": hard("a") }],
        overlay: apart,
        steps: `
          i = ino a
          ino b -> $i
          ino d/c -> $i
          chmod b 0600
          ino a -> $i
          ino b -> $i
          ino d/c -> $i
          stat a mode -> 0600
        `,
      },
      {
        name: "a remount between the change through one name and the change through another",
        lowers: [{ a: "data", b: hard("a"), "d/c": hard("a") }],
        overlay: apart,
        steps: `
          append a +a
          remount
          append d/c +c
          cat b -> data+a+c
          stat a nlink -> 3
          remount
          truncate b 2
          cat a -> da
          cat d/c -> da
        `,
      },
      {
        name: "the last name of a file that was opened by another one, which is gone",
        lowers: [{ a: "data", n: "new" }],
        steps: `
          i = ino a
          link a b
          drop_caches
          fd = open b O_RDWR|O_APPEND
          unlink b
          ino a -> $i
          cat a -> data
          write $fd +more
          stat a size,nlink -> "9 1"
          cat a -> data+more
          link n m
          j = ino n
          put o x
          drop_caches
          fn = open m O_RDWR|O_APPEND
          rename o m
          ino n -> $j
          cat n -> new
          write $fn +more
          cat n -> new+more
        `,
      },
      {
        name: "the link count goes down as names go, in any order",
        lowers: [{ a: "data", b: hard("a"), c: hard("a"), d: hard("a") }],
        overlay: apart,
        steps: `
          unlink b
          stat a nlink -> 3
          append a +
          stat c nlink -> 3
          unlink a
          stat d nlink -> 2
          cat d -> data+
          unlink c
          stat d nlink -> 1
          remount
          cat d -> data+
          stat d nlink -> 1
        `,
      },
      {
        name: "the link count of an open file follows",
        passthrough: keepsLower,
        lowers: [{ a: "data", b: hard("a") }],
        overlay: apart,
        steps: `
          fd = open a O_RDONLY
          fstat $fd nlink -> 2
          unlink a
          fstat $fd nlink -> 1
          append b more
          pread $fd 10 0 -> datamore
          unlink b
          fstat $fd nlink -> 0
          pread $fd 10 0 -> datamore
        `,
      },
      {
        name: "renaming one name over the other does nothing",
        lowers: [{ a: "data", b: hard("a") }],
        steps: `
          rename a b
          ls -> a b
          append a +
          rename a b
          ls -> a b
          stat a nlink -> 2
        `,
      },
      {
        name: "renaming another file over one name leaves the others",
        lowers: [{ a: "data", b: hard("a"), c: "other" }],
        steps: `
          rename c a
          cat a -> other
          cat b -> data
          stat b nlink -> 1
          stat a nlink -> 1
        `,
      },
      {
        name: "a new name of a lower file, in another directory",
        lowers: [{ "d/a": "data", "e/": {} }],
        steps: `
          i = ino d/a
          link d/a e/b
          ino e/b -> $i
          ino d/a -> $i
          stat e/b nlink -> 2
          append e/b +
          cat d/a -> data+
          remount
          append d/a +
          cat e/b -> data++
        `,
      },
      {
        name: "a new name of a lower file that has several",
        lowers: [{ a: "data", b: hard("a") }],
        overlay: apart,
        steps: `
          link a c
          stat b nlink -> 3
          append c +
          cat b -> data+
          unlink a
          remount
          stat b nlink -> 2
          cat b -> data+
        `,
      },
      {
        name: "names in a directory that is renamed",
        lowers: [{ "d/a": "data", b: hard("d/a"), "d/e/c": hard("d/a") }],
        overlay: "renaming a directory needs redirect_dir=on, and links index=on",
        steps: `
          append b +
          rename d d2
          cat d2/a -> data+
          append d2/e/c +
          cat b -> data++
          stat d2/a nlink -> 3
          remount
          cat d2/a -> data++
          stat b nlink -> 3
        `,
      },
      {
        name: "renamed names stay names of the file",
        lowers: [{ a: "data", b: hard("a"), "d/": {} }],
        overlay: apart,
        steps: `
          rename a d/x
          append d/x +
          cat b -> data+
          rename b y
          append y +
          cat d/x -> data++
          stat y nlink -> 2
        `,
      },
      {
        name: "exchanged with another file",
        lowers: [{ a: "data", b: hard("a"), c: "other" }],
        overlay: apart,
        steps: `
          rename a c RENAME_EXCHANGE
          cat a -> other
          append c +
          cat b -> data+
          stat b nlink -> 2
          stat a nlink -> 1
        `,
      },
      {
        name: "of a symbolic link",
        lowers: [{ a: link("target"), b: hard("a") }],
        overlay: apart,
        steps: `
          chown a 12 34
          stat b uid,gid,nlink -> "12 34 2"
          unlink a
          readlink b -> target
          stat b nlink -> 1
        `,
      },
      {
        name: "a link to a symbolic link is to the link itself",
        lowers: [{ f: "f", l: link("f") }],
        steps: `
          link l m
          stat m type,nlink -> "link 2"
          readlink m -> f
        `,
      },
      {
        name: "a directory cannot be linked",
        lowers: [{ "d/": {} }],
        steps: `
          link d e -> EPERM
          link d d/e -> EPERM
          link none e -> ENOENT
          link d none/e -> ENOENT
        `,
      },
      {
        name: "onto a name that exists",
        lowers: [{ a: "a", b: "b", l: link("none") }],
        upper: { u: "u" },
        steps: `
          link a b -> EEXIST
          link a u -> EEXIST
          link u a -> EEXIST
          link a l -> EEXIST
          link a a -> EEXIST
          stat a nlink -> 1
        `,
      },
      {
        name: "written through a descriptor that was opened by another name",
        passthrough: keepsLower,
        lowers: [{ a: "data", b: hard("a") }],
        overlay: apart,
        steps: `
          r = open a O_RDONLY
          w = open b O_RDWR
          pwrite $w 0 D
          pread $r 10 0 -> Data
          cat a -> Data
          ftruncate $w 2
          fstat $r size -> 2
        `,
      },
      {
        name: "attributes through one name show through the other",
        lowers: [{ a: file("data", { xattrs: { "user.k": "v" } }), b: hard("a") }],
        overlay: apart,
        steps: `
          setx a user.k w
          getx b user.k -> w
          chown b 5 6
          stat a uid,gid -> "5 6"
          utimens a 1.5 2.5
          stat b mtime -> 2.500000000
        `,
      },
      {
        name: "removed and made again by ln -f, as backup programs do",
        lowers: [{ a: "data", b: hard("a"), c: "other" }],
        overlay: apart,
        steps: `
          sh "ln -f c a" -> "0 "
          cat a -> other
          stat c nlink -> 2
          stat b nlink -> 1
          append a +
          cat c -> other+
        `,
      },
      {
        name: "of an upper file",
        upper: { a: "data", b: hard("a") },
        steps: `
          append a +
          cat b -> data+
          link a c
          stat b nlink -> 3
          unlink a
          stat c nlink -> 2
          i = ino b
          ino c -> $i
        `,
      },
      {
        name: "cp -a, tar and rsync -H keep them together",
        lowers: [{ "d/a": "data", "d/b": hard("d/a"), "d/s/c": hard("d/a") }],
        steps: `
          sh "cp -a d e && stat -c %h e/a e/s/c" -> "0 3\\n3"
          sh "tar cf - d | (mkdir f; tar xf - -C f) && stat -c %h f/d/b" -> "0 3"
          sh "rsync -aH d/ g/ && stat -c %h g/s/c" -> "0 3"
        `,
      },
    ],
  },
];
