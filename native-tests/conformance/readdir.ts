import { link, many } from "../harness/layers.js";
import type { Theme } from "./table.js";

export const readdir: readonly Theme[] = [
  {
    title: "Listings",
    cases: [
      {
        name: "merge the layers, each name once",
        lowers: [
          { "d/a": "1", "d/b": "1" },
          { "d/b": "2", "d/c": "2" },
        ],
        upper: { "d/c": "0", "d/d": "0" },
        steps: `
          ls d -> a b c d
          count_entries d -> "4 4"
          dtypes d -> "..:dir .:dir a:file b:file c:file d:file"
        `,
      },
      {
        name: "tell types",
        lowers: [
          {
            f: "f",
            "d/": {},
            l: link("x"),
            p: { type: "fifo" },
            s: { type: "socket" },
            c: { type: "char", major: 1, minor: 3 },
          },
        ],
        steps: `
          dtypes . -> "..:dir .:dir c:char d:dir f:file l:link p:fifo s:socket"
          chmod f 0600
          rename p q
          dtypes . -> "..:dir .:dir c:char d:dir f:file l:link q:fifo s:socket"
        `,
      },
      {
        name: "10,000 files of a lower directory",
        complaint: "Directories of 10,000 files take all CPU and memory",
        lowers: [{ "d/%": many(10_000) }],
        steps: `
          count_entries d -> "10000 10000"
          put d/new new
          unlink d/77
          count_entries d -> "10000 10000"
          stat d/77 -> ENOENT
        `,
        tree: "none",
      },
      {
        name: "thousands of files made and removed",
        lowers: [{ "d/": {} }],
        steps: `
          many_create d n% 3000
          count_entries d -> "3000 3000"
          many_unlink d n% 2999
          ls d -> n2999
        `,
      },
      {
        name: "a directory that is emptied while it is read (rm -r)",
        lowers: [{ "d/low%": many(300) }],
        upper: { "d/up%": many(300) },
        steps: `
          remove_while_reading d -> 0
          rmdir d
        `,
      },
      {
        name: "entries that come and go while a directory is read",
        lowers: [{ "d/f%": many(400) }],
        steps: `
          readdir_churn d f% 400 -> "twice=0 missed=0 vanished=0 undead=0"
        `,
        tree: "none",
      },
      {
        name: "offsets of entries hold",
        lowers: [{ "d/f%": many(300) }],
        upper: { "d/u%": many(100) },
        steps: `
          seek_again d -> "wrong=0 rewind=same"
          tell_and_seek d -> wrong=0
        `,
        tree: "none",
      },
      {
        name: "offsets hold after entries were removed",
        lowers: [{ "d/f%": many(200) }],
        steps: `
          many_unlink d f% 100
          tell_and_seek d -> wrong=0
          many_create d n% 50
          tell_and_seek d -> wrong=0
        `,
        tree: "none",
      },
      {
        name: "rewinddir shows what was created meanwhile",
        lowers: [{ "d/x": "x", "e/": {} }],
        upper: { "u/v": "v" },
        steps: `
          rewind_sees d new -> new
          rewind_sees e new -> new
          rewind_sees u new -> new
          rewind_sees . new -> new
        `,
      },
      {
        name: "lseek to the start shows what was created and removed meanwhile",
        lowers: [{ "d/x": "x", "d/y": "y" }],
        steps: `
          fd = open d O_RDONLY|O_DIRECTORY
          lsfd $fd -> x y
          put d/z z
          unlink d/x
          lsfd $fd -> y z
          rename d/z d/a
          lsfd $fd -> a y
        `,
      },
      {
        name: "`.` and `..` come once, with the right numbers",
        lowers: [{ "d/s/x": "x" }, { "d/s/y": "y" }],
        upper: { "d/u/": {} },
        steps: `
          dots . -> good
          dots d -> good
          dots d/s -> good
          dots d/u -> good
          mkdir d/n
          dots d/n -> good
        `,
      },
      {
        name: "a listing through two descriptors of one directory",
        lowers: [{ "d/f%": many(100) }],
        steps: `
          a = open d O_RDONLY|O_DIRECTORY
          b = open d O_RDONLY|O_DIRECTORY
          telldir $a 1
          many_unlink d f% 50
          lsfd $b -> ?
          lsfd $a -> ?
        `,
      },
      {
        name: "needs the right to read, lookups the right to search",
        lowers: [{ "r/": { mode: 0o744 }, "r/x": "x", "x/": { mode: 0o711 }, "x/y": "y" }],
        steps: `
          @u become 1000 1000
          @u ls r -> x
          @u cat r/x -> EACCES
          @u ls x -> EACCES
          @u cat x/y -> y
        `,
      },
      {
        name: "a buffer too small for an entry",
        lowers: [{ "d/averyveryveryverylongname": "x" }],
        steps: `
          fd = open d O_RDONLY|O_DIRECTORY
          telldir $fd 9 16 -> EINVAL
          telldir $fd 9 64
        `,
      },
      {
        name: "read(2) and write(2) of a directory",
        lowers: [{ "d/": {} }],
        steps: `
          fd = open d O_RDONLY|O_DIRECTORY
          read $fd 10 -> EISDIR
          open d O_RDWR -> EISDIR
          open d O_WRONLY -> EISDIR
          pwrite $fd 0 x -> EBADF
          ftruncate $fd 0 -> EINVAL
          truncate d 0 -> EISDIR
        `,
      },
    ],
  },
  {
    title: "Large trees",
    cases: [
      {
        name: "a copy of 300 files out of the lower into the upper",
        complaint: "Copying many files takes hours",
        lowers: [{ "t/a/%": many(200), "t/b/%": many(50), "t/c/%": many(50) }],
        steps: `
          sh "cp -a t u && find u -type f | wc -l" -> "0 300"
          sh "diff -r t u" -> "0 "
          sh "chmod -R go-rwx t && find t -perm /077 | wc -l" -> "0 0"
          sh "rm -r t && find . -type f | wc -l" -> "0 300"
        `,
        tree: "none",
      },
      {
        name: "more open files than the descriptors of the driver",
        complaint: "Descriptors run out, or are never given back",
        lowers: [{ "d/%": many(2000) }],
        steps: `
          many_open d % 2000 O_RDWR -> 2000
          many_write
          many_unlink d % 1000
          many_read -> 2000
          many_nlink -> "0 1"
          many_close
          count_entries d -> "1000 1000"
        `,
        tree: "none",
      },
      {
        name: "a deep chain of directories, longer than a path may be",
        lowers: [{ "d/": {} }],
        steps: `
          deep_make d aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 80
          deep_walk d aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa -> "80 ENOENT"
          sh "rm -r d" -> "0 "
        `,
      },
    ],
  },
];
