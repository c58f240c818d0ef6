/** Options that say how copies and renames are written: the same answers as from kernel overlayfs with the same options. */
import { readdirSync } from "node:fs";
import { expect } from "vitest";
import { cases } from "./harness/cases.js";
import { file, hard, whiteout } from "./harness/layers.js";

const both = (...options: string[]) => ({
  overlay: [...options, "metacopy=off"],
  cowfs: ["-o", options.join(",")],
});

const redirected = {
  "moved/": { xattrs: { "trusted.overlay.redirect": "/d" } },
  d: whiteout,
  "own/x": "x",
};

cases("redirect_dir", [
  ...["off", "follow", "nofollow"].map((value) => ({
    name: `${value}: a directory with lower parts is EXDEV, others are renamed`,
    lowers: [{ "d/x": "x", "e/y": "y", f: "f", "empty/": {} }],
    upper: { "d/z": "z", "own/u": "u" },
    options: both(`redirect_dir=${value}`),
    skip: { native: "a directory is renamed there" },
    steps: `
      rename d moved -> EXDEV
      rename e moved -> EXDEV
      rename e empty -> EXDEV
      rename e d -> EXDEV
      rename e d RENAME_EXCHANGE -> EXDEV
      rename own e RENAME_EXCHANGE -> EXDEV
      rename f e RENAME_EXCHANGE -> EXDEV
      rename e e/inside -> EINVAL
      rename e f -> ENOTDIR
      rename e d RENAME_NOREPLACE -> EEXIST
      rename own moved
      rename f g
      append g more
      cat g -> fmore
      mkdir new
      rename new new2
      ls -> "d e empty g moved new2"
      sh "mv e e2" -> "0 "
      cat e2/y -> y
    `,
  })),
  ...["off", "follow"].map((value) => ({
    name: `${value}: redirects that are there are followed`,
    lowers: [{ "d/x": "x" }],
    upper: redirected,
    options: both(`redirect_dir=${value}`),
    skip: { native: "has no marks" },
    steps: `
      cat moved/x -> x
      rename moved again -> EXDEV
      put moved/new new
      ls moved -> "new x"
    `,
  })),
  {
    name: "nofollow: what has a redirect is EPERM",
    lowers: [{ "d/x": "x" }],
    upper: redirected,
    options: both("redirect_dir=nofollow"),
    skip: { native: "has no marks" },
    tree: "none",
    steps: `
      stat moved -> EPERM
      stat moved/x -> EPERM
      cat own/x -> x
      stat d -> ENOENT
    `,
  },
  {
    name: "nofollow: in the middle of the layers too, and metacopies that say where their data is",
    lowers: [{ "n/": { xattrs: { "trusted.overlay.redirect": "d" } } }, { "d/x": "x", data: "data" }],
    upper: {
      meta: file("", {
        size: 4,
        xattrs: { "trusted.overlay.metacopy": "", "trusted.overlay.redirect": "/data" },
      }),
    },
    options: both("redirect_dir=nofollow"),
    skip: { native: "has no marks", overlay: "refuses all metacopies without redirect_dir=on" },
    tree: "none",
    steps: `
      stat n -> EPERM
      cat meta -> EPERM
      stat meta size -> 4
      cat data -> data
    `,
  },
  {
    name: "off: a metacopy that is renamed gets its data",
    lowers: [{ f: "content" }],
    skip: { native: "copies nothing", overlay: "refuses all metacopies without redirect_dir=on" },
    run: async (merged) => {
      await merged.steps("chmod f 600");
      await merged.unmount();
      await merged.mount(["-o", "redirect_dir=nofollow"]);
      await merged.steps("rename f g\ncat g -> content");
    },
  },
]);

const linked = { a: "one", b: hard("a"), c: hard("a") };

cases("index=off", [
  {
    name: "hard links of a lower file part when one of them is changed",
    lowers: [linked],
    options: both("index=off"),
    skip: { native: "links stay together there" },
    steps: `
      append a more
      cat a -> onemore
      cat b -> one
      cat c -> one
      unlink c
      cat b -> one
      link a d
      append d most
      cat a -> onemoremost
      rename b e
      cat e -> one
      chmod e 600
      cat a -> onemoremost
    `,
    run: async (merged) => {
      expect(readdirSync(merged.work)).toEqual(["work"]);
    },
    foreign: "with an index the names that are still below are one file",
  },
  {
    name: "what is in an index already stays one file, and nothing is added",
    lowers: [{ ...linked, x: "two", y: hard("x") }],
    skip: { native: "has no index", overlay: "takes no notice of the index then" },
    run: async (merged) => {
      await merged.steps("append a more");
      await merged.unmount();
      const before = readdirSync(`${merged.work}/index`);
      await merged.mount(["-o", "index=off"]);
      await merged.steps(`
        stat a nlink -> 3
        cat b -> onemore
        append b most
        cat c -> onemoremost
        append x more
        cat y -> two
        unlink b
        stat a nlink -> 2
        cat c -> onemoremost
        unlink c
        link a d
        stat d nlink -> 2
      `);
      expect(readdirSync(`${merged.work}/index`)).toEqual(before);
      await merged.remount();
      await merged.steps("cat d -> onemoremost\nstat a nlink -> 2\ncat y -> two\ncat x -> twomore");
    },
    foreign: "with an index the names that are still below are one file",
  },
]);
