/** Names and attributes of users that mean something to union file systems: they are shown as on any file system, or refused. */
import { cases } from "./harness/cases.js";
import { hard, link, type Tree } from "./harness/layers.js";

const overlay = "kernel overlayfs has no such names; what it does with its attributes is in the conformance suite";
const plain = { "trusted.overlay.cowfs.plain": "y" };
const formats = ["overlay", "aufs", "xattr"] as const;

const lower: Tree = {
  x: "x",
  y: "y",
  "d/a": "a",
  "d/b": "b",
  ".wh.full": "data in a lower",
  two: "linked",
  three: hard("two"),
  "e/in": "in",
  long: link("x"),
};

cases("names that look like marks", [
  ...formats.map((format) => ({
    name: `--whiteout ${format}: created, linked, renamed, exchanged, copied up, emptied and removed, beside whiteouts`,
    lowers: [lower, { "d/c": "below", "f/g": "below" }],
    options: { cowfs: ["--whiteout", format] },
    skip: { overlay },
    foreign: overlay,
    steps: `
      cat .wh.full -> "data in a lower"
      append .wh.full more
      truncate .wh.full 0
      stat .wh.full size -> 0
      put .wh.x ""
      cat x -> x
      put .wh. ""
      put .wh..wh.plnk ""
      link two .wh.two
      cat two -> linked
      cat .wh.two -> linked
      append .wh.two more
      cat three -> linkedmore
      symlink a .wh..wh.s
      mknod .wh.p fifo
      mkdir .wh.dir
      put .wh.dir/.wh.in ""
      rename .wh.dir .wh.dir2
      ls .wh.dir2 -> .wh.in
      unlink y
      stat y -> ENOENT
      put y again
      put .wh.y ""
      cat y -> again
      rename y z
      stat y -> ENOENT
      cat .wh.y -> ""
      rename .wh.y y
      cat y -> ""
      rename x .wh.x
      stat x -> ENOENT
      cat .wh.x -> x
      rename .wh.x z RENAME_EXCHANGE
      cat .wh.x -> again
      rename .wh.x x
      cat x -> again
      rmdir e -> ENOTEMPTY
      sh "rm -r e" -> "0 "
      mkdir e
      put e/.wh..wh..opq ""
      ls e -> .wh..wh..opq
      unlink e/.wh..wh..opq
      ls e -> ""
      put moved m
      rename moved e/.wh..wh..opq
      cat e/.wh..wh..opq -> m
      sh "rm -r d" -> "0 "
      mkdir d
      mkdir d/.wh..wh..opq
      put d/.wh..wh..opq/f f
      ls d -> .wh..wh..opq
      sh "rm -r f" -> "0 "
      mkdir f
      link z f/.wh..wh..opq
      unlink z
      ls f -> .wh..wh..opq
      put d2 2
      rename d2 f/.wh..wh..opq
      remount
      ls d -> .wh..wh..opq
      ls e -> .wh..wh..opq
      cat f/.wh..wh..opq -> 2
      cat d/.wh..wh..opq/f -> f
      cat .wh.two -> linkedmore
      cat x -> again
      stat z -> ENOENT
      rename d/.wh..wh..opq d/.wh.b
      ls d -> .wh.b
      rename e d/.wh..wh..opq
      ls d -> .wh..wh..opq .wh.b
      rmdir .wh.dir2 -> ENOTEMPTY
      unlink .wh.dir2/.wh.in
      rmdir .wh.dir2
      unlink .wh.
      unlink .wh.full
      remount
      ls d -> .wh..wh..opq .wh.b
      stat .wh.full -> ENOENT
      stat .wh. -> ENOENT
    `,
  })),
  ...formats.map((format) => ({
    name: `--whiteout ${format}: removed and renamed away where a lower layer, which was an upper, has them`,
    // What an earlier mount stored.
    lowers: [
      {
        ".wh..wh..opq": { data: "", xattrs: plain },
        ".wh.empty": { data: "", xattrs: plain },
        "d/.wh..wh..opq": { data: "", xattrs: plain },
        "d/.wh.empty": { data: "", xattrs: plain },
        "d/empty": "e",
        empty: "e",
      },
      { "d/below": "below", below: "below" },
    ],
    options: { cowfs: ["--whiteout", format] },
    skip: { overlay, native: "is about marks" },
    foreign: overlay,
    steps: `
      ls -> .wh..wh..opq .wh.empty below d empty
      ls d -> .wh..wh..opq .wh.empty below empty
      unlink .wh..wh..opq
      unlink .wh.empty
      unlink d/.wh..wh..opq
      rename d/.wh.empty d/named
      ls -> below d empty
      ls d -> below empty named
      remount
      ls -> below d empty
      ls d -> below empty named
      cat empty -> e
      cat d/empty -> e
      put .wh.empty ""
      put d/.wh..wh..opq again
      remount
      ls -> .wh.empty below d empty
      ls d -> .wh..wh..opq below empty named
    `,
  })),
  {
    name: "--whiteout aufs: a name that a mark has is refused, and the mark stays",
    lowers: [{ x: "x", "d/y": "y" }],
    options: { cowfs: ["--whiteout", "aufs"] },
    skip: { overlay, native: "is about marks" },
    foreign: overlay,
    steps: `
      unlink x
      put .wh.x "" -> EEXIST
      mkdir .wh.x -> EEXIST
      put n n
      rename n .wh.x -> EEXIST
      link n .wh.x -> EEXIST
      symlink n .wh.x -> EEXIST
      stat .wh.x -> ENOENT
      remount
      stat x -> ENOENT
      cat n -> n
      put x new
      put .wh.x mine
      cat .wh.x -> mine
      cat x -> new
      # A user's own file has the name of the mark: a device does it.
      unlink x
      remount
      stat x -> ENOENT
      cat .wh.x -> mine
    `,
  },
  {
    name: "a user's device 0:0 shows among many whiteouts, which are links of one device, and its links as well",
    lowers: [{ "d/a": "a", "d/b": "b", "d/c": "c", "d/m": "m", "d/x": "x", "d/y": "y" }],
    skip: { overlay: "refuses to make a device 0:0" },
    foreign: "reads a user's device 0:0 as a whiteout",
    steps: `
      unlink d/a
      unlink d/b
      unlink d/m
      mknod d/m char 0600 0 0
      link d/m d/n
      unlink d/x
      unlink d/y
      ls d -> c m n
      remount
      ls d -> c m n
      sh "rm -r d" -> "0 "
      stat d -> ENOENT
    `,
  },
]);

const marks = ["opaque", "whiteout", "redirect", "metacopy", "origin", "impure", "nlink", "protattr", "cowfs.plain"];

cases("attributes that look like marks", [
  {
    name: "set by users in both families on files and directories: stored, listed, copied up, renamed, removed",
    lowers: [{ "d/x": "x", "d/s/in": "in", f: "f", empty: "" }],
    skip: { overlay },
    foreign: "the kernel escapes one family only",
    steps: `
      ${["trusted", "user"]
        .flatMap((family) =>
          marks.flatMap((mark) => ["f", "d", "empty"].map((at) => `setx ${at} ${family}.overlay.${mark} y`)),
        )
        .join("\n")}
      setx d trusted.overlay.overlay.opaque twice
      setx d user.overlay. bare
      cat f -> f
      ls d -> s x
      stat empty size -> 0
      unlink d/x
      rename d e
      append f more
      remount
      ls e -> s
      cat e/s/in -> in
      cat f -> fmore
      cat empty -> ""
      ${["trusted", "user"]
        .flatMap((family) =>
          marks.flatMap((mark) => ["f", "e", "empty"].map((at) => `getx ${at} ${family}.overlay.${mark} -> y`)),
        )
        .join("\n")}
      getx e trusted.overlay.overlay.opaque -> twice
      getx e user.overlay. -> bare
      getx f trusted.overlay.verity -> ENODATA
      rmx e trusted.overlay.overlay.opaque
      getx e trusted.overlay.overlay.opaque -> ENODATA
      getx e trusted.overlay.opaque -> y
      rmx f user.overlay.redirect
      rmx f user.overlay.redirect -> ENODATA
      setx f user.overlay.${"n".repeat(229)} v
      getx f user.overlay.${"n".repeat(229)} -> v
    `,
  },
  {
    name: "escaped in a lower layer: shown with a name that is one escape shorter, and copied up as they are",
    lowers: [
      {
        f: { data: "f", xattrs: { "trusted.overlay.overlay.opaque": "1", "user.overlay.overlay.overlay.x": "2" } },
        "d/": { xattrs: { "trusted.overlay.overlay.opaque": "y" } },
      },
      { "d/below": "below" },
    ],
    skip: { overlay, native: "is about layers" },
    foreign: "the kernel escapes one family only",
    steps: `
      getx f trusted.overlay.opaque -> 1
      getx f user.overlay.overlay.x -> 2
      ls d -> below
      append f more
      put d/new n
      remount
      getx f trusted.overlay.opaque -> 1
      getx f user.overlay.overlay.x -> 2
      getx d trusted.overlay.opaque -> y
      ls d -> below new
    `,
  },
  {
    name: "that other union file systems use are refused, or attributes like any other",
    lowers: [{ f: "f" }],
    skip: { overlay, native: "is about what is refused" },
    steps: `
      setx f user.fuseoverlayfs.opaque y -> EPERM
      getx f user.fuseoverlayfs.opaque -> ENODATA
      rmx f user.fuseoverlayfs.opaque -> ENODATA
      setx f user.containers.override_stat 7:7:4777
      stat f mode -> 0644
      setx f user.overlay.${"n".repeat(240)} v -> ERANGE
      remount
      getx f user.containers.override_stat -> 7:7:4777
      stat f uid -> 0
    `,
  },
]);
