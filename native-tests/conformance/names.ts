import { link } from "../harness/layers.js";
import type { Theme } from "./table.js";

const long = "n".repeat(255);
const tooLong = "n".repeat(256);

export const names: readonly Theme[] = [
  {
    title: "Names and paths",
    cases: [
      {
        name: "of 255 bytes, and of 256",
        lowers: [{ [long]: "long", [`d/${long}`]: "x" }],
        steps: `
          append ${long} +
          cat ${long} -> long+
          put ${tooLong} x -> ENAMETOOLONG
          mkdir ${tooLong} -> ENAMETOOLONG
          stat ${tooLong} -> ENAMETOOLONG
          rename ${long} ${tooLong} -> ENAMETOOLONG
          unlink ${long}
          ls -> d
          put ${long} again
          unlink d/${long}
          remount
          cat ${long} -> again
          ls d -> ""
        `,
      },
      {
        name: "of any bytes but / and NUL",
        lowers: [{ "\xff\xfe": "bytes", "a\nb": "newline", " ": "space", "\\": "backslash", "a:b,c=d": "colon" }],
        steps: `
          cat "\\xff\\xfe" -> bytes
          append "\\xff\\xfe" +
          rename "a\\nb" "\\x01\\x80"
          cat "\\x01\\x80" -> newline
          put "\\xc3" half
          cat "a:b,c=d" -> colon
          unlink "\\\\"
          put "\\"" quote
          remount
          cat "\\xff\\xfe" -> bytes+
          ls -> ?
        `,
      },
      {
        name: "that differ in case or form are different",
        lowers: [{ a: "small", "\xc3\xa9": "composed" }],
        steps: `
          put A large
          put "e\\xcc\\x81" decomposed
          cat a -> small
          cat "\\xc3\\xa9" -> composed
          unlink A
          cat a -> small
          count_entries . -> "3 3"
        `,
      },
      {
        name: "that are empty, `.` and `..`",
        lowers: [{ "d/s/": {}, f: "f" }],
        steps: `
          mkdir d/. -> EEXIST
          mkdir d/.. -> EEXIST
          rmdir d/. -> EINVAL
          rmdir d/s/.. -> ENOTEMPTY
          unlink d/. -> EISDIR
          stat d/s/../../f type -> file
          stat f/ -> ENOTDIR
          stat f/. -> ENOTDIR
          put d/s/ x -> EISDIR
          stat d//s///. type -> dir
        `,
      },
      {
        name: "paths of 4095 bytes, and of 4096",
        lowers: [{ f: "f", "d/": {} }],
        steps: `
          sh "p=$(printf 'd/../%.0s' $(seq 800)); cat \${p}f" -> "0 f"
          sh "p=$(printf 'd/../%.0s' $(seq 820)); cat \${p}f 2>&1 | grep -c 'too long'" -> "0 1"
        `,
      },
      {
        name: "symbolic links: relative, absolute, dangling, to directories, in loops",
        lowers: [
          {
            f: "f",
            "d/x": "x",
            l: link("f"),
            m: link("d"),
            n: link("none"),
            o: link("o"),
            p: link("q"),
            q: link("p"),
            "d/up": link("../f"),
          },
        ],
        steps: `
          cat l -> f
          cat m/x -> x
          cat d/up -> f
          cat n -> ENOENT
          cat o -> ELOOP
          cat p -> ELOOP
          append l +
          cat f -> f+
          put n made
          cat none -> made
          stat l type -> link
          open l O_RDONLY|O_NOFOLLOW -> ELOOP
          open m O_RDONLY|O_DIRECTORY|O_NOFOLLOW -> ENOTDIR
          rmdir m -> ENOTDIR
          unlink m
          ls d -> up x
        `,
      },
      {
        name: "symbolic links of any length",
        lowers: [{ s: link("t".repeat(255)), m: link(`${"t/".repeat(2000)}t`) }],
        steps: `
          sh "readlink s | wc -c" -> "0 256"
          sh "readlink m | wc -c" -> "0 4002"
          chown m 1 1
          sh "readlink m | wc -c" -> "0 4002"
          sh "ln -s $(head -c 4095 /dev/zero | tr '\\\\0' x) new; readlink new | wc -c" -> "0 4096"
          sh "ln -s $(head -c 4096 /dev/zero | tr '\\\\0' x) more 2>&1 | grep -c 'too long'" -> "0 1"
          remount
          sh "readlink new | wc -c" -> "0 4096"
        `,
      },
      {
        name: "chains of 40 symbolic links, and of 41",
        lowers: [
          {
            l0: "end",
            ...Object.fromEntries(Array.from({ length: 41 }, (_, index) => [`l${index + 1}`, link(`l${index}`)])),
          },
        ],
        steps: `
          cat l40 -> end
          cat l41 -> ELOOP
        `,
      },
      {
        name: "a symbolic link in a layer does not lead out of the tree by itself",
        lowers: [{ "d/l": link("/etc/hostname"), e: link("../../../../../../..") }],
        steps: `
          readlink d/l -> /etc/hostname
          stat d/l type -> link
          chown d/l 3 3
          readlink d/l -> /etc/hostname
          sh "test -d e/etc && echo out" -> "0 out"
        `,
      },
      {
        name: "fifos, sockets and devices work",
        lowers: [
          {
            p: { type: "fifo" },
            null: { type: "char", major: 1, minor: 3, mode: 0o666 },
            zero: { type: "char", major: 1, minor: 5 },
          },
        ],
        steps: `
          pipe_through p hello -> hello
          append null gone
          cat null -> ""
          sh "head -c 3 zero | od -An -tx1" -> "0 00 00 00"
          bind s
          connect s -> hello
          stat s type -> socket
          unlink s
          mknod b block 0600 7 250
          stat b type,rdev -> "block 7:250"
          chmod p 0600
          pipe_through p again -> again
        `,
        tree: "notimes",
      },
      {
        name: "a write to a fifo moves its times",
        differs: "the kernel does not tell FUSE file systems of it",
        upper: { p: { type: "fifo" } },
        steps: `
          mark p
          pipe_through p x -> x
          moved p -> mc
        `,
      },
      {
        name: "mknod of all kinds, by root and by users",
        lowers: [{ "d/": { mode: 0o777 } }],
        steps: `
          mknod d/f file 0640
          stat d/f mode,size -> "0640 0"
          mknod d/c char 0600 1 3
          mknod d/f file -> EEXIST
          mknod none/x fifo -> ENOENT
          @u become 1000 1000
          @u mknod d/p fifo
          @u mknod d/s socket
          @u mknod d/x char 0600 1 3 -> EPERM
          @u mknod d/y block 0600 7 0 -> EPERM
        `,
      },
    ],
  },
];
