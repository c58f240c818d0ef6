import { file, link } from "../harness/layers.js";
import { keepsLower, type Theme } from "./table.js";

export const system: readonly Theme[] = [
  {
    title: "What the file system says of itself",
    cases: [
      {
        name: "statfs and fstatfs",
        lowers: [{ f: "f", "d/": {} }],
        steps: `
          statfs . -> "namemax=255 sane=True"
          statfs d -> "namemax=255 sane=True"
          r = open f O_RDONLY
          fstatfs $r -> "namemax=255 sane=True"
          sh "df . >/dev/null" -> "0 "
        `,
      },
      {
        name: "fstatfs by all kinds of descriptors, before and after the copy-up",
        lowers: [{ f: "f", "d/x": "x", l: link("f") }],
        upper: { u: "u" },
        steps: `
          p = open f O_PATH
          q = open l O_PATH|O_NOFOLLOW
          d = open d O_RDONLY|O_DIRECTORY
          u = open u O_WRONLY
          fstatfs $p -> "namemax=255 sane=True"
          fstatfs $q -> "namemax=255 sane=True"
          append f +
          put d/new x
          unlink u
          fstatfs $p -> "namemax=255 sane=True"
          fstatfs $d -> "namemax=255 sane=True"
          fstatfs $u -> "namemax=255 sane=True"
          sh "test $(stat -f -c %t .) = $(stat -f -c %t d/x)" -> "0 "
        `,
      },
      {
        name: "statx: one mount id for everything, the one that /proc knows",
        lowers: [{ f: "f", "d/x": "x" }],
        upper: { u: "u" },
        steps: `
          same_mount f d d/x u -> same
          append f +
          same_mount f -> same
        `,
      },
      {
        name: "chattr +i: neither written, removed, renamed nor linked",
        lowers: [{ f: "f", "d/g": "g" }],
        upper: { u: "u" },
        steps: `
          r = open u O_RDONLY
          setflags $r 0x10
          getflags $r -> 0x10
          append u x -> EPERM
          unlink u -> EPERM
          rename u v -> EPERM
          link u v -> EPERM
          chmod u 0600 -> EPERM
          setflags $r 0
          append u x
        `,
      },
      {
        name: "chattr +i of a lower file",
        lowers: [{ f: "f" }],
        steps: `
          r = open f O_RDONLY
          setflags $r 0x10
          append f x -> EPERM
          truncate f 0 -> EPERM
          unlink f -> EPERM
          remount
          append f x -> EPERM
          r = open f O_RDONLY
          setflags $r 0
          append f x
          cat f -> fx
        `,
      },
      {
        name: "chattr +a: only appended to",
        passthrough: keepsLower,
        lowers: [{ f: "f" }],
        steps: `
          r = open f O_RDONLY
          setflags $r 0x20
          append f x
          truncate f 0 -> EPERM
          unlink f -> EPERM
          setflags $r 0
          unlink f
        `,
      },
      {
        name: "chattr +d and what it means to the other interfaces",
        passthrough: keepsLower,
        lowers: [{ f: "f", "d/": {} }],
        steps: `
          r = open f O_RDONLY
          setflags $r 0x40
          getflags $r -> 0x40
          append f x
          getproject $r -> ?
          d = open d O_RDONLY|O_DIRECTORY
          setflags $d 0x40
          remount
          r = open f O_RDONLY
          d = open d O_RDONLY|O_DIRECTORY
          getflags $r -> 0x40
          getflags $d -> 0x40
        `,
      },
      {
        name: "chattr by who is not the owner",
        lowers: [{ f: file("f", { uid: 1000 }) }],
        steps: `
          @v become 1001 1001
          @v r = open f O_RDONLY
          @v setflags $r 0x40 -> EPERM
          @u become 1000 1000
          @u r = open f O_RDONLY
          @u setflags $r 0x40
          @u setflags $r 0x10 -> EPERM
          r = open f O_RDONLY
          getflags $r -> 0x40
        `,
      },
      {
        name: "chattr in the attributes of statx",
        differs: "the kernel does not ask FUSE file systems for them; FS_IOC_GETFLAGS and lsattr tell",
        upper: { u: "u" },
        steps: `
          r = open u O_RDONLY
          setflags $r 0x40
          attributes u -> nodump
          setflags $r 0
          attributes u -> none
        `,
      },
      {
        name: "opening an append-only file for other writing",
        cached: "the kernel opens files without asking the driver; what is refused is the write",
        upper: { u: "u" },
        steps: `
          r = open u O_RDONLY
          setflags $r 0x20
          opens u O_WRONLY -> EPERM
          opens u O_WRONLY|O_APPEND
          opens u O_WRONLY|O_TRUNC -> EPERM
          cat u -> u
          setflags $r 0
        `,
      },
      {
        name: "other ioctls",
        lowers: [{ f: "0123456789" }],
        steps: `
          r = open f O_RDONLY
          fionread $r -> 10
          ioctl $r 0x5401 -> ENOTTY
          ioctl $r 0x12345678 -> ENOTTY
        `,
      },
      {
        name: "poll, fadvise, leases",
        lowers: [{ f: "f" }],
        steps: `
          r = open f O_RDWR
          poll $r 5 -> 5
          fadvise $r 4
          fadvise $r 3
          fadvise $r 99 -> EINVAL
          lease $r read -> EAGAIN
          getlease $r -> un
        `,
      },
    ],
  },
  {
    title: "A read-only mount",
    readOnly: true,
    cases: [
      {
        name: "refuses every change",
        lowers: [{ f: "f", "d/x": "x", l: link("f") }, { g: "g" }],
        tree: "dirtimes",
        steps: `
          open f O_RDWR -> EROFS
          open new O_RDWR|O_CREAT -> EROFS
          open f O_RDONLY|O_TRUNC -> EROFS
          truncate f 0 -> EROFS
          chmod f 0600 -> EROFS
          chown l 1 1 -> EROFS
          utimens g now now -> EROFS
          setx f user.k v -> EROFS
          rmx f user.k -> EROFS
          unlink g -> EROFS
          rmdir d -> EROFS
          mkdir e -> EROFS
          rename f g -> EROFS
          link f h -> EROFS
          symlink f m -> EROFS
          mknod p fifo -> EROFS
          open . O_TMPFILE|O_RDWR -> EROFS
        `,
      },
      {
        name: "is read like any other",
        lowers: [
          { f: "f", "d/x": "x", l: link("f"), p: { type: "fifo" } },
          { g: "g", "d/y": "y" },
        ],
        steps: `
          cat f -> f
          cat l -> f
          ls d -> x y
          dtypes . -> ?
          access f 2 -> EROFS
          access f 4
          pipe_through p hello -> hello
          r = open f O_RDONLY
          m = mmap $r 1 rw private
          mwrite $m 0 x
          mread $m 0 1 -> x
          cat f -> f
          mkdir d -> EEXIST
          stat none -> ENOENT
        `,
      },
    ],
  },
];
