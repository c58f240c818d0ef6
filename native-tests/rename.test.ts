import { cases } from "./harness/cases.js";
import { fifo, file, hard, link } from "./harness/layers.js";

const whiteoutSkip = "renames with RENAME_WHITEOUT are for layers below a union, and make no sense to see";

cases("renaming files", [
  {
    name: "lower and upper files, within and between directories, over nothing and over files",
    lowers: [{ a: "a", b: "b", "d/x": "x", "d/y": "y", "e/": {} }],
    upper: { u: "u", "d/v": "v" },
    steps: `
      rename a a2
      rename u e/u2
      rename d/x e/x2
      rename b d/y
      rename d/v a
      ls -> a a2 d e
      ls d -> y
      ls e -> u2 x2
      cat d/y -> b
      cat a -> v
      cat e/x2 -> x
      remount
      ls -> a a2 d e
      ls d -> y
      cat d/y -> b
    `,
  },
  {
    name: "over each kind of object",
    lowers: [{ a: "a", b: "b", c: "c", l: link("x"), p: fifo(), "d/": {} }],
    steps: `
      rename a l
      cat l -> a
      rename b p
      cat p -> b
      rename c d -> EISDIR
      rename d l -> ENOTDIR
      rename l p
      cat p -> a
      ls -> c d p
    `,
  },
  {
    name: "over a whiteout",
    lowers: [{ gone: "gone", f: "f", "dgone/x": "x", "d/y": "y" }],
    steps: `
      unlink gone
      rename f gone
      cat gone -> f
      sh "rm -r dgone"
      rename d dgone
      ls dgone -> y
      ls -> dgone gone
      rename gone f
      rename dgone d
      ls -> d f
      stat dgone -> ENOENT
      stat gone -> ENOENT
    `,
  },
  {
    name: "onto itself, and onto another name of the same file, does nothing",
    lowers: [{ a: "a", b: hard("a"), c: "c" }],
    steps: `
      rename c c
      rename a b
      ls -> a b c
      link c d
      rename c d
      ls -> a b c d
      stat d nlink -> 2
    `,
  },
  {
    name: "errors",
    lowers: [{ f: "f", "d/e/x": "x", "full/x": "x", "empty/": {} }],
    steps: `
      rename none x -> ENOENT
      rename f none/x -> ENOENT
      rename f f/x -> ENOTDIR
      rename d d/e/new -> EINVAL
      rename d d/new -> EINVAL
      rename d/e d -> ENOTEMPTY
      rename d full -> ENOTEMPTY
      rename f d -> EISDIR
      rename d f -> ENOTDIR
      rename d empty
      ls empty -> e
      rename f x RENAME_NOREPLACE|RENAME_EXCHANGE -> EINVAL
      rename f x 64 -> EINVAL
    `,
  },
  {
    name: "RENAME_NOREPLACE",
    lowers: [{ a: "a", b: "b", gone: "g" }],
    upper: { u: "u" },
    steps: `
      rename a b RENAME_NOREPLACE -> EEXIST
      rename a u RENAME_NOREPLACE -> EEXIST
      rename a a RENAME_NOREPLACE -> EEXIST
      unlink gone
      rename a gone RENAME_NOREPLACE
      cat gone -> a
      rename u new RENAME_NOREPLACE
      ls -> b gone new
    `,
  },
  {
    name: "RENAME_EXCHANGE of files, directories and both, of each layer",
    lowers: [{ a: "a", b: "b", "d/x": "x", "e/y": "y", "d/s/deep": "deep" }],
    upper: { u: "u", "ud/v": "v" },
    steps: `
      rename a b RENAME_EXCHANGE
      cat a -> b
      cat b -> a
      rename a u RENAME_EXCHANGE
      cat a -> u
      cat u -> b
      rename d e RENAME_EXCHANGE
      ls d -> y
      ls e -> s x
      cat e/s/deep -> deep
      rename a d RENAME_EXCHANGE
      ls a -> y
      cat d -> u
      rename ud e/s RENAME_EXCHANGE
      ls ud -> deep
      ls e/s -> v
      rename a none RENAME_EXCHANGE -> ENOENT
      rename none a RENAME_EXCHANGE -> ENOENT
      rename e e/s RENAME_EXCHANGE -> EINVAL
      remount
      ls a -> y
      cat ud/deep -> deep
      ls e -> s x
    `,
  },
  {
    name: "RENAME_WHITEOUT moves the file and leaves nothing that could be seen",
    lowers: [{ a: "a" }],
    upper: { u: "u" },
    skip: { native: whiteoutSkip, overlay: whiteoutSkip },
    tree: "none",
    steps: `
      rename a b RENAME_WHITEOUT -> *
      rename u v RENAME_WHITEOUT -> *
      ls -> /(a u|b v|a b u v|0.*)/
    `,
  },
  {
    name: "keeps content, metadata and open descriptors",
    notPassthrough: "whoever has the lower file open keeps to it",
    lowers: [
      {
        f: file("content", { mode: 0o4711, uid: 3, gid: 4, mtime: "1234567890.123456789", xattrs: { "user.x": "x" } }),
      },
    ],
    steps: `
      r = open f O_RDONLY
      rename f g
      pread $r 9 0 -> content
      w = open g O_RDWR
      rename g h
      pwrite $w 0 C
      pread $r 9 0 -> Content
      cat h -> Content
      fdpath $r -> MNT/h
    `,
    differs: { overlay: "descriptors opened for reading keep to the lower file" },
    skip: { overlay: "descriptors opened for reading keep to the lower file" },
  },
  {
    name: "of a lower file with several names takes one name only",
    lowers: [{ a: "data", b: hard("a"), "d/": {} }],
    steps: `
      rename a d/c
      ls -> b d
      cat b -> data
      append d/c more
      cat b -> datamore
      stat b nlink -> 2
    `,
  },
]);

cases("renaming directories", [
  {
    name: "with a lower part, without EXDEV, and everything is in it",
    lowers: [{ "d/x": "x", "d/s/y": "y", "to/": {} }, { "d/z": "z" }],
    upper: { "d/u": "u" },
    steps: `
      rename d e
      ls -> e to
      ls e -> s u x z
      cat e/s/y -> y
      rename e to/f
      ls to/f -> s u x z
      cat to/f/x -> x
      stat d -> ENOENT
      stat e -> ENOENT
      remount
      ls -> to
      ls to/f -> s u x z
      cat to/f/s/y -> y
      append to/f/x more
      cat to/f/x -> xmore
      unlink to/f/z
      rename to/f/s s
      cat s/y -> y
      remount
      ls to/f -> u x
      cat to/f/x -> xmore
      cat s/y -> y
    `,
  },
  {
    name: "a directory in a renamed directory, renamed again, and back",
    lowers: [{ "a/b/c/x": "x", "a/b/y": "y", "a/z": "z" }],
    steps: `
      rename a/b/c a/b/c2
      rename a/b a/b2
      rename a a2
      cat a2/b2/c2/x -> x
      remount
      cat a2/b2/c2/x -> x
      rename a2 a
      rename a/b2 a/b
      rename a/b/c2 a/b/c
      cat a/b/c/x -> x
      ls a -> b z
      remount
      cat a/b/c/x -> x
      ls a/b -> c y
      sh "rm -r a"
      ls -> ""
      remount
      ls -> ""
    `,
  },
  {
    name: "a new directory under the old name is empty",
    lowers: [{ "d/x": "x", "d/s/y": "y" }],
    steps: `
      rename d e
      mkdir d
      ls d -> ""
      put d/x new
      mkdir d/s
      ls d/s -> ""
      remount
      ls d -> s x
      cat d/x -> new
      cat e/x -> x
      cat e/s/y -> y
      ls d/s -> ""
      rename e d -> ENOTEMPTY
      sh "rm -r d"
      rename e d
      ls d/s -> y
    `,
  },
  {
    name: "over an empty directory that has a lower part of removed entries",
    lowers: [{ "from/x": "x", "over/a": "a", "over/b": "b" }],
    steps: `
      rename from over -> ENOTEMPTY
      unlink over/a
      unlink over/b
      rename from over
      ls over -> x
      ls -> over
      remount
      ls over -> x
    `,
  },
  {
    name: "an upper directory over a lower one, and into a place where a lower one was removed",
    lowers: [{ "d/x": "x", "gone/y": "y" }],
    upper: { "u/v": "v" },
    steps: `
      rename u d -> ENOTEMPTY
      sh "rm -r gone"
      rename u gone
      ls gone -> v
      mkdir w
      unlink d/x
      rename w d
      ls d -> ""
      remount
      ls gone -> v
      ls d -> ""
    `,
  },
  {
    name: "changes made before and after the rename of a merged directory stay",
    lowers: [{ "d/keep": "keep", "d/change": "old", "d/remove": "r", "d/s/inner": "i" }],
    steps: `
      append d/change -new
      unlink d/remove
      put d/added a
      rename d e
      append e/keep -after
      unlink e/s/inner
      put e/remove again
      ls e -> added change keep remove s
      remount
      cat e/change -> old-new
      cat e/keep -> keep-after
      cat e/remove -> again
      ls e/s -> ""
    `,
  },
  {
    name: "a deep tree whose path is longer than a redirect may be",
    lowers: [{ [`${"n".repeat(100)}/${"m".repeat(100)}/${"o".repeat(100)}/d/x`]: "x", "to/": {} }],
    steps: `
      rename ${"n".repeat(100)}/${"m".repeat(100)}/${"o".repeat(100)}/d to/d
      cat to/d/x -> x
      ls ${"n".repeat(100)}/${"m".repeat(100)}/${"o".repeat(100)} -> ""
      remount
      cat to/d/x -> x
      append to/d/x more
      cat to/d/x -> xmore
    `,
    skip: { overlay: "answers EXDEV where the redirect would be longer than 256 bytes" },
  },
  {
    name: "with strange names",
    lowers: [{ "a b\n\\c:d,e/x": "x", "d\xff\x01/y": "y", "to/": {} }],
    steps: `
      rename "a b\\n\\\\c:d,e" to/here
      rename "d\\xff\\x01" "to/\\xfe, \\x02"
      cat to/here/x -> x
      remount
      cat to/here/x -> x
      cat "to/\\xfe, \\x02/y" -> y
      rename to/here "back\\xff"
      cat "back\\xff/x" -> x
    `,
  },
  {
    name: "while it is the working directory of a process, and files in it are open",
    lowers: [{ "d/s/x": "x" }],
    steps: `
      chdir d/s
      fd = open d/s/x O_RDWR
      @b rename d e
      getcwd -> MNT/e/s
      cat ./x -> x
      pwrite $fd 0 X
      cat ./x -> X
      @b cat e/s/x -> X
      fdpath $fd -> MNT/e/s/x
    `,
  },
  {
    name: "many at once",
    lowers: [Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`d${index}/sub/f`, `${index}`]))],
    steps: `
      sh "for i in $(seq 0 59); do mv d$i e$i && mv e$i/sub e$i/sub2 && mv e$i/sub2/f e$i/g; done" -> "0 "
      sh "cat e*/g | tr -d '\\n'" -> /0 .+/
      remount
      sh "for i in $(seq 0 59); do [ $(cat e$i/g) = $i ] || echo bad $i; done; ls | wc -l" -> "0 60"
    `,
  },
]);
