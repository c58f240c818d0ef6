import type { Place } from "./harness/area.js";
import { type Case, cases } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { file, hard, type Tree } from "./harness/layers.js";

const timeout = 240_000;

cases("room that was freed a moment ago", [
  {
    name: "a removed file gives its blocks back before anyone hears that the disk is full",
    upperPlace: "tmpfs:4M",
    timeout,
    tree: "none",
    lowers: [{ "d/x": "x" }],
    steps: `
      sh "for i in $(seq 12); do (for j in $(seq 700); do [ -e d/n$i-$j ]; done) & done; for i in $(seq 60); do head -c 3500000 /dev/zero > f || exit 1; rm f; done; wait" -> "0 "
      sh "for i in $(seq 20); do fallocate -l 3500000 f || exit 1; rm f; done" -> "0 "
    `,
  },
  ...(["tmpfs:8M", "ext4:16M"] as const).map(
    (upperPlace): Case => ({
      name: `fallocate and copy_file_range too, while others keep the driver busy, on ${upperPlace}`,
      upperPlace,
      timeout,
      tree: "none",
      lowers: [{ "d/x": "x" }],
      steps: `
        sh "head -c 3500000 /dev/urandom > source" -> "0 "
        sh "for i in $(seq 8); do (for j in $(seq 600); do [ -e d/n$i-$j ]; done) & done; for i in $(seq 25); do fallocate -l 3500000 f || exit 1; rm f; done; wait" -> "0 "
        sh "for i in $(seq 8); do (for j in $(seq 600); do [ -e d/m$i-$j ]; done) & done; for i in $(seq 20); do cp source f || exit 1; rm f; done; wait" -> "0 "
        sh "cp source f; cmp source f" -> "0 "
        fd = open g O_RDWR|O_CREAT
        fallocate $fd 0 0 100M -> ENOSPC
        close $fd
      `,
    }),
  ),
]);

/** What may be in a union, so that each operation needs room for something of its own. */
const lower: Tree = {
  big: file("", { fill: 3 << 20 }),
  small: "small",
  attributes: { data: "a", xattrs: { "user.x": "x" } },
  linked: "linked",
  other: hard("linked"),
  gone: "gone",
  "d/deep/er/f": "f",
  "moved/x": "x",
  "emptied/y": "y",
};

/** Each either works or says so; nothing else may come of it. */
const attempts = (error: string): string => `
  append big x -> ${error}
  stat big size -> 3145728
  chmod small 0600 -> /|${error}/
  chmod attributes 0600 -> /|${error}/
  setx attributes user.y ${"v".repeat(3000)} -> /|${error}/
  chmod linked 0600 -> /|${error}/
  chmod d/deep/er/f 0600 -> /|${error}/
  unlink gone -> /|${error}/
  rename moved renamed -> /|${error}/
  unlink emptied/y -> /|${error}/
  rmdir emptied -> /|${error}|ENOTEMPTY/
  mkdir emptied -> /|${error}|EEXIST/
  mkdir new -> /|${error}/
  symlink ${"t".repeat(900)} link -> /|${error}/
  link small hardlink -> /|${error}/
  ls -> *
  cat small -> small
  cat linked -> linked
  cat other -> linked
  fd = open big O_RDONLY
  verify $fd 0 3M -> good
  close $fd
`;

/** With room again everything works as if nothing had been. */
const afterwards = `
  append big x
  stat big size -> 3145729
  chmod small 0644
  append attributes more
  getx attributes user.x -> x
  append linked more
  cat other -> linkedmore
  stat other nlink -> 2
  append d/deep/er/f more
  cat d/deep/er/f -> fmore
  sh "[ -e renamed ] || mv moved renamed; ls renamed" -> "0 x"
  sh "rm -rf gone emptied new link hardlink; mkdir emptied new; ls emptied" -> "0 "
  stat gone -> ENOENT
  dinos . -> good
  remount
  dinos . -> good
  cat other -> linkedmore
  stat gone -> ENOENT
  ls emptied -> ""
  stat big size -> 3145729
`;

/** Fills the file system of the upper past the mount, so that the filler is nobody's file in it. */
function filled(name: string, upperPlace: Place, fill: string, empty: string, error = "ENOSPC"): Case {
  return {
    name,
    upperPlace,
    timeout,
    lowers: [lower],
    tree: "none",
    skip: { native: "has nothing to copy up" },
    run: async (merged) => {
      const at = merged.area.at("up");
      await command("/bin/sh", ["-c", fill], { cwd: at });
      await merged.steps(attempts(error));
      await command("/bin/sh", ["-c", empty], { cwd: at });
      await merged.steps(afterwards);
      await merged.unmount();
      await command("/bin/sh", ["-c", "rm -rf filler*"], { cwd: at });
    },
  };
}

const blocks =
  "for size in 1M 64k 4k 512; do dd if=/dev/zero of=filler-$size bs=$size status=none 2>/dev/null; done; sync -f .";
const inodes = "mkdir filler; seq 6000 | sed s,^,filler/, | xargs touch 2>/dev/null; sync -f .";

cases("an upper without room", [
  filled("no blocks on ext4", "ext4:16M", blocks, "rm filler*; sync -f ."),
  filled("no blocks on XFS", "xfs:300M", blocks, "rm filler*; sync -f ."),
  filled("no blocks on btrfs", "btrfs:128M", blocks, "rm filler*; sync -f ."),
  filled("no blocks in memory", "tmpfs:4M", blocks, "rm filler*"),
  filled(
    "beyond the quota of a btrfs subvolume",
    "btrfs:128M",
    `btrfs quota enable . && btrfs quota rescan -w . && btrfs qgroup limit 10M 0/5 . && { ${blocks}; }`,
    "btrfs qgroup limit none 0/5 .; rm filler*; sync -f .",
    "EDQUOT",
  ),
  filled("no inodes on ext4", "ext4:16M", inodes, "rm -r filler; sync -f ."),
]);
