import { cases } from "./harness/cases.js";
import { fifo, hard, link, many } from "./harness/layers.js";
import type { Merged } from "./harness/merged.js";
import { mountStack, unmount } from "./harness/mounts.js";

/** Every path with its number, as stat(2) says and as a listing says. */
const numbers = (merged: Merged): Promise<string> =>
  merged.do("sh", "find . -printf '%p %i\\n' | sort; find . -type d | sort | xargs -n 1 ls -1iU | sort");

/** The lines in which two texts differ. */
function different(first: string, second: string): string {
  const [a, b] = [first.split("\n"), second.split("\n")];
  return [...a.filter((line) => !b.includes(line)), "now:", ...b.filter((line) => !a.includes(line))].join("\n");
}

/** The numbers stay over a remount, and through the other union file system (all layers being on one file system). */
async function numbersStay(merged: Merged): Promise<void> {
  if (merged.kind === "native") return;
  const before = await numbers(merged);
  await merged.remount();
  const remounted = await numbers(merged);
  if (remounted !== before)
    merged.failures.push(`numbers before and after a remount:\n${different(before, remounted)}`);
  await merged.unmount();
  const other = merged.kind === "cowfs" ? "overlay" : "cowfs";
  await mountStack(other, merged.stack, merged.root, other === "cowfs" ? ["--log", merged.area.at("driver.log")] : []);
  const elsewhere = await numbers(merged);
  if (elsewhere !== before)
    merged.failures.push(`numbers before, and through ${other}:\n${different(before, elsewhere)}`);
  await merged.endWorkers();
  await unmount(merged.root);
  await merged.driverEnds();
  await merged.mount();
}

cases("inode numbers", [
  {
    name: "stay the same over a remount, and in the other union file system",
    lowers: [
      { f: "f", g: "g", l: link("f"), p: fifo(), h1: "h", h2: hard("h1"), "d/x": "x", "d/s/y": "y", "to/": {} },
      { "d/z": "z", "d/s/w": "w", "e/k": "k" },
    ],
    upper: { u: "u", "pure/a": "a" },
    steps: `
      f = ino f
      l = ino l
      p = ino p
      h = ino h1
      d = ino d
      x = ino d/x
      s = ino d/s
      z = ino d/z
      e = ino e
      append f more
      chown l 1 1
      chmod p 0600
      append h1 more
      chmod d/z 0600
      rename d/x to/x2
      rename f pure/f2
      link g pure/g2
      rename d to/d2
      put e/new new
      mkdir to/made
      put to/made/new new
      remount
      ino pure/f2 -> $f
      ino l -> $l
      ino p -> $p
      ino h1 -> $h
      ino h2 -> $h
      ino to/d2 -> $d
      ino to/x2 -> $x
      ino to/d2/s -> $s
      ino to/d2/z -> $z
      ino e -> $e
      dinos . -> good
      dinos to -> good
      dinos to/d2 -> good
      dinos pure -> good
      drop_caches
      dinos to/d2 -> good
      append to/d2/z again
      ino to/d2/z -> $z
    `,
    run: numbersStay,
  },
  {
    name: "stay the same over copy-up, by every way of changing a file",
    lowers: [{ a: "a", b: "b", c: "c", l: link("a"), p: fifo(), "d/x": "x", "d/e/y": "y" }],
    steps: `
      a = ino a
      b = ino b
      c = ino c
      l = ino l
      p = ino p
      d = ino d
      e = ino d/e
      y = ino d/e/y
      append a more
      ino a -> $a
      chmod b 0600
      ino b -> $b
      truncate c 0
      ino c -> $c
      chown l 1 1
      ino l -> $l
      chmod p 0600
      ino p -> $p
      append d/e/y more
      ino d/e/y -> $y
      ino d/e -> $e
      ino d -> $d
      drop_caches
      ino a -> $a
      ino d -> $d
      ino d/e/y -> $y
    `,
  },
  {
    name: "stay the same over renames of files and of directories with everything in them",
    lowers: [{ f: "f", "d/x": "x", "d/e/y": "y", "to/": {} }, { "d/z": "z" }],
    steps: `
      f = ino f
      d = ino d
      x = ino d/x
      y = ino d/e/y
      z = ino d/z
      rename f to/f2
      ino to/f2 -> $f
      rename d to/d2
      ino to/d2 -> $d
      ino to/d2/x -> $x
      ino to/d2/e/y -> $y
      ino to/d2/z -> $z
      drop_caches
      ino to/d2/x -> $x
      append to/d2/x more
      ino to/d2/x -> $x
      ino to/f2 -> $f
    `,
  },
  {
    name: "stay the same while the kernel gives back thousands of nodes, and looks some of them up again",
    lowers: [{ "d/f%": many(3000), "d/kept": "k", "d/one": "1", "d/two": hard("d/one") }],
    tree: "none",
    steps: `
      f = ino d/f7
      one = ino d/one
      fd = open d/kept O_RDWR
      kept = fino $fd
      many_stat d f% 3000 -> 3000
      drop_caches
      ino d/f7 -> $f
      rename d/f7 g
      ino g -> $f
      chmod d/one 0600
      ino d/two -> $one
      many_unlink d f% 1000 500
      many_stat d f% 3000 -> 1999
      drop_caches
      rename d e
      ino e/two -> $one
      unlink e/kept
      count_entries e -> "2001 2001"
      drop_caches
      fino $fd -> $kept
      pwrite $fd 0 x
      mkdir d
      rename g d/f7
      ino d/f7 -> $f
      many_stat e f% 3000 -> 1999
      drop_caches
      many_unlink e f% 1000 2000
      ino e/one -> $one
      pread $fd 10 0 -> x
      remount
      ino d/f7 -> $f
      ino e/two -> $one
      count_entries e -> "1001 1001"
    `,
  },
  {
    name: "of an open file, of its name and through its descriptor are one",
    lowers: [{ f: "f" }],
    steps: `
      i = ino f
      r = open f O_RDONLY
      fino $r -> $i
      w = open f O_RDWR
      pwrite $w 0 x
      fino $r -> $i
      fino $w -> $i
      ino f -> $i
      unlink f
      fino $r -> $i
      put f other
      fino $r -> $i
    `,
  },
  {
    name: "are unique, also with layers on several file systems",
    lowers: [
      { place: "tmpfs:16M", tree: { a: "a", "d/x": "x", "d/e/one": "1", s: "s" } },
      { place: "ext4:16M", tree: { b: "b", "d/y": "y", "d/e/two": "2" } },
      { place: "ext4:16M", tree: { c: "c", "d/z": "z", "d/e/three": "3" } },
      { d0: "d", "d/w": "w", "d/e/four": "4" },
    ],
    run: async (merged) => {
      const listed = await merged.do("sh", "find . -printf '%i\\n' | sort | uniq -d");
      if (listed !== "0 ") {
        merged.failures.push(`inode numbers that are used twice: ${listed}`);
      }
    },
    steps: `
      same_dev . a b c d0 d d/x d/y d/z d/w d/e/one d/e/three -> same
      dinos . -> good
      dinos d -> good
      dinos d/e -> good
      a = ino a
      y = ino d/y
      append a more
      append d/y more
      ino a -> $a
      ino d/y -> $y
      put new x
      same_dev . a new d/y -> same
      dinos d -> good
    `,
    differs: { overlay: "a copied-up file of another file system gets other numbers" },
    skip: { overlay: "without room for xino bits the device number is not one" },
  },
  {
    name: "st_dev is one for the whole mount",
    lowers: [
      { a: "a", "d/x": "x" },
      { b: "b", l: link("a") },
    ],
    upper: { u: "u" },
    steps: `
      same_dev . a b d d/x l u -> same
      append b more
      mkdir new
      same_dev . b new u -> same
    `,
  },
  {
    name: "are not used again while a removed file is open",
    lowers: [{ "d/": {} }],
    steps: `
      fd = open d/f O_RDWR|O_CREAT
      i = fino $fd
      unlink d/f
      many_create d n% 50
      fino $fd -> $i
      sh "find . -inum $i" -> "0 "
    `,
  },
]);

cases("link counts", [
  {
    name: "of files that are linked and unlinked, in both layers",
    lowers: [{ a: "a", b: hard("a"), c: "c" }],
    upper: { u: "u", v: hard("u") },
    steps: `
      stat a nlink -> 2
      stat u nlink -> 2
      link c c2
      stat c nlink -> 2
      stat c2 nlink -> 2
      link u u2
      stat v nlink -> 3
      unlink u
      stat v nlink -> 2
      unlink v
      unlink c
      stat c2 nlink -> 1
      link a a2
      stat b nlink -> 3
      ia = ino a
      ino a2 -> $ia
      ino b -> $ia
      unlink a
      stat b nlink -> 2
      cat b -> a
    `,
  },
  {
    name: "of an unlinked open file is 0, and of one that is linked again it is not",
    lowers: [{ f: "f", g: "g" }],
    steps: `
      fd = open f O_RDWR
      unlink f
      fstat $fd nlink -> 0
      gd = open g O_RDONLY
      link g g2
      unlink g
      fstat $gd nlink -> 1
      unlink g2
      fstat $gd nlink -> 0
    `,
    skip: { overlay: "an unlinked lower file keeps its count" },
  },
  {
    name: "of a file replaced by rename is 0",
    lowers: [{ f: "old", d: "x" }],
    steps: `
      fd = open f O_RDONLY
      put new new
      rename new f
      fstat $fd nlink -> 0
      pread $fd 10 0 -> old
      cat f -> new
    `,
    skip: { overlay: "an unlinked lower file keeps its count" },
  },
  {
    name: "linking a lower file into another directory and writing through either name",
    lowers: [{ "a/f": "data", "b/": {} }],
    steps: `
      link a/f b/g
      append b/g more
      cat a/f -> datamore
      i = ino a/f
      ino b/g -> $i
      remount
      cat a/f -> datamore
      append a/f again
      cat b/g -> datamoreagain
      stat a/f nlink -> 2
    `,
  },
]);

cases("link counts of directories", [
  {
    name: "are 2 and one for each subdirectory, merged or not, whatever comes, goes and moves",
    skip: { overlay: "says 1 for merged directories" },
    lowers: [
      { "d/a/": {}, "d/b/x": "x", "d/f": "f", "e/": {} },
      { "d/b/": {}, "d/c/": {}, "d/g": "g", "p/q/": {} },
    ],
    upper: { "d/u/": {} },
    steps: `
      stat d nlink -> 6
      stat d/b nlink -> 2
      stat p nlink -> 3
      stat . nlink -> 5
      mkdir d/new
      stat d nlink -> 7
      rmdir d/a
      stat d nlink -> 6
      rename d/c e/c
      stat d nlink -> 5
      stat e nlink -> 3
      rename e/c d/new
      stat d nlink -> 5
      stat e nlink -> 2
      rename d/f d/b RENAME_EXCHANGE
      stat d nlink -> 5
      rename d/u d/g RENAME_EXCHANGE
      rename d/u e/u
      stat d nlink -> 5
      stat e nlink -> 2
      remount
      stat d nlink -> 5
      stat e nlink -> 2
      stat . nlink -> 5
    `,
  },
]);

cases("times", [
  {
    name: "birth time is known",
    lowers: [{ f: "f" }],
    steps: `
      btime f -> /\\d+\\.\\d{9}/
      put new x
      btime new -> /\\d+\\.\\d{9}/
      btime . -> /\\d+\\.\\d{9}/
    `,
  },
  {
    name: "are set to the nanosecond, before 1970 and after 2038 too",
    lowers: [{ f: "f", "d/": {} }],
    steps: `
      utimens f 1.000000001 2.999999999
      stat f mtime,atime -> "2.999999999 1.000000001"
      utimens d 5000000000.5 5000000001.25
      stat d mtime,atime -> "5000000001.250000000 5000000000.500000000"
      utimens f omit 3.0
      stat f mtime,atime -> "3.000000000 1.000000001"
      utimens f 4.0 omit
      stat f mtime,atime -> "3.000000000 4.000000000"
      drop_caches
      stat f mtime,atime -> "3.000000000 4.000000000"
      remount
      stat f mtime,atime -> "3.000000000 4.000000000"
      stat d mtime,atime -> "5000000001.250000000 5000000000.500000000"
    `,
  },
  {
    name: "move when contents, names or attributes change, and only then",
    lowers: [{ f: "f", "d/x": "x" }],
    steps: `
      chmod f 0600
      stat f mtime -> 1400000001.100000010
      rename f g
      stat g mtime -> 1400000001.100000010
      append g more
      stat g mtime -> /1[6-9].*/
      cat d/x -> x
      stat d mtime -> /1400.*/
      put d/y y
      stat d mtime -> /1[6-9].*/
      utimens d 1.0 1.0
      unlink d/x
      stat d mtime -> /1[6-9].*/
    `,
  },
]);
