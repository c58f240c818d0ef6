import { type Case, cases } from "./harness/cases.js";
import { type Entry, file, whiteout } from "./harness/layers.js";

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
  "of bytes that are no text": "/\xff\xfe\n",
};

cases("marks that make no sense", [
  ...Object.entries(redirects).map(
    ([what, value]): Case => ({
      name: `a redirect ${what}`,
      lowers: [{ "o/x": "x", "d/below": "b", f: "f", l: { type: "link", target: "/etc" } }],
      upper: { "d/": mark("redirect", value), "d/up": "u", "d/s/in": "s" },
      skip: { native: lives, overlay: lives },
      foreign: lives,
      tree: "none",
      litter: "directories that cannot be read stay as they are",
      steps: `
        stat d -> *
        ls d -> *
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
