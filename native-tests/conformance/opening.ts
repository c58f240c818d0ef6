import { file, link } from "../harness/layers.js";
import type { Theme } from "./table.js";

export const opening: readonly Theme[] = [
  {
    title: "Opening, removing, unnamed files",
    cases: [
      {
        name: "O_CREAT and O_EXCL on what exists in each layer",
        lowers: [{ f: "f", "d/": {}, l: link("f"), n: link("none") }],
        upper: { u: "u" },
        steps: `
          open f O_RDWR|O_CREAT|O_EXCL -> EEXIST
          open u O_RDWR|O_CREAT|O_EXCL -> EEXIST
          open l O_RDWR|O_CREAT|O_EXCL -> EEXIST
          open n O_RDWR|O_CREAT|O_EXCL -> EEXIST
          open d O_RDONLY|O_CREAT -> EISDIR
          open f O_RDONLY|O_CREAT
          unlink f
          open f O_RDWR|O_CREAT|O_EXCL
          stat f size -> 0
        `,
      },
      {
        name: "two processes create with O_EXCL at the same time",
        lowers: [{ "d/": {} }],
        steps: `
          creat_exclusive_twice d/lock -> wrong=0
        `,
      },
      {
        name: "O_DIRECTORY, O_PATH, O_NOFOLLOW, O_NOATIME",
        lowers: [{ f: file("f", { uid: 1000 }), "d/x": "x", l: link("f") }],
        steps: `
          open f O_RDONLY|O_DIRECTORY -> ENOTDIR
          p = open d O_PATH
          fstatat $p x type -> file
          q = open l O_PATH|O_NOFOLLOW
          fstat $q type -> link
          r = open f O_RDONLY|O_NOATIME
          @v become 1001 1001
          @v open f O_RDONLY|O_NOATIME -> EPERM
          o = open f O_PATH
          read $o 1 -> EBADF
          fchmod $o 0600 -> EBADF
        `,
      },
      {
        name: "a lower file removed while it is open",
        lowers: [{ f: "lower", g: "lower" }],
        overlay: "a file of the lower layer keeps its link count, and cannot be changed where it has no name",
        steps: `
          r = open f O_RDONLY
          w = open g O_RDWR
          unlink f
          unlink g
          read $r 9 -> lower
          pwrite $w 0 L
          pread $w 9 0 -> Lower
          fstat $r nlink -> 0
          fstat $w nlink,size -> "0 5"
          fchmod $r 0600
          fstat $r mode -> 0600
          fsetx $r user.k v
          fgetx $r user.k -> v
          futimens $r 1.5 2.5
          fstat $r mtime -> 2.500000000
        `,
      },
      {
        name: "a name removed and made again while the first is open",
        lowers: [{ f: "one" }],
        steps: `
          a = open f O_RDWR
          unlink f
          b = open f O_RDWR|O_CREAT|O_EXCL
          pwrite $b 0 two
          unlink f
          c = open f O_RDWR|O_CREAT|O_EXCL
          pwrite $c 0 three
          pread $a 9 0 -> one
          pread $b 9 0 -> two
          pread $c 9 0 -> three
          fstat $a nlink -> 0
          cat f -> three
        `,
        overlay: "a removed lower file keeps its link count",
      },
      {
        name: "O_TMPFILE, given a name later",
        complaint: "O_TMPFILE is missing",
        lowers: [{ "d/there": "there" }],
        steps: `
          t = open d O_TMPFILE|O_RDWR 0640
          write $t unnamed
          fstat $t nlink,mode,size -> "0 0640 7"
          ls d -> there
          linkproc $t d/there -> EEXIST
          linkproc $t d/named
          cat d/named -> unnamed
          fstat $t nlink -> 1
          linkfd $t d/second
          stat d/second nlink -> 2
          x = open d O_TMPFILE|O_RDWR|O_EXCL
          linkproc $x d/never -> ENOENT
          open d O_TMPFILE|O_RDONLY -> EINVAL
          open d/there O_TMPFILE|O_RDWR -> ENOTDIR
          open none O_TMPFILE|O_RDWR -> ENOENT
        `,
      },
      {
        name: "O_TMPFILE onto a removed lower name, and in a lower directory",
        lowers: [{ "d/gone": "old", "d/s/x": "x" }],
        steps: `
          unlink d/gone
          t = open d/s O_TMPFILE|O_RDWR
          write $t new
          linkproc $t d/gone
          cat d/gone -> new
          i = fino $t
          ino d/gone -> $i
          remount
          cat d/gone -> new
        `,
      },
      {
        name: "O_TMPFILE with umask, owner and set-gid directory",
        lowers: [{ "g/": { mode: 0o2777, gid: 1005 } }],
        steps: `
          @u become 1000 1000
          @u umask 027
          @u t = open g O_TMPFILE|O_RDWR 0666
          @u fstat $t mode,uid,gid -> "0640 1000 1005"
          @u linkproc $t g/f
          stat g/f uid,gid -> "1000 1005"
        `,
      },
      {
        name: "unlink and rmdir of the wrong kind",
        lowers: [{ f: "f", "d/": {}, l: link("d") }],
        steps: `
          unlink d -> EISDIR
          rmdir f -> ENOTDIR
          rmdir l -> ENOTDIR
          unlink none -> ENOENT
          unlink f/x -> ENOTDIR
          rmdir d/none -> ENOENT
          unlink l
          rmdir d
          unlink f
          ls -> ""
        `,
      },
      {
        name: "a hundred descriptors on one removed file",
        lowers: [{ f: "data" }],
        steps: `
          r = open f O_RDWR
          s = dup $r
          t = open /proc/self/fd/$r O_RDONLY
          unlink f
          pwrite $s 0 D
          pread $t 9 0 -> Data
          u = open /proc/self/fd/$r O_RDWR
          pwrite $u 4 !
          pread $r 9 0 -> Data!
          close $r
          pread $t 9 0 -> Data!
        `,
      },
      {
        name: "shell redirections, temporary files and atomic replacement",
        lowers: [{ "etc/conf": "a=1\nb=2\n" }],
        steps: `
          sh "sed -i s/1/3/ etc/conf; cat etc/conf" -> "0 a=3\\nb=2"
          sh "sort -r -o etc/conf etc/conf; cat etc/conf" -> "0 b=2\\na=3"
          sh "echo c=4 >>etc/conf; wc -l <etc/conf" -> "0 3"
          sh "set -C; echo x >etc/conf || echo refused" -> ?
          sh "f=$(mktemp -p etc); mv $f etc/conf; stat -c '%a %s' etc/conf" -> "0 600 0"
        `,
      },
    ],
  },
];
