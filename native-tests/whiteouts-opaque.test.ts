import { cases } from "./harness/cases.js";
import { file, opaque, whiteout } from "./harness/layers.js";

const overlayOnly = "kernel overlayfs does not read this format";
const aufs = { skip: { overlay: overlayOnly }, foreign: overlayOnly };
/** In the words of overlayfs's own documentation: an empty file with this attribute, in a directory whose opaque mark is `x`. */
const xattrWhiteout = file("", { xattrs: { "trusted.overlay.whiteout": "" } });

cases("whiteouts that are read", [
  {
    name: "a character device 0:0 hides files and directories, in any layer",
    lowers: [
      { f: whiteout, "s/g": whiteout },
      { f: "f", "d/x": "x", "s/g": "g", "s/h": "h" },
    ],
    upper: { d: whiteout },
    steps: `
      ls -> s
      ls s -> h
      stat f -> ENOENT
      stat d -> ENOENT
      stat d/x -> ENOENT
      open f O_RDONLY -> ENOENT
      unlink f -> ENOENT
      rmdir d -> ENOENT
    `,
  },
  {
    name: "a character device with another number is no whiteout",
    lowers: [{ c: { type: "char", major: 0, minor: 1 } }, { c: "file" }],
    steps: "stat c type,rdev -> char 0:1",
  },
  {
    name: "a block device 0:0 is no whiteout",
    lowers: [{ b: { type: "block", major: 0, minor: 0 } }, { b: "file" }],
    steps: "stat b type,rdev -> block 0:0",
  },
  {
    name: ".wh.NAME hides NAME in the layers below only",
    lowers: [
      { ".wh.f": "", ".wh.d": "", "e/.wh.x": "" },
      { f: "f", "d/y": "y", "e/x": "x", "e/z": "z" },
    ],
    merged: { "e/z": "z" },
    ...aufs,
    tree: "notimes",
    steps: `
      ls -> e
      ls e -> z
      stat f -> ENOENT
      stat .wh.f -> ENOENT
      stat e/.wh.x -> ENOENT
      stat d/y -> ENOENT
    `,
  },
  {
    name: "a real entry beats a .wh. of the same name in the same layer, but the layers below stay hidden",
    lowers: [
      { ".wh.f": "", f: "real", ".wh.d": "", "d/mine": "m" },
      { f: "below", "d/below": "b" },
    ],
    merged: { f: "real", "d/mine": "m" },
    ...aufs,
    tree: "notimes",
    steps: `
      cat f -> real
      ls d -> mine
      ls -> d f
      stat d/below -> ENOENT
    `,
  },
  {
    name: ".wh..wh..opq makes its directory opaque",
    lowers: [
      { "d/.wh..wh..opq": "", "d/mine": "m" },
      { "d/below": "b", "d/sub/x": "x" },
    ],
    merged: { "d/mine": "m" },
    ...aufs,
    tree: "notimes",
    steps: `
      ls d -> mine
      stat d/below -> ENOENT
      stat d/sub -> ENOENT
      stat d/.wh..wh..opq -> ENOENT
      unlink d/mine
      rmdir d
      stat d -> ENOENT
    `,
  },
  {
    name: ".wh..wh..opq in the root of a layer hides all that is below",
    lowers: [
      { ".wh..wh..opq": "", mine: "m" },
      { below: "b", "d/x": "x" },
    ],
    merged: { mine: "m" },
    ...aufs,
    tree: "notimes",
    steps: `
      ls -> mine
      stat below -> ENOENT
      stat d/x -> ENOENT
      put d own
      cat d -> own
    `,
  },
  {
    name: "AUFS's own names are never shown",
    lowers: [{ ".wh..wh.plnk/x": "x", ".wh..wh.orph/": {}, ".wh..wh.aufs": "", f: "f" }],
    merged: { f: "f" },
    ...aufs,
    tree: "notimes",
    steps: `
      ls -> f
      stat .wh..wh.plnk -> ENOENT
      stat .wh..wh.aufs -> ENOENT
    `,
  },
  {
    name: "an opaque directory of overlayfs ends the search after its layer",
    lowers: [{ d: opaque, "d/mine": "m" }, { "d/below": "b" }],
    upper: { "d/top": "t" },
    steps: `
      ls d -> mine top
      stat d/below -> ENOENT
      listx d -> ""
    `,
  },
  ...["user.overlay.opaque", "user.fuseoverlayfs.opaque"].map((name) => ({
    name: `${name} = y is understood`,
    lowers: [{ "d/": { xattrs: { [name]: "y" } }, "d/mine": "m" }, { "d/below": "b" }],
    merged: { "d/mine": "m" },
    ...aufs,
    tree: "none",
    steps: `
      ls d -> mine
      stat d/below -> ENOENT
    `,
  })),
  {
    name: "an attribute whiteout hides, in a directory whose mark is x, which is not opaque",
    lowers: [
      { "d/": { xattrs: { "trusted.overlay.opaque": "x" } }, "d/f": xattrWhiteout, "d/g": "g" },
      { "d/f": "below", "d/h": "below" },
    ],
    steps: `
      ls d -> g h
      stat d/f -> ENOENT
      cat d/h -> below
      put d/f new
      cat d/f -> new
    `,
  },
  {
    name: "an attribute whiteout in a directory without the mark is an empty file",
    skip: { overlay: "lists it and does not find it", native: "its reference is kernel overlayfs" },
    foreign: "kernel overlayfs lists it and does not find it",
    lowers: [{ "d/": {}, "d/f": xattrWhiteout }, { "d/f": "below" }],
    steps: `
      ls d -> f
      stat d/f type,size -> file 0
    `,
  },
  {
    name: "names starting with .wh. that are no whiteouts: a directory, and what is created through the mount",
    skip: { overlay: "has no such names", native: "has no such names" },
    foreign: overlayOnly,
    lowers: [{ x: "x" }],
    tree: "none",
    steps: `
      put .wh.x data
      cat .wh.x -> data
      cat x -> x
      mkdir .wh.dir
      put .wh.dir/.wh.inner 1
      ls -> .wh.dir .wh.x x
      ls .wh.dir -> .wh.inner
      rename .wh.x .wh.y
      cat .wh.y -> data
      stat .wh.x -> ENOENT
      remount
      ls -> .wh.dir .wh.y x
      cat .wh.y -> data
      cat x -> x
      cat .wh.dir/.wh.inner -> 1
      unlink .wh.y
      unlink .wh.dir/.wh.inner
      rmdir .wh.dir
      ls -> x
    `,
  },
]);

cases("whiteouts that are written", [
  {
    name: "removing a lower file, directory or link leaves it removed",
    lowers: [{ f: "f", "d/": {}, l: { type: "link", target: "f" }, "e/in": "in" }],
    steps: `
      unlink f
      rmdir d
      unlink l
      unlink e/in
      ls -> e
      remount
      ls -> e
      ls e -> ""
      stat f -> ENOENT
    `,
    run: async (merged) => {
      if (merged.kind === "cowfs") {
        const upper = await merged.area.exact(merged.upper);
        for (const name of ["f", "d", "l", "e/in"]) {
          if (!/^char .* 0:0$/.test(upper[name] ?? "")) {
            merged.failures.push(`${name} should be a whiteout in the upper, and is: ${upper[name]}`);
          }
        }
      }
    },
  },
  {
    name: "a created entry over a whiteout replaces it, removing it brings the whiteout back",
    lowers: [{ f: "old", "d/x": "x", "d/y": "y" }],
    steps: `
      unlink f
      put f new
      cat f -> new
      unlink f
      stat f -> ENOENT
      mkdir f
      ls f -> ""
      rmdir f
      symlink a f
      readlink f -> a
      unlink f
      mknod f fifo
      stat f type -> fifo
      unlink f
      remount
      stat f -> ENOENT
      ls -> d
    `,
  },
  {
    name: "mv tmp f over a lower f, then rm f: f is gone and stays gone",
    lowers: [{ f: "lower" }],
    steps: `
      put tmp new
      rename tmp f
      cat f -> new
      unlink f
      stat f -> ENOENT
      ls -> ""
      drop_caches
      stat f -> ENOENT
      remount
      stat f -> ENOENT
    `,
  },
  {
    name: "rm -rf d; mkdir d shows an empty d",
    lowers: [{ "d/a": "a", "d/s/b": "b" }, { "d/c": "c" }],
    upper: { "d/u": "u" },
    steps: `
      sh "rm -rf d"
      stat d -> ENOENT
      mkdir d 0700
      ls d -> ""
      stat d/a -> ENOENT
      put d/a new
      mkdir d/s
      ls d/s -> ""
      remount
      ls d -> a s
      cat d/a -> new
      ls d/s -> ""
    `,
  },
  {
    name: "a merged directory whose entries are all removed can be removed; otherwise it is ENOTEMPTY",
    lowers: [{ "d/a": "a" }, { "d/b": "b", "e/x": "x" }],
    steps: `
      rmdir d -> ENOTEMPTY
      unlink d/a
      rmdir d -> ENOTEMPTY
      unlink d/b
      rmdir d
      rmdir e -> ENOTEMPTY
      mkdir d
      ls d -> ""
      rmdir d
      stat d -> ENOENT
    `,
  },
  {
    name: "an upper directory that holds only whiteouts is empty",
    lowers: [{ "d/a": "a", "d/b": "b" }],
    upper: { "d/a": whiteout, "d/b": whiteout },
    steps: `
      ls d -> ""
      rmdir d
      stat d -> ENOENT
      mkdir d
      ls d -> ""
    `,
  },
  {
    name: "a directory over a removed lower file, a file over a removed lower directory",
    lowers: [{ f: "f", "d/x": "x" }],
    steps: `
      unlink f
      mkdir f
      put f/in 1
      sh "rm -r d"
      put d file
      cat d -> file
      cat f/in -> 1
      remount
      cat d -> file
      cat f/in -> 1
    `,
  },
]);
