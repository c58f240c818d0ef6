import { file, link, many, opaque, whiteout } from "../harness/layers.js";
import type { Theme } from "./table.js";

export const whiteouts: readonly Theme[] = [
  {
    title: "Removed and made again",
    cases: [
      {
        name: "a lower file",
        lowers: [{ f: "old" }, { f: "older" }],
        steps: `
          unlink f
          stat f -> ENOENT
          ls -> ""
          put f new
          cat f -> new
          unlink f
          remount
          stat f -> ENOENT
          ls -> ""
        `,
      },
      {
        name: "a directory: nothing of the lower one comes back",
        complaint: "Removed or recreated directories show what was in the lower layer",
        lowers: [{ "d/x": "x", "d/s/y": "y" }, { "d/z": "z" }],
        steps: `
          sh "rm -r d" -> "0 "
          mkdir d
          ls d -> ""
          remount
          ls d -> ""
          mkdir d/s
          ls d/s -> ""
          put d/x new
          cat d/x -> new
          remount
          ls d/s -> ""
          ls d -> s x
        `,
      },
      {
        name: "a directory, three times over",
        lowers: [{ "d/x": "x" }],
        steps: `
          sh "rm -r d" -> "0 "
          mkdir d
          put d/a a
          sh "rm -r d" -> "0 "
          mkdir d
          put d/b b
          sh "rm -r d" -> "0 "
          stat d -> ENOENT
          mkdir d
          ls d -> ""
          remount
          ls d -> ""
        `,
      },
      {
        name: "a file where a directory was, and the other way round",
        lowers: [{ "d/x": "x", f: "f" }, { "f/y": "y" }],
        steps: `
          sh "rm -r d" -> "0 "
          put d file
          cat d -> file
          unlink d
          mkdir d
          ls d -> ""
          unlink f
          mkdir f
          ls f -> ""
          remount
          ls d -> ""
          ls f -> ""
        `,
      },
      {
        name: "a symbolic link to a directory where the directory was",
        lowers: [{ "d/x": "x", "e/y": "y" }],
        steps: `
          sh "rm -r d" -> "0 "
          symlink e d
          ls d -> y
          unlink d
          mkdir d
          ls d -> ""
        `,
      },
      {
        name: "a tree, unpacked again over what was removed",
        lowers: [{ "t/a/b/c/f": "1", "t/a/g": "2" }],
        steps: `
          sh "cp -a t save && rm -r t && cp -a save t && rm -r t && mkdir -p t/a/b && find t | sort" -> "0 t\\nt/a\\nt/a/b"
          remount
          sh "find t | sort" -> "0 t\\nt/a\\nt/a/b"
        `,
      },
      {
        name: "a rename onto a removed name",
        lowers: [{ gone: "gone", f: "f", "d/x": "x" }, { "gone/y": "y" }],
        overlay: "a directory with lower parts is renamed only with redirect_dir=on",
        steps: `
          unlink gone
          rename f gone
          cat gone -> f
          unlink gone
          rename d gone
          ls gone -> x
          remount
          ls gone -> x
        `,
      },
      {
        name: "a link and a symbolic link onto a removed name",
        lowers: [{ a: "a", b: "b", f: "f" }],
        steps: `
          unlink a
          unlink b
          link f a
          symlink f b
          stat a nlink -> 2
          cat b -> f
          remount
          cat a -> f
          readlink b -> f
        `,
      },
      {
        name: "device, fifo and socket onto removed names",
        lowers: [{ a: "a", b: "b", c: "c" }],
        steps: `
          unlink a
          unlink b
          unlink c
          mknod a char 0644 1 3
          mknod b fifo
          mknod c socket
          dtypes . -> ?
        `,
      },
      {
        name: "a new directory is not merged with the lower one, even when it is renamed back and forth",
        lowers: [{ "d/x": "x", "e/y": "y" }],
        steps: `
          sh "rm -r d e" -> "0 "
          mkdir n
          rename n d
          ls d -> ""
          rename d e
          ls e -> ""
          rename e d
          ls d -> ""
          remount
          ls d -> ""
          mkdir e
          ls e -> ""
        `,
      },
      {
        name: "a removed directory that a process stands in",
        lowers: [{ "d/s/": {} }],
        steps: `
          @p chdir d/s
          rmdir d/s
          @p put ./x x -> ENOENT
          mkdir d/s
          ls d/s -> ""
          @p getcwd -> ENOENT
        `,
      },
      {
        name: "an open directory that has been removed",
        lowers: [{ "d/x": "x" }],
        steps: `
          fd = open d O_RDONLY|O_DIRECTORY
          unlink d/x
          rmdir d
          lsfd $fd -> ENOENT
          openat $fd new O_CREAT|O_WRONLY -> ENOENT
          mkdir d
          openat $fd new O_CREAT|O_WRONLY -> ENOENT
          fstat $fd nlink -> 0
        `,
      },
      {
        name: "rmdir of what is not empty, below or above",
        lowers: [{ "d/x": "x", "e/": {} }, { "e/y": "y" }],
        upper: { "u/v": "v" },
        steps: `
          rmdir d -> ENOTEMPTY
          rmdir e -> ENOTEMPTY
          rmdir u -> ENOTEMPTY
          unlink d/x
          rmdir d
          unlink e/y
          rmdir e
          unlink u/v
          rmdir u
          ls -> ""
        `,
      },
      {
        name: "rm -rf of a deep lower tree",
        lowers: [{ "t/a/b/c/d/e/f/g": "g", "t/a/b/c/x%": many(60), "t/l": link("a") }],
        steps: `
          sh "rm -rf t; ls -A" -> "0 "
          remount
          sh "ls -A" -> "0 "
          mkdir t
          mkdir t/a
          ls t/a -> ""
        `,
      },
      {
        name: "a user's own files that are named like the marks of union file systems",
        lowers: [{ a: "a" }],
        overlay: "only character devices are marks; what cowfs does about `.wh.` has no counterpart",
        steps: `
          put .wh.a user
          put .wh..wh..opq user
          mkdir .wh.dir
          cat a -> a
          cat .wh.a -> user
          ls -> .wh..wh..opq .wh.a .wh.dir a
          remount
          ls -> .wh..wh..opq .wh.a .wh.dir a
          cat a -> a
          truncate .wh.a 0
          remount
          cat a -> a
          stat .wh.a size -> 0
          unlink .wh.a
          ls -> .wh..wh..opq .wh.dir a
        `,
      },
      {
        name: "a user's own character device 0:0",
        lowers: [{ a: "a" }],
        overlay: "the device is taken for a whiteout",
        steps: `
          mknod dev char 0644 0 0
          stat dev type,rdev -> "char 0:0"
          ls -> a dev
          rename dev dev2
          stat dev2 type -> char
          unlink dev2
          ls -> a
        `,
      },
    ],
  },
  {
    title: "Marks in layers",
    cases: [
      {
        name: "whiteouts in a middle layer hide what is below, and not what is above",
        lowers: [
          { "d/a": "top" },
          { "d/a": whiteout, "d/b": whiteout, e: whiteout },
          { "d/b": "b", "d/c": "c", "e/x": "x" },
        ],
        steps: `
          ls d -> a c
          cat d/a -> top
          stat e -> ENOENT
          put d/b new
          cat d/b -> new
          mkdir e
          ls e -> ""
        `,
      },
      {
        name: "opaque directories in a middle layer",
        lowers: [{ "d/top": "t" }, { "d/": opaque, "d/mid": "m" }, { "d/low": "l", "d/s/x": "x" }],
        steps: `
          ls d -> mid top
          stat d/low -> ENOENT
          mkdir d/s
          ls d/s -> ""
          unlink d/mid
          put d/low new
          remount
          ls d -> low s top
        `,
      },
      {
        name: "a file covers a directory, and a directory a file",
        lowers: [{ a: "a", "b/x": "x" }, { "a/y": "y", b: "b" }, { "b/z": "z" }],
        steps: `
          stat a type -> file
          ls b -> x
          unlink a
          stat a -> ENOENT
          sh "rm -r b" -> "0 "
          stat b -> ENOENT
          mkdir b
          ls b -> ""
        `,
      },
      {
        name: "attributes of a merged directory are those of the topmost part",
        lowers: [
          { "d/": { mode: 0o700, uid: 1, gid: 2, mtime: "1000000000.5", xattrs: { "user.k": "top" } }, "d/x": "x" },
          { "d/": { mode: 0o755, uid: 3, gid: 4, xattrs: { "user.k": "low", "user.l": "low" } } },
        ],
        steps: `
          stat d mode,uid,gid,mtime -> "0700 1 2 1000000000.500000000"
          getx d user.k -> top
          listx d -> user.k
        `,
        tree: "none",
      },
      {
        name: "removing marks of the lower away: what comes up is never an older layer",
        lowers: [{ f: "1" }, { f: "2" }, { f: "3" }],
        upper: { f: "0" },
        steps: `
          cat f -> 0
          unlink f
          stat f -> ENOENT
          put f again
          unlink f
          stat f -> ENOENT
          remount
          stat f -> ENOENT
        `,
      },
      {
        name: "empty lower files are files",
        lowers: [{ empty: "", "d/": {} }, { empty: file("below") }],
        steps: `
          cat empty -> ""
          append empty x
          cat empty -> x
        `,
      },
    ],
  },
];
