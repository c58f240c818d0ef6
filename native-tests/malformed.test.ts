import { type Case, cases } from "./harness/cases.js";
import { shell } from "./harness/command.js";
import { device, type Entry, fifo, file, hard, link, whiteout } from "./harness/layers.js";
import type { Merged } from "./harness/merged.js";

const mark = (name: string, value: string): Partial<Entry> => ({ xattrs: { [`trusted.overlay.${name}`]: value } });
const lives = "kernel overlayfs refuses some of these directories; the point here is that the mount lives";

/** Values that a redirect may have on a disk that somebody else wrote. */
const redirects: Record<string, string> = {
  "to nothing": "/none",
  "to itself": "/d",
  "to its own child": "/d/s",
  "to the root": "/",
  "out of the layer": "../../../../../../../../etc",
  "out of the layer by an absolute path": "/../../../../../../etc",
  "with empty parts": "//o///",
  "with dots": "/./o/../o",
  "to a file": "/f",
  "through a symbolic link": "/l/apt",
  empty: "",
  "of 300 bytes": `/${"n".repeat(299)}`,
  "to a whiteout": "/gone",
  "through a whiteout": "/gone/x",
  "with a NUL in it": "/o\0x",
  "with a NUL at its end": "/o\0",
  "of 3,900 bytes": "/n".repeat(1_950),
  "of bytes that are no text": "/\xff\xfe\n",
};

cases("marks that make no sense", [
  ...Object.entries(redirects).map(
    ([what, value]): Case => ({
      name: `a redirect ${what}`,
      lowers: [
        { gone: whiteout, "o/x": "x", "d/below": "b", f: "f", l: { type: "link", target: "/etc" } },
        { "gone/x/secret": "s" },
      ],
      upper: { "d/": mark("redirect", value), "d/up": "u", "d/s/in": "s" },
      skip: { native: lives, overlay: lives },
      foreign: lives,
      tree: "none",
      litter: "directories that cannot be read stay as they are",
      steps: `
        stat d -> *
        ls d -> *
        stat d/secret -> /ENOENT|EIO|EINVAL|ESTALE/
        stat d/passwd -> /ENOENT|EIO|EINVAL|ESTALE/
        stat d/apt -> /ENOENT|EIO|EINVAL|ESTALE/
        stat d/sources.list -> /ENOENT|EIO|EINVAL|ESTALE/
        put d/new x -> *
        rename d e -> *
        cat f -> f
        cat o/x -> *
        ls -> *
        put elsewhere works
        cat elsewhere -> works
      `,
    }),
  ),
  {
    name: "opaque marks with other values mean nothing",
    lowers: [
      {
        "d/": mark("opaque", "n") as Omit<Entry, "type">,
        "d/top": "t",
        "e/": mark("opaque", "yes") as Omit<Entry, "type">,
      },
      { "d/below": "b", "e/below": "b" },
    ],
    steps: `
      ls d -> below top
      ls e -> below
    `,
  },
  {
    name: "garbage in origin, nlink, impure and the like does no harm",
    lowers: [{ "d/x": "x", f: "f" }],
    upper: {
      f: file("upper", {
        xattrs: {
          "trusted.overlay.origin": "\x01\x02garbage",
          "trusted.overlay.nlink": "X+many",
          "trusted.overlay.protattr": "\0\xff",
        },
      }),
      "d/": {
        xattrs: { "trusted.overlay.origin": "", "trusted.overlay.impure": "maybe", "trusted.overlay.unknown": "?" },
      },
    },
    skip: { native: lives, overlay: lives },
    foreign: lives,
    tree: "none",
    steps: `
      cat f -> upper
      append f more
      cat f -> uppermore
      ls d -> x
      put d/y y
      rename d e
      ls e -> x y
      unlink f
      stat f -> ENOENT
      remount
      ls -> e
      ls e -> x y
    `,
  },
  {
    name: "whiteouts over nothing, and whiteouts in a layer that is the only one",
    skip: {
      native: "its reference is kernel overlayfs",
      overlay: "lists a whiteout of its lowest layer, and does not find it",
    },
    foreign: "kernel overlayfs lists a whiteout of its lowest layer",
    lowers: [{ gone: whiteout, f: "f", "d/gone": whiteout }],
    upper: { gone2: whiteout, "e/gone": whiteout },
    steps: `
      ls -> d e f
      ls d -> ""
      rmdir d
      rmdir e
      put gone x
      put gone2 x
      ls -> f gone gone2
    `,
  },
]);

/** Warnings in the log of the driver. */
const warnings = (merged: Merged): string[] =>
  merged
    .driverLog(1_000_000)
    .split("\n")
    .filter((line) => line.includes('"level":40'));

cases("layers that somebody made to do harm", [
  {
    name: "two directories that redirect to each other, and one to what is below itself, in every layer",
    lowers: [
      { "a/": mark("redirect", "/b"), "b/": mark("redirect", "/a"), "c/": mark("redirect", "/c/c"), "c/c/x": "1" },
      { "a/": mark("redirect", "/b"), "b/": mark("redirect", "/a"), "c/": mark("redirect", "/c/c"), "c/c/y": "2" },
      { "a/one": "1", "b/two": "2", "c/c/c/z": "3" },
    ],
    skip: { native: lives, overlay: lives },
    foreign: lives,
    tree: "none",
    steps: `
      ls a -> one
      ls b -> two
      ls c -> c y z
      sh "find . | wc -l" -> *
      put a/new new
      cat a/new -> new
      remount
      ls a -> new one
    `,
  },
  {
    name: "a whiteout with data is a user's file, whatever its name; an opaque marker may be anything",
    lowers: [
      {
        ".wh.f": "not empty",
        "d/.wh..wh..opq/": {},
        "d/top": "t",
        "e/.wh..wh..opq": link("/etc"),
        "e/top": "t",
        "g/.wh.": "",
        "g/.wh..wh.plnk": "",
        [`.wh.${"n".repeat(251)}`]: "",
      },
      { f: "f", "d/below": "b", "e/below": "b", "g/x": "x", ["n".repeat(251)]: "hidden" },
    ],
    skip: { native: "its reference is kernel overlayfs", overlay: "does not know these marks" },
    foreign: "does not know these marks",
    tree: "none",
    steps: `
      ls -> .wh.f d e f g
      ls d -> top
      ls e -> top
      ls g -> x
      cat .wh.f -> "not empty"
      unlink .wh.f
      cat f -> f
    `,
  },
  {
    name: "symbolic links, fifos and devices in place of directories and files are neither followed nor opened",
    lowers: [
      { d: link("/etc"), "e/s": link("../../../../../../etc"), p: fifo(), "q/": {}, c: device(1, 5) },
      { "d/x": "x", "e/s/y": "y", p: "p", "q/z": "z", c: "c" },
    ],
    skip: { native: "its reference is kernel overlayfs" },
    differs: { overlay: "", cowfs: "" },
    steps: `
      readlink d -> /etc
      readlink e/s -> ../../../../../../etc
      stat p type -> fifo
      chmod p 0600
      stat p type -> fifo
      chown c 1 1
      stat c rdev -> 1:5
      chown d 1 1
      rename d d2
      rename p q/p
      unlink e/s
      ls e -> ""
    `,
  },
  {
    name: "files of an impossible size cost no room until they are read",
    lowers: [{ huge: { size: 2 ** 43 }, x: "x" }],
    skip: { native: "the same file" },
    tree: "none",
    steps: `
      stat huge size -> 8796093022208
      chmod huge 0600
      stat huge size -> 8796093022208
      truncate huge 5
      stat huge size -> 5
    `,
  },
  {
    name: "entries of the index that lie make their file EIO, and nothing else",
    lowers: [
      {
        a: "a",
        a2: hard("a"),
        b: "b",
        b2: hard("b"),
        c: "c",
        c2: hard("c"),
        d: "d",
        d2: hard("d"),
        e: "e",
        e2: hard("e"),
      },
    ],
    skip: { native: "is about the index", overlay: lives },
    foreign: lives,
    tree: "none",
    run: async (merged) => {
      await merged.steps("append a 1\nappend b 1\nappend c 1\nappend d 1\nappend e 1");
      await merged.unmount();
      // Of a: another file's entry. b: a directory. c: a symbolic link that leads out. d: a number of links that is none. e: gone.
      await shell(
        `
        cd ${merged.work}/index
        entry() { find . -samefile ${merged.upper}/$1 -printf %f; }
        a=$(entry a) b=$(entry b) c=$(entry c) d=$(entry d) e=$(entry e)
        mv $a ../own; cp --preserve=all $c $a; rm ../own
        rm $b; mkdir $b
        rm $c; ln -s /etc/passwd $c
        setfattr -n trusted.overlay.nlink -v U+999999999999999999 $d
        rm $e
      `,
      );
      await merged.mount();
      await merged.steps(`
        cat a2 -> EIO
        cat b2 -> EIO
        cat c2 -> EIO
        stat c2 -> EIO
        chmod b2 0600 -> EIO
        cat a -> a1
        cat b -> b1
        cat c -> c1
        cat d2 -> d1
        append d2 2
        cat d -> d12
        cat e -> e1
        cat e2 -> e
        ls -> a a2 b b2 c c2 d d2 e e2
        put new new
        cat new -> new
      `);
    },
    litter: "what was put into the index stays there",
  },
  {
    name: "a bad object is warned of once, however often it is asked for",
    lowers: [{ "o/x": "x" }],
    upper: { "d/": mark("redirect", "../x"), "d/up": "u" },
    options: { cowfs: ["-o", "timeout=0"] },
    skip: { native: lives, overlay: lives },
    foreign: lives,
    tree: "none",
    run: async (merged) => {
      await merged.steps(
        'stat d -> EIO\nsh "for i in $(seq 300); do [ -e d ]; done" -> "1 "\nls -> d o\nstat d -> EIO',
      );
      const lines = warnings(merged);
      if (lines.length !== 1) {
        merged.failures.push(`${lines.length} warnings:\n${lines.slice(0, 5).join("\n")}`);
      }
    },
  },
  {
    name: "a lower that changes beneath the mount, its directory becoming a symbolic link: no other file is read",
    lowers: [{ "d/s/f": "right", "d/s/g": "right", "e/f": "e", x: "x" }],
    skip: { native: "is about layers", overlay: "undefined there" },
    foreign: "is about the live mount",
    tree: "none",
    litter: "is about the live mount",
    run: async (merged) => {
      const lower = merged.lowers[0] as string;
      await merged.steps("cat d/s/f -> right\nls e -> f");
      await shell(`
        mkdir ${merged.area.at("other")} && echo wrong > ${merged.area.at("other")}/f && echo wrong > ${merged.area.at("other")}/g
        cd ${lower}; mv d/s ${merged.area.at("moved")}; ln -s ${merged.area.at("other")} d/s; rm -r e; echo e > e
      `);
      await merged.steps(`
        cat d/s/g -> /right|ENOENT|ELOOP|ENOTDIR|ESTALE|EIO/
        cat d/s/f -> /right|ENOENT|ELOOP|ENOTDIR|ESTALE|EIO/
        append d/s/g more -> *
        ls e -> *
        cat e/f -> *
        ls d -> *
        drop_caches
        ls d -> *
        stat d/s type -> *
        cat e/f -> *
        put new new
        cat x -> x
        cat new -> new
      `);
      await shell(`cd ${lower}; rm d/s e; mv ${merged.area.at("moved")} d/s; mkdir e; printf e > e/f`);
      await merged.acceptLowers();
    },
  },
]);

cases("requests that make no sense", [
  {
    name: "unknown ioctls, odd flags, impossible offsets: an error, and the mount lives",
    lowers: [{ f: "f", "d/x": "x" }],
    tree: "none",
    steps: `
      fd = open f O_RDWR
      ioctl $fd 0x5401 -> ENOTTY
      ioctl $fd 0xc0deadbe -> ENOTTY
      dd = open d O_RDONLY|O_DIRECTORY
      ioctl $dd 0xc0deadbe -> ENOTTY
      read $dd 10 -> EISDIR
      lseek $dd 99999999 -> *
      getdents $dd -> *
      lseek $fd 3 0x99 -> EINVAL
      fallocate $fd 0x4000 0 10 -> EOPNOTSUPP
      rename f g 0x80 -> EINVAL
      mknod node char 0644 511 1048575
      stat node rdev -> 511:1048575
      setx f user.x y 0x40 -> EINVAL
      cat f -> f
      ls -> d f node
    `,
  },
  {
    name: "processes that are killed in the middle of operations leave nothing waiting",
    lowers: [
      Object.fromEntries(
        Array.from({ length: 20 }, (_, index) => [`big${index}`, file("", { fill: 2 << 20, seed: index + 1 })]),
      ),
    ],
    skip: { native: "is about the driver" },
    differs: { overlay: "how far it came is chance", cowfs: "how far it came is chance" },
    run: async (merged) => {
      for (let round = 0; round < 10; round++) {
        const worker = merged.worker(`k${round}`);
        worker.call("sh", [`for f in big*; do printf x >> $f; cat $f; done`]).catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, 10 + round * 15));
        await worker.end();
      }
      const sizes = await merged.do(
        "sh",
        "for f in big*; do s=$(stat -c %s $f); [ $s -ge 2097152 ] && [ $s -le 2097172 ] || echo $f $s; done",
      );
      if (sizes !== "0 ") {
        merged.failures.push(`torn files: ${sizes}`);
      }
      await merged.steps("put after works\ncat after -> works");
    },
  },
]);
