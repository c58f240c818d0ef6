import { type Case, cases } from "./harness/cases.js";
import { shell } from "./harness/command.js";
import { device, type Entry, fifo, file, hard, link, socket } from "./harness/layers.js";

/** capabilities: cap_net_raw+ep, version 2. */
const capability = "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/** POSIX ACL: user::rw-, user:1234:r--, group::r--, mask::r--, other::---. */
const acl =
  "\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xd2\x04\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";

/** A file with everything a file can have. */
const rich: Entry = file("content of the lower file\n", {
  uid: 1001,
  gid: 1002,
  mode: 0o640,
  mtime: "1234567890.987654321",
  xattrs: {
    "user.text": "value",
    "user.binary": "\0\x01\x02\xff",
    "user.empty": "",
    "trusted.t": "t",
    "security.capability": capability,
    "system.posix_acl_access": acl,
  },
});

/** What makes a copy, as steps on the object `d/f`. */
const triggers: Record<string, string> = {
  "a write": "fd = open d/f O_WRONLY\npwrite $fd 3 XYZ",
  "an append": "append d/f tail",
  O_TRUNC: "open d/f O_WRONLY|O_TRUNC",
  truncate: "truncate d/f 7",
  "truncate to a larger size": "truncate d/f 10000",
  ftruncate: "fd = open d/f O_RDWR\nftruncate $fd 2",
  chmod: "chmod d/f 0604",
  chown: "chown d/f 77 78",
  "chown of the group alone": "chown d/f -1 78",
  utimens: "utimens d/f 1111111111.111111111 1222222222.222222222",
  "utimens of one time": "utimens d/f omit 1222222222.222222222",
  setxattr: "setx d/f user.new new",
  removexattr: "rmx d/f user.text",
  link: "link d/f d/g",
  rename: "rename d/f d/g",
  "rename to another directory": "rename d/f e/g",
  "a shared mapping": "fd = open d/f O_RDWR\nm = mmap $fd 4096\nmwrite $m 2 mapped\nmsync $m\nmunmap $m\nclose $fd",
  fallocate: "fd = open d/f O_RDWR\nfallocate $fd 0 0 100000",
  "copy_file_range into it": "put src 0123456789\ni = open src O_RDONLY\no = open d/f O_WRONLY\ncopyrange $i 0 $o 4 6",
  "an ACL": `setx d/f system.posix_acl_access "${[...acl].map((c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`).join("")}"`,
};

cases("copy-up of a file keeps everything that was not changed", [
  ...Object.entries(triggers).map(
    ([what, steps]): Case => ({
      name: what,
      lowers: [
        { "other/x": "x" },
        { "d/": { mode: 0o2775, uid: 9, gid: 10, xattrs: { "user.dir": "d" } }, "d/f": rich, "e/y": "y" },
      ],
      steps: `${steps}\nls d\nls e`,
    }),
  ),
  {
    name: "opening for reading and writing without writing changes nothing",
    lowers: [{ f: rich }],
    steps: `
      fd = open f O_RDWR
      pread $fd 7 0 -> content
      close $fd
      fd = open f O_RDWR|O_APPEND
      close $fd
    `,
  },
]);

/** What changes the metadata of any object `o`. */
const metadata = [
  "chmod o 0700",
  "chown o 11 12",
  "utimens o 1111111111.111111111 1222222222.222222222",
  "setx o trusted.new value",
  "link o o2",
  "rename o sub/o2",
].join("\n");

const kindsOfObjects: Record<string, { object: Entry; steps: string }> = {
  "a symbolic link": {
    object: link("target", { uid: 3, gid: 4, xattrs: { "trusted.x": "x" } }),
    steps: metadata.replace("chmod o 0700\n", ""),
  },
  "a fifo": { object: fifo({ mode: 0o620, uid: 3, xattrs: { "trusted.x": "x" } }), steps: metadata },
  "a socket": { object: socket({ mode: 0o660, uid: 3 }), steps: metadata },
  "a character device": { object: device(1, 5, { mode: 0o660, gid: 5 }), steps: metadata },
  "a block device": { object: { type: "block", major: 7, minor: 222, mode: 0o640 }, steps: metadata },
};

cases("copy-up of other objects", [
  ...Object.entries(kindsOfObjects).map(
    ([what, { object, steps }]): Case => ({
      name: what,
      lowers: [{ o: object, "sub/": {} }],
      steps: `${steps}\nls\nls sub`,
    }),
  ),
  {
    name: "a directory: mode, owner, times, attributes, ACLs of both kinds",
    lowers: [
      {
        "d/": {
          mode: 0o2751,
          uid: 5,
          gid: 6,
          mtime: "1234567890.123456789",
          xattrs: { "user.a": "a", "trusted.b": "b", "system.posix_acl_access": acl, "system.posix_acl_default": acl },
        },
        "d/x": "x",
      },
    ],
    steps: `
      setx d user.new 1
      stat d mode,uid,gid -> 2640 5 6
      utimens d omit 1222222222.222222222
      chown d 7 8
      ls d -> x
    `,
  },
]);

cases("copy-up of parents", [
  {
    name: "a change deep inside copies the directories above with their metadata and times",
    lowers: [
      {
        "a/": { mode: 0o711, uid: 1, gid: 2, xattrs: { "user.a": "a" } },
        "a/b/": { mode: 0o1777, uid: 3, gid: 4, mtime: "1234567890.5" },
        "a/b/c/": { mode: 0o2750, uid: 5, gid: 6, xattrs: { "system.posix_acl_default": acl } },
        "a/b/c/f": rich,
        "a/b/other": "o",
      },
    ],
    steps: `
      chmod a/b/c/f 0600
      stat a -> dir 0711 1 2
      stat a/b -> dir 1777 3 4
      stat a/b/c -> dir 2750 5 6
      ls a/b -> c other
      getx a user.a -> a
      stat a/b mtime -> 1234567890.500000000
    `,
  },
  {
    name: "creating in a lower directory copies it, with its time moving only there",
    lowers: [{ "a/": { mtime: "1234567890.25" }, "a/b/": { mtime: "1234567890.75" }, "a/b/f": "f" }],
    steps: `
      put a/b/new new
      stat a mtime -> 1234567890.250000000
      ls a/b -> f new
    `,
  },
  {
    name: "removing in a lower directory likewise",
    lowers: [{ "a/": { mtime: "1234567890.25" }, "a/b/": { mtime: "1234567890.75" }, "a/b/f": "f" }],
    steps: `
      unlink a/b/f
      stat a mtime -> 1234567890.250000000
      ls a/b -> ""
    `,
  },
]);

cases("copy-up of data", [
  {
    name: "holes stay holes",
    skip: { overlay: "copies a megabyte where any of it is data" },
    lowers: [
      {
        f: file("", {
          parts: [
            [0, "start"],
            [1 << 20, "middle"],
            [(8 << 20) - 3, "end"],
          ],
          size: 16 << 20,
        }),
      },
    ],
    steps: `
      append f x
      fd = open f O_RDONLY
      data $fd -> /0-4096 1048576-1052672 83(8|7)\\d+-\\d+ 16777216-16777217/
      pread $fd 5 0 -> start
      pread $fd 6 1048576 -> middle
    `,
  },
  {
    name: "a file that is all hole, and an empty one",
    lowers: [{ hole: file("", { size: 5 << 20 }), empty: "" }],
    steps: `
      chmod hole 0600
      chmod empty 0600
      fd = open hole O_RDONLY
      data $fd -> ""
      stat hole size -> 5242880
      append empty x
    `,
  },
  {
    name: "large files: every byte arrives, whatever part was written first",
    lowers: [{ f: file("", { fill: 40 << 20 }), g: file("", { fill: 9_999_999, seed: 2 }) }],
    steps: `
      fd = open f O_RDWR
      pwrite $fd 20000000 HELLO
      pread $fd 5 20000000 -> HELLO
      verify $fd 0 20000000 -> good
      verify $fd 20000005 21943035 -> good
      gd = open g O_RDWR|O_APPEND
      write $gd tail
      verify $gd 0 9999999 2 -> good
      pread $gd 10 9999999 -> tail
    `,
  },
  {
    name: "a reader that opened the lower file sees what a writer puts in",
    notPassthrough: "whoever has the lower file open keeps to it",
    skip: { overlay: "its descriptors opened for reading keep to the lower file" },
    lowers: [{ f: "0123456789" }],
    steps: `
      r = open f O_RDONLY
      pread $r 10 0 -> 0123456789
      @b w = open f O_RDWR
      @b pwrite $w 2 AB
      pread $r 10 0 -> 01AB456789
      @b ftruncate $w 4
      pread $r 10 0 -> 01AB
      fstat $r size -> 4
      chmod f 0600
      fstat $r mode -> 0600
    `,
  },
  {
    name: "copying one big file does not hold up what others do",
    lowers: [{ other: "other", "d/x": "x" }],
    prepare: async ({ lowers }) =>
      shell("head -c 300M /dev/urandom >big && touch -d 2010-01-01 big . && sync big", { cwd: lowers[0] ?? "" }),
    skip: { native: "has no copy-up", overlay: "nothing to learn for the time it takes" },
    tree: "none",
    run: async (merged) => {
      let copied = false;
      const writer = merged.worker("writer");
      const sum = await merged.do("sha", "big");
      const original = await merged.do("pread", await merged.do("open", "big", "O_RDONLY"), 7, 100);
      // With passthrough it is the open that waits for the copy.
      const write = writer
        .call("open", ["big", "O_WRONLY"], 60_000)
        .then(({ text: fd }) => writer.call("pwrite", [fd, "100", "written"], 60_000))
        .then(() => {
          copied = true;
        });
      let before = 0;
      while (!copied) {
        await merged.do("stat", "other", "ino");
        await merged.do("put", `new${before}`, "x");
        await merged.do("ls", "d");
        before += copied ? 0 : 1;
      }
      await write;
      // One round is a few messages; the copy is thousands of pages.
      if (before < 1 && merged.kind === "cowfs") {
        merged.failures.push(`only ${before} rounds were done while the file was copied`);
      }
      const found = await merged.do("open", "big", "O_RDWR");
      if ((await merged.do("pread", found, 7, 100)) !== "written") {
        merged.failures.push("what was written is not there");
      }
      await merged.do("pwrite", found, 100, original);
      if ((await merged.do("sha", "big")) !== sum) {
        merged.failures.push("the copy differs from the lower file");
      }
    },
  },
  {
    name: "two processes that write the same lower file at once both succeed",
    lowers: [{ f: file("", { fill: 3 << 20 }) }],
    run: async (merged) => {
      const names = ["a", "b", "c", "d"];
      await Promise.all(
        names.map(async (name, index) => {
          const worker = merged.worker(name);
          const { text } = await worker.call("open", ["f", "O_RDWR"]);
          await worker.call("pwrite", [text, String(index * 700_000), `by ${name}`]);
        }),
      );
      for (const [index, name] of names.entries()) {
        const fd = await merged.do("open", "f", "O_RDONLY");
        const found = await merged.do("pread", fd, 4, index * 700_000);
        if (found !== `by ${name}`) {
          merged.failures.push(`what ${name} wrote is lost: ${found}`);
        }
      }
    },
  },
  {
    name: "hard links of a lower file see each other's changes",
    lowers: [{ a: "data", b: hard("a") }],
    steps: `
      append a more
      cat b -> datamore
      i = ino a
      ino b -> $i
      stat a nlink -> 2
      chmod b 0600
      stat a mode -> 0600
      unlink a
      cat b -> datamore
      stat b nlink -> 1
    `,
  },
  {
    name: "what is read after a copy-up and dropped caches is what was written",
    lowers: [{ f: file("", { fill: 1 << 20 }) }],
    steps: `
      fd = open f O_RDWR
      verify $fd 0 1M -> good
      fill $fd 100000 50000 9
      drop_caches
      verify $fd 100000 50000 9 -> good
      verify $fd 0 100000 -> good
      verify $fd 150000 800000 -> good
    `,
  },
]);
