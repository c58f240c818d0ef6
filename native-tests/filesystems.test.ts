import { lacking, type Place } from "./harness/area.js";
import { type Case, cases } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { hard, link, type Tree, whiteout } from "./harness/layers.js";
import type { Placed } from "./harness/merged.js";
import { mountStack } from "./harness/mounts.js";

/** The longest a case takes where mkfs, two unions and the kernel's own compete for a slow disk. */
const timeout = 240_000;

const acl =
  "\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x07\0\x39\x30\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x07\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";

/** One of everything that file systems store in ways of their own. */
const rich = (n: number): Tree => ({
  [`f${n}`]: `file ${n}`,
  same: `same of ${n}`,
  [`a${n}`]: { data: "linked", xattrs: { "user.x": `x${n}` } },
  [`b${n}`]: hard(`a${n}`),
  [`l${n}`]: link("f1"),
  "d/": { mode: 0o2775, gid: 5 },
  [`d/x${n}`]: "x",
  "d/s/same": `s${n}`,
  [`d/s/y${n}`]: "y",
  [`big${n}`]: { fill: 300_000, seed: n, parts: [[500_000, "end"]], size: 600_001 },
});

/** What is done in a union of one or more such layers, 1 being the first. */
const everything = `
  dinos . -> good
  dinos d -> good
  dinos d/s -> good
  cat same -> "same of 1"
  append f1 more
  cat f1 -> "file 1more"
  append a1 more
  getx a1 user.x -> x1
  setx a1 user.y y
  setx d user.z z
  chmod d/x1 0600
  fd = open big1 O_RDWR
  pwrite $fd 100 patched
  pread $fd 7 100 -> patched
  verify $fd 4096 200000 1 -> good
  fstat $fd size -> 600001
  close $fd
  rename d e
  ls e -> *
  cat e/s/same -> s1
  rename e/s e/t
  unlink e/t/same
  put e/t/new new
  rename e/x1 moved
  unlink same
  stat same -> ENOENT
  mkdir same
  ls same -> ""
  symlink target l1 -> EEXIST
  readlink l1 -> f1
  chown l1 3 4
  rmdir same
  mkdir w
  put w/f f
  sh "rm -r w" -> "0 "
  dinos . -> good
  dinos e -> good
  dinos e/t -> good
`;

const again = `
  dinos . -> good
  dinos e/t -> good
  cat a1 -> linkedmore
  cat f1 -> "file 1more"
  ls e/t -> *
  append e/t/new more
  rename e d
  cat d/t/new -> newmore
`;

/** Where lower files have handles that last, links stay together, and inode numbers what they are. */
const lasting = `
  i = ino f1
  j = ino d/x1
  k = ino d
  h = ino a1
  ino b1 -> $h
  ${everything}
  cat b1 -> linkedmore
  stat b1 nlink -> 2
  ino f1 -> $i
  ino moved -> $j
  ino e -> $k
  ino b1 -> $h
  remount
  ino f1 -> $i
  ino moved -> $j
  ino e -> $k
  ino b1 -> $h
  cat b1 -> linkedmore
  ${again}`;

const passing = `${everything}
  remount
  ${again}`;

async function available(list: readonly Place[], make: (place: Place) => Case): Promise<Case[]> {
  const made = [];
  for (const place of list) {
    const reason = await lacking(place);
    const one = make(place);
    made.push(reason === undefined ? one : { ...one, skip: { native: reason, overlay: reason, cowfs: reason } });
  }
  return made;
}

const writable: readonly Place[] = ["ext4:32M", "xfs:300M", "btrfs:128M", "tmpfs:32M"];

cases(
  "uppers on every file system",
  await available([...writable, "cowfs", "overlay"], (upperPlace) => {
    const nested = upperPlace === "cowfs" || upperPlace === "overlay";
    return {
      name: upperPlace,
      upperPlace,
      timeout,
      lowers: [rich(1), rich(2)],
      ...(nested
        ? {
            skip: { native: "the same as on the disk", overlay: "the kernel refuses such an upper" },
            foreign: "the same",
            tree: "none",
          }
        : {}),
      steps: `
        setx f1 system.posix_acl_access "${[...acl].map((c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`).join("")}"
        stat f1 mode -> 0670
        ${lasting}
        stat f1 mode -> 0670
        fd = open . O_TMPFILE|O_RDWR
        write $fd temporary
        linkproc $fd kept
        cat kept -> temporary
      `,
    };
  }),
);

const withHandles: readonly Place[] = [...writable, "squashfs", "erofs"];
const nestedPlaces: readonly Place[] = ["overlay", "cowfs"];
/** The disk may have no UUID, and would then be taken for a squashfs, which has none. */
const beside: Placed = { place: "ext4:16M", tree: { gone: whiteout, "d/gone": "hidden", deep: "deep" } };

cases("lowers on every file system", [
  ...(await available(withHandles, (place) => ({
    name: place,
    timeout,
    lowers: [{ place, tree: rich(1) }, beside],
    skip: { native: "each is compared with kernel overlayfs by its steps" },
    steps: lasting,
  }))),
  ...(await available(nestedPlaces, (place) => ({
    name: place,
    timeout,
    lowers: [{ place, tree: rich(1) }, beside],
    skip: { native: "its steps say it all", overlay: "numbers differ between readdir and stat" },
    foreign: "links come apart",
    steps: passing,
  }))),
]);

const two = (place: Place): readonly Placed[] => [
  { place, tree: rich(1) },
  { place, tree: rich(2) },
];

cases("several file systems at once", [
  {
    name: "what erofs and squashfs call immutable can be changed, and what ext4 calls so beside them cannot",
    timeout,
    lowers: [
      { place: "erofs", tree: { e: "e", "d/e": "e", "only-e/x": "x" } },
      { place: "squashfs", tree: { s: "s", "d/s": "s", "only-s/x": "x" } },
      { place: "ext4:16M", tree: { f: "f", "d/f": "f", free: "free" } },
    ],
    prepare: async ({ lowers }) => command("chattr", ["+i", `${lowers[2]}/f`, `${lowers[2]}/d/f`]),
    skip: { native: "has no layers" },
    tree: "none",
    // The first two file systems have no such flags to be asked for.
    steps: `
      e = open e O_RDONLY
      getflags $e -> ENOTTY
      s = open d/s O_RDONLY
      getflags $s -> ENOTTY
      f = open f O_RDONLY
      sh "lsattr f d/f | cut -c5 | tr -d '\\n'" -> "0 ii"
      chmod e 0600
      append e more
      cat e -> emore
      truncate d/s 0
      setx s user.a b
      link s s2
      rename d/e moved
      put only-e/new new
      unlink only-e/x
      rename only-s renamed
      unlink renamed/x
      sh "lsattr e d/s moved | cut -c5 | tr -d '\\n'" -> "0 ---"
      unlink f -> EPERM
      rename d/f x -> EPERM
      chmod d/f 0600 -> EPERM
      append free more
      remount
      append e more
      cat e -> emoremore
      cat moved -> e
      ls renamed -> ""
      unlink f -> EPERM
      unlink d/f -> EPERM
      unlink s2
      sh "chattr -i f && rm f" -> "0 "
      stat f -> ENOENT
    `,
  },
  {
    name: "eight lowers, each on another",
    timeout,
    lowers: [...withHandles, ...nestedPlaces].map((place, index) => ({ place, tree: rich(index + 1) })),
    skip: { native: "its steps say it all", overlay: "links of some come apart" },
    foreign: "links of some come apart",
    steps: `${lasting}
      append a5 more
      cat b5 -> linkedmore
      append a6 more
      cat b6 -> linkedmore
      append big8 more
      stat big8 size -> 600005
    `,
  },
  {
    name: "two squashfs images, which have no UUID and the same inode numbers, are not confused",
    timeout,
    lowers: two("squashfs"),
    skip: { native: "its steps say it all", overlay: "links come apart" },
    foreign: "links come apart",
    steps: `
      append a1 first
      cat a1 -> linkedfirst
      cat a2 -> linked
      cat b2 -> linked
      append a2 second
      cat a2 -> linkedsecond
      cat a1 -> linkedfirst
      append f1 more
      append f2 more
      dinos . -> good
      remount
      dinos . -> good
      cat a1 -> linkedfirst
      cat a2 -> linkedsecond
      cat b1 -> linked
      cat b2 -> linked
      cat f1 -> "file 1more"
      cat f2 -> "file 2more"
    `,
  },
  {
    name: "a lower that is a cowfs mounted anew: its handles are others, and no link leads to another file",
    notPassthrough: "the mount below then passes files of its own upper through, whose access times move",
    timeout,
    lowers: [{ place: "cowfs", tree: { z: "z", ...rich(1) } }],
    skip: { native: "is about nested mounts", overlay: "is about nested mounts" },
    foreign: "is about nested mounts",
    tree: "none",
    run: async (merged) => {
      await merged.steps("append a1 more\nappend f1 more");
      await merged.unmount();
      const at = merged.lowers[0] as string;
      await merged.area.unmountPlace(at);
      await mountStack("cowfs", { lowers: [`${at}.lower`], upper: `${at}.upper`, work: `${at}.work` }, at);
      await merged.mount();
      await merged.steps(`
        cat z -> z
        cat f1 -> "file 1more"
        cat a1 -> linkedmore
        cat b1 -> linked
        cat d/s/same -> s1
        dinos . -> good
      `);
    },
  },
]);
