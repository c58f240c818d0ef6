import { link } from "../harness/layers.js";
import { keepsLower, type Theme } from "./table.js";

const exdev = "a directory with lower parts is renamed only with redirect_dir=on";

export const renamedDirectories: readonly Theme[] = [
  {
    title: "Renamed directories",
    cases: [
      {
        name: "a lower directory, with all that is in it",
        complaint: "Renaming a directory gives EXDEV (package managers and tool installers fail)",
        overlay: exdev,
        lowers: [{ "d/x": "x", "d/s/y": "y", "d/l": link("x") }],
        steps: `
          rename d e
          sh "find e | sort" -> "0 e\\ne/l\\ne/s\\ne/s/y\\ne/x"
          stat d -> ENOENT
          cat e/s/y -> y
          remount
          cat e/s/y -> y
          stat d -> ENOENT
        `,
      },
      {
        name: "a merged directory",
        overlay: exdev,
        lowers: [{ "d/x": "x" }, { "d/y": "y", "d/s/a": "a" }],
        upper: { "d/z": "z", "d/s/b": "b" },
        steps: `
          rename d e
          ls e -> s x y z
          ls e/s -> a b
          put e/s/c c
          unlink e/s/a
          remount
          ls e/s -> b c
          ls -> e
        `,
      },
      {
        name: "and its old name used again",
        overlay: exdev,
        lowers: [{ "d/x": "x" }],
        steps: `
          rename d e
          mkdir d
          ls d -> ""
          put d/new new
          ls e -> x
          remount
          ls d -> new
          ls e -> x
        `,
      },
      {
        name: "and renamed back",
        overlay: exdev,
        lowers: [{ "d/x": "x", "d/s/y": "y" }],
        steps: `
          rename d e
          rename e d
          cat d/s/y -> y
          append d/x +
          remount
          cat d/x -> x+
          ls -> d
        `,
      },
      {
        name: "several times in a row, over remounts",
        overlay: exdev,
        lowers: [{ "d/x": "x", "e/": {} }],
        steps: `
          rename d d1
          remount
          rename d1 e/d2
          remount
          rename e e3
          rename e3/d2 d4
          remount
          cat d4/x -> x
          ls -> d4 e3
        `,
      },
      {
        name: "nested: the inner one out, the outer one away, the inner one back",
        overlay: exdev,
        lowers: [{ "a/b/c/x": "x", "a/y": "y" }],
        steps: `
          rename a/b/c c
          rename a z
          ls z -> b y
          ls z/b -> ""
          rename c z/b/c
          cat z/b/c/x -> x
          remount
          cat z/b/c/x -> x
          rename z/b a
          cat a/c/x -> x
        `,
      },
      {
        name: "a directory inside a renamed one is renamed in place",
        overlay: exdev,
        lowers: [{ "a/b/x": "x" }],
        steps: `
          rename a z
          rename z/b z/c
          cat z/c/x -> x
          remount
          cat z/c/x -> x
          ls z -> c
        `,
      },
      {
        name: "two lower directories exchanged",
        overlay: exdev,
        lowers: [{ "a/x": "x", "a/s/1": "1", "b/y": "y", "b/s/2": "2" }],
        steps: `
          rename a b RENAME_EXCHANGE
          ls a -> s y
          ls b/s -> 1
          append b/x +
          remount
          cat b/x -> x+
          ls a/s -> 2
          rename a b RENAME_EXCHANGE
          cat a/x -> x+
        `,
      },
      {
        name: "a lower directory exchanged with a lower file",
        overlay: exdev,
        lowers: [{ "a/x": "x", f: "f" }],
        steps: `
          rename a f RENAME_EXCHANGE
          cat a -> f
          cat f/x -> x
          remount
          cat f/x -> x
        `,
      },
      {
        name: "with an open file inside",
        passthrough: keepsLower,
        overlay: exdev,
        lowers: [{ "d/x": "data" }],
        steps: `
          r = open d/x O_RDONLY
          w = open d/x O_RDWR
          rename d e
          pwrite $w 0 D
          pread $r 9 0 -> Data
          cat e/x -> Data
          fdpath $r -> MNT/e/x
        `,
      },
      {
        name: "with an open directory inside",
        overlay: exdev,
        lowers: [{ "d/s/x": "x", "d/s/y": "y" }],
        steps: `
          fd = open d/s O_RDONLY|O_DIRECTORY
          rename d e
          lsfd $fd -> x y
          openat $fd new O_CREAT|O_WRONLY
          ls e/s -> new x y
          unlinkat $fd x
          ls e/s -> new y
        `,
      },
      {
        name: "with a process standing inside",
        overlay: exdev,
        lowers: [{ "d/s/x": "x", f: "f" }],
        steps: `
          chdir d/s
          rename d e
          getcwd -> MNT/e/s
          put ./new new
          ls e/s -> new x
          stat ./../../f type -> file
          walk_up 2 -> root
        `,
      },
      {
        name: "with one process standing inside, and another that renames above it",
        overlay: exdev,
        lowers: [{ "a/b/c/x": "x" }],
        steps: `
          @p chdir a/b/c
          rename a z
          rename z/b y
          @p getcwd -> MNT/y/c
          @p put ./w w
          ls y/c -> w x
        `,
      },
      {
        name: "into itself",
        lowers: [{ "a/b/c/": {} }],
        upper: { "u/v/": {} },
        steps: `
          rename a a/b -> EINVAL
          rename a a/new -> EINVAL
          rename a a/b/c/new -> EINVAL
          rename u u/v -> EINVAL
          rename a/b a -> ENOTEMPTY
          rename a a
        `,
      },
      {
        name: "onto directories that are empty, and not",
        overlay: exdev,
        lowers: [{ "d/x": "x", "empty/": {}, "full/y": "y", "f/": {} }],
        steps: `
          rename d full -> ENOTEMPTY
          rename d empty
          ls empty -> x
          unlink full/y
          rename empty full
          ls full -> x
          rename f full -> ENOTEMPTY
        `,
      },
      {
        name: "onto a directory that was emptied, then the target's lower entries stay away",
        overlay: exdev,
        lowers: [{ "d/x": "x", "t/y": "y", "t/s/z": "z" }],
        steps: `
          sh "rm -r t/y t/s"
          rename d t
          ls t -> x
          remount
          ls t -> x
          mkdir t/s
          ls t/s -> ""
        `,
      },
      {
        name: "RENAME_NOREPLACE onto what exists, and what does not",
        overlay: exdev,
        lowers: [{ "d/x": "x", "e/": {}, f: "f" }],
        steps: `
          rename d e RENAME_NOREPLACE -> EEXIST
          rename d f RENAME_NOREPLACE -> EEXIST
          rename d n RENAME_NOREPLACE
          ls n -> x
        `,
      },
      {
        name: "to another parent: `..` follows",
        overlay: exdev,
        lowers: [{ "a/d/x": "x", "b/": {} }],
        steps: `
          rename a/d b/d
          i = ino b
          ino b/d/.. -> $i
          dots b/d -> good
          stat a nlink -> 2
          stat b nlink -> 3
        `,
      },
      {
        name: "by a user who owns only part of it",
        overlay: exdev,
        lowers: [{ "p/": { mode: 0o777 }, "p/mine/x": { type: "file", uid: 1000 }, "q/": { mode: 0o777 } }],
        steps: `
          chown p/mine 1000 1000
          chmod q 01777
          @u become 1000 1000
          @u rename p/mine p/other
          @u rename p/other q/other
          @v become 1001 1001
          @v rename q/other p/stolen -> EPERM
          ls q/other -> x
        `,
      },
      {
        name: "a directory that the user cannot write into keeps its parent",
        lowers: [{ "p/": { mode: 0o777 }, "p/d/": { mode: 0o555, uid: 1000 }, "q/": { mode: 0o777 } }],
        overlay: exdev,
        steps: `
          @u become 1000 1000
          @u rename p/d q/d -> EACCES
          @u rename p/d p/e
          ls p -> e
        `,
      },
      {
        name: "mv of a directory keeps its inode number (no copy)",
        overlay: exdev,
        lowers: [{ "d/x": "x" }],
        steps: `
          i = ino d
          j = ino d/x
          sh "mv d e" -> "0 "
          ino e -> $i
          ino e/x -> $j
        `,
      },
      {
        name: "a trash as conda has it: away under a new name, then another version to the old one",
        overlay: exdev,
        complaint: "Package managers that move directories aside (conda) fail or leave both versions",
        lowers: [{ "pkgs/lib-1/a": "1", "pkgs/lib-1/bin/b": "1" }],
        steps: `
          mkdir pkgs/.trash
          rename pkgs/lib-1 pkgs/.trash/lib-1
          mkdir pkgs/lib-1
          put pkgs/lib-1/a 2
          sh "rm -r pkgs/.trash" -> "0 "
          sh "find pkgs | sort" -> "0 pkgs\\npkgs/lib-1\\npkgs/lib-1/a"
          remount
          sh "find pkgs | sort" -> "0 pkgs\\npkgs/lib-1\\npkgs/lib-1/a"
        `,
      },
      {
        name: "an update as rustup does it: the toolchain to a backup, the new one in, the backup removed",
        overlay: exdev,
        complaint: "Toolchain updates (rustup) fail with `could not rename component`",
        lowers: [{ "tc/lib/a": "old", "tc/bin/b": "old" }],
        steps: `
          mkdir tmp
          rename tc/lib tmp/bk
          mkdir tmp/new
          put tmp/new/a new
          rename tmp/new tc/lib
          cat tc/lib/a -> new
          rename tc/lib tmp/new
          rename tmp/bk tc/lib
          cat tc/lib/a -> old
          sh "rm -r tmp" -> "0 "
        `,
      },
      {
        name: "many directories, one after the other",
        overlay: exdev,
        lowers: [Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`d${index}/x`, `${index}`]))],
        steps: `
          ${Array.from({ length: 40 }, (_, index) => `rename d${index} e${index}`).join("\n")}
          sh "cat e*/x | md5sum | cut -c1-8; ls | wc -l" -> ?
        `,
      },
    ],
  },
];
