import { cases } from "./harness/cases.js";
import { fifo, link, many, socket, type Tree, whiteout } from "./harness/layers.js";

/** So many files named by their number. */
function numbered(from: number, to: number, prefix = "f"): Tree {
  return Object.fromEntries(Array.from({ length: to - from }, (_, index) => [`d/${prefix}${from + index}`, ""]));
}

cases("directory listings", [
  {
    name: "no entry twice, no whiteouts, `.` and `..`, right types",
    lowers: [
      { "d/a": "", "d/l": link("a"), "d/p": fifo(), "d/gone": whiteout },
      { "d/a": "", "d/gone": "", "d/s": socket(), "d/sub/": {} },
    ],
    upper: { "d/a": "", "d/u": "" },
    steps: `
      dtypes d -> "..:dir .:dir a:file l:link p:fifo s:socket sub:dir u:file"
      dinos d -> good
      dinos . -> good
    `,
  },
  {
    name: "d_ino is st_ino, before and after copy-up, rename and creation",
    lowers: [
      { "d/a": "a", "d/b": "b", "d/c/x": "x" },
      { "d/c/y": "y", "d/e": "e" },
    ],
    upper: { "d/u": "u" },
    steps: `
      dinos d -> good
      append d/a more
      dinos d -> good
      rename d/b d/bb
      put d/new new
      mkdir d/newdir
      dinos d -> good
      dinos d/c -> good
      append d/c/y more
      dinos d/c -> good
      rename d/c d/cc
      dinos d -> good
      dinos d/cc -> good
      drop_caches
      dinos d -> good
      dinos d/cc -> good
      link d/a d/linked
      dinos d -> good
    `,
  },
  {
    name: "an open directory shows what was there, and after a rewind what is there now",
    lowers: [{ "d/a": "", "d/b": "" }],
    steps: `
      fd = open d O_RDONLY|O_DIRECTORY
      lsfd $fd -> a b
      put d/c ""
      unlink d/a
      lsfd $fd -> b c
      ls d -> b c
    `,
  },
  {
    name: "an open, removed directory is empty and takes nothing",
    lowers: [{ "d/a": "" }],
    steps: `
      fd = open d O_RDONLY|O_DIRECTORY
      unlink d/a
      rmdir d
      lsfd $fd -> ENOENT
      openat $fd new O_RDWR|O_CREAT -> ENOENT
      fstatat $fd a -> ENOENT
      mkdir d
      openat $fd new O_RDWR|O_CREAT -> ENOENT
      fstat $fd nlink -> 0
    `,
    skip: { overlay: "keeps a link count" },
  },
  {
    name: "offsets stay valid: seeking back to any entry goes on with the next one",
    lowers: [numbered(0, 700), numbered(500, 1_200)],
    upper: numbered(1_000, 1_500),
    tree: "none",
    steps: `
      count_entries d -> 1500 1500
      seek_again d -> wrong=0 rewind=same
    `,
  },
  {
    name: "while entries come and go, every other entry is listed exactly once",
    lowers: [numbered(0, 700), numbered(500, 1_000)],
    upper: numbered(900, 1_500),
    tree: "none",
    steps: "readdir_churn d f% 1500 -> twice=0 missed=0 vanished=0 undead=0",
  },
  {
    name: "entries created while listing by another process do not disturb it",
    lowers: [numbered(0, 1_000)],
    tree: "none",
    steps: `
      fd = open d O_RDONLY|O_DIRECTORY
      telldir $fd 5
      @b many_create d n% 500
      @b many_unlink d f% 500 500
      telldir $fd 5
      lsfd $fd -> /.*n499.*/
      count_entries d -> 1000 1000
    `,
  },
  {
    name: "a large lower directory, changed here and there, lists right after each change",
    lowers: [numbered(0, 2_000)],
    tree: "none",
    steps: `
      count_entries d -> 2000 2000
      many_unlink d f% 10 100
      count_entries d -> 1990 1990
      many_create d x% 20
      count_entries d -> 2010 2010
      many_create d f% 10 100
      count_entries d -> 2020 2020
      remount
      count_entries d -> 2020 2020
    `,
  },
  {
    name: "100,000 entries",
    timeout: 240_000,
    lowers: [{ "d/f%": many(60_000) }],
    upper: { "d/g%": many(40_000) },
    tree: "none",
    skip: {
      native: "copying the tree would take longer than the test",
      overlay: "nothing to learn for the time it takes",
    },
    steps: `
      count_entries d -> 100000 100000
      many_unlink d f% 1000 500
      many_create d h% 500
      count_entries d -> 99500 99500
      many_stat d f% 60000 -> 59000
      seek_again d -> wrong=0 rewind=same
      drop_caches
      count_entries d -> 99500 99500
    `,
  },
]);
