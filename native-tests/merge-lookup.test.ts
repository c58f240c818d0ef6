import { cases } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { device, fifo, file, hard, link, opaque, socket, whiteout } from "./harness/layers.js";
import { mountStack } from "./harness/mounts.js";

cases("merged lookup", [
  {
    name: "the topmost file of a name wins",
    lowers: [
      { a: "first", b: "first" },
      { a: "second", b: "second", c: "second" },
      { c: "third", d: "third" },
    ],
    upper: { a: "upper" },
    steps: `
      cat a -> upper
      cat b -> first
      cat c -> second
      cat d -> third
      stat e -> ENOENT
      ls -> a b c d
    `,
  },
  {
    name: "directories of all layers are merged, the topmost gives owner, mode and time",
    lowers: [
      { "d/": { mode: 0o700, uid: 5, gid: 6, mtime: "1300000001.5" }, "d/one": "1", "d/same": "first" },
      { "d/": { mode: 0o777 }, "d/two": "2", "d/same": "second", "d/sub/deep/x": "x" },
      { "d/three": "3", "d/sub/deep/y": "y" },
    ],
    upper: { "d/": { mode: 0o750, uid: 7 }, "d/zero": "0" },
    steps: `
      ls d -> one same sub three two zero
      stat d -> dir 0750 7 0
      cat d/same -> first
      cat d/sub/deep/x -> x
      cat d/sub/deep/y -> y
      ls d/sub/deep -> x y
    `,
  },
  {
    name: "a file hides a directory of the same name, and a directory below a file is not merged",
    lowers: [
      { "a/x": "x", b: "file" },
      { a: "file", "b/y": "y" },
      { "a/z": "z", "b/w": "w" },
    ],
    steps: `
      ls a -> x
      cat a/x -> x
      stat a/z -> ENOENT
      cat b -> file
      stat b/y -> ENOTDIR
      stat b/w -> ENOTDIR
      unlink b
      stat b -> ENOENT
      mkdir b
      ls b -> ""
    `,
  },
  {
    name: "a symbolic link to a directory is a link, in whichever layer",
    lowers: [
      { d: link("e"), "e/new": "new" },
      { "d/old": "old", "e/x": "x" },
    ],
    steps: `
      stat d type -> link
      readlink d -> e
      ls d -> new x
      cat d/x -> x
      stat d/old -> ENOENT
      unlink d
      stat d -> ENOENT
    `,
  },
  {
    name: "a link in a layer never leads outside of the union",
    lowers: [
      { "in/inside": "i", up: link("../../../../../../../../etc"), "d/": {} },
      { "up/secret": "s", "d/x": "x" },
    ],
    steps: `
      stat up type -> link
      stat d/x type -> file
      readlink up -> ../../../../../../../../etc
      put in/inside changed
      cat in/inside -> changed
    `,
  },
  {
    name: "every kind of object is served from a lower layer",
    lowers: [
      {
        f: file("f", { mode: 0o4755, uid: 1, gid: 2 }),
        l: link("nowhere", { uid: 3, gid: 4 }),
        p: fifo({ mode: 0o620 }),
        s: socket({ mode: 0o600 }),
        c: device(1, 3, { mode: 0o666 }),
        b: { type: "block", major: 7, minor: 200, mode: 0o660 },
        "d/": { mode: 0o1777 },
      },
    ],
    steps: `
      stat f -> file 4755 1 2 1 1
      stat l -> link 0777 3 4 1 7
      stat p -> fifo 0620 0 0 1 0
      stat s -> socket 0600 0 0 1 0
      stat c type,mode,rdev -> char 0666 1:3
      stat b type,mode,rdev -> block 0660 7:200
      stat d -> dir 1777 0 0
      dtypes . -> "..:dir .:dir b:block c:char d:dir f:file l:link p:fifo s:socket"
      cat c -> ""
    `,
  },
  {
    name: "attributes of lower objects are seen as they are",
    lowers: [
      {
        f: file("f", { xattrs: { "user.one": "1", "user.empty": "", "trusted.two": "\0\x01\xff" } }),
        "d/": { xattrs: { "user.dir": "d" } },
        l: link("x", { xattrs: { "trusted.link": "l" } }),
      },
    ],
    steps: `
      listx f -> trusted.two user.empty user.one
      getx f user.one -> 1
      getx f trusted.two -> "\\0\\x01\\xff"
      getx f user.none -> ENODATA
      getx d user.dir -> d
      getx l trusted.link -> l
      getxsize f user.one 0 -> 1
      getxsize f trusted.two 2 -> ERANGE
    `,
  },
  {
    name: "hard links within a layer stay one file",
    lowers: [{ a: "data", b: hard("a"), "d/c": hard("a") }],
    steps: `
      i = ino a
      ino b -> $i
      ino d/c -> $i
      stat a nlink -> 3
      cat d/c -> data
    `,
  },
  {
    name: "500 layers",
    lowers: Array.from({ length: 500 }, (_, index) => ({ [`only${index}`]: `${index}`, all: `${index}`, "d/": {} })),
    skip: { native: "the reference is made by kernel overlayfs", overlay: "a mount option page holds fewer paths" },
    foreign: "more layers than the kernel's mount options can say",
    steps: `
      cat all -> 0
      cat only0 -> 0
      cat only499 -> 499
      count_entries . -> 502 502
      put d/new x
      ls d -> new
    `,
  },
  {
    name: "a missing layer entry is remembered and found again when it is created",
    lowers: [{ "d/": {} }],
    steps: `
      stat d/x -> ENOENT
      stat d/x -> ENOENT
      put d/x now
      cat d/x -> now
      unlink d/x
      stat d/x -> ENOENT
      symlink y d/x
      readlink d/x -> y
      mkdir d/y
      statfollow d/x type -> dir
    `,
  },
  {
    name: "whiteouts and opaque directories in the middle of the stack",
    lowers: [
      { "d/": {}, f: "top" },
      { gone: whiteout, d: opaque, "d/mid": "mid" },
      { gone: "deep", "d/deep": "deep", f: whiteout },
    ],
    steps: `
      stat gone -> ENOENT
      ls d -> mid
      cat f -> top
      ls -> d f
      put gone back
      cat gone -> back
    `,
  },
]);

cases("layers that are file systems of their own", [
  {
    name: "a kernel overlayfs and a cowfs mount as lower layers",
    lowers: [{}, {}, { "d/disk": "disk", f: "disk" }],
    skip: { native: "its reference is kernel overlayfs", overlay: "stacks no more than two deep" },
    foreign: "kernel overlayfs stacks no more than two deep",
    // The mounts below go with the area.
    prepare: async ({ area, lowers }) => {
      const stacks = await Promise.all(
        ["one", "two"].map(async (name) => {
          const lower = await area.directory(`${name}/lower`);
          await area.build(lower, { [`d/${name}`]: name, [`gone${name}`]: "x", all: name, "e/x": name });
          return {
            lowers: [lower],
            upper: await area.directory(`${name}/upper`),
            work: await area.directory(`${name}/work`),
          };
        }),
      );
      for (const [index, kind] of (["overlay", "cowfs"] as const).entries()) {
        const [stack, at] = [stacks[index], lowers[index]];
        if (stack === undefined || at === undefined) throw new Error("two stacks, two lowers");
        await mountStack(kind, stack, at);
        await area.build(at, { "d/upper": "upper" });
        await command("rm", [`${at}/gone${["one", "two"][index]}`]);
      }
    },
    steps: `
      ls -> all d e f
      ls d -> disk one two upper
      cat all -> one
      cat d/two -> two
      append d/two more
      append d/one more
      append d/disk more
      cat d/two -> twomore
      cat d/one -> onemore
      dinos d -> good
      rename d D
      rename e D/e
      ls D -> disk e one two upper
      unlink D/one
      same_dev . D D/two D/disk f D/e/x -> same
      remount
      ls D -> disk e two upper
      cat D/two -> twomore
      cat D/e/x -> one
    `,
  },
]);

cases("reading a read-only union", [
  {
    name: "without an upper everything is served and nothing is writable",
    lowers: [
      { a: "a", "d/x": "x" },
      { b: "b", "d/y": "y" },
    ],
    upper: false,
    steps: `
      ls -> a b d
      ls d -> x y
      cat d/y -> y
      open a O_RDWR -> EROFS
      open new O_RDWR|O_CREAT -> EROFS
      open a O_RDONLY
      mkdir new -> EROFS
      unlink a -> EROFS
      rmdir d -> EROFS
      rename a c -> EROFS
      link a c -> EROFS
      symlink x y -> EROFS
      chmod a 0600 -> EROFS
      chown a 1 1 -> EROFS
      truncate a 0 -> EROFS
      utimens a 1.0 1.0 -> EROFS
      setx a user.x 1 -> EROFS
      rmx a user.x -> EROFS
      mknod p fifo -> EROFS
      access a 2 -> EROFS
      access a 4
      mkdir d -> EEXIST
    `,
  },
]);
