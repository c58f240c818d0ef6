import { cases } from "./harness/cases.js";
import { file, link } from "./harness/layers.js";

cases("errors come where ext4 gives them", [
  {
    name: "ENOENT, ENOTDIR, EISDIR, EEXIST, ENOTEMPTY, EBUSY",
    lowers: [{ f: "f", "d/x": "x", "e/": {}, l: link("f"), dangling: link("none") }],
    upper: { u: "u" },
    steps: `
      open none O_RDONLY -> ENOENT
      open "" O_RDONLY -> *
      open f/x O_RDONLY -> ENOTDIR
      open u/x O_RDWR|O_CREAT -> ENOTDIR
      open none/x O_RDWR|O_CREAT -> ENOENT
      stat f/ -> ENOTDIR
      open newfile/ O_RDWR|O_CREAT -> EISDIR
      mkdir f/x -> ENOTDIR
      mkdir none/x -> ENOENT
      mkdir d -> EEXIST
      mkdir f -> EEXIST
      mkdir dangling -> EEXIST
      mkdir new/
      symlink x d -> EEXIST
      mknod l fifo -> EEXIST
      link f d -> EEXIST
      link f u -> EEXIST
      link d d2 -> EPERM
      link none x -> ENOENT
      link f none/x -> ENOENT
      unlink d -> EISDIR
      unlink f/ -> ENOTDIR
      unlink none -> ENOENT
      rmdir f -> ENOTDIR
      rmdir l -> ENOTDIR
      rmdir d -> ENOTEMPTY
      rmdir e/. -> EINVAL
      rmdir d/x -> ENOTDIR
      rmdir none -> ENOENT
      readlink f -> EINVAL
      readlink d -> EINVAL
      readlink none -> ENOENT
      truncate d 0 -> EISDIR
      truncate none 0 -> ENOENT
      truncate f -1 -> EINVAL
      chmod none 0 -> ENOENT
      chown none 0 0 -> ENOENT
      utimens none 1.0 1.0 -> ENOENT
      getx f user.x -> ENODATA
      cat d -> EISDIR
      ls f -> ENOTDIR
      statfollow dangling -> ENOENT
    `,
  },
  {
    name: "ELOOP",
    lowers: [
      { a: link("b"), b: link("a"), self: link("self"), "d/up": link("../d") },
      Object.fromEntries(Array.from({ length: 45 }, (_, i) => [`c${i}`, link(`c${i + 1}`)])),
    ],
    steps: `
      statfollow a -> ELOOP
      open self O_RDONLY -> ELOOP
      open a O_RDWR|O_CREAT -> ELOOP
      chdir a -> ELOOP
      statfollow c0 -> ELOOP
      statfollow c10 -> ENOENT
      statfollow d/up/up/up type -> dir
    `,
  },
  {
    name: "EXDEV only where the mount ends",
    lowers: [{ f: "f", "d/x": "x" }],
    run: async (merged) => {
      await merged.area.directory("elsewhere");
      const elsewhere = await merged.area.directory("elsewhere/own", "tmpfs:1M");
      await merged.steps(
        `
        rename f ${elsewhere}/f -> EXDEV
        link f ${elsewhere}/f -> EXDEV
        rename d d2
        rename d2/x x
        link f d2/f
      `.replaceAll(merged.area.path, "$area"),
        new Map([["area", merged.area.path]]),
      );
      await merged.area.unmountPlace(elsewhere);
    },
  },
  {
    name: "offsets and lengths beyond what a file can have",
    lowers: [{ f: "f" }],
    steps: `
      fd = open f O_RDWR
      ftruncate $fd 9223372036854775807 -> EFBIG
      pwrite $fd 9223372036854775807 x -> *
      lseek $fd 9223372036854775807 -> *
      fstat $fd size -> 1
    `,
  },
]);

cases("a full upper", [
  {
    name: "ENOSPC on write, and the mount goes on",
    upperPlace: "tmpfs:1M",
    lowers: [{ f: "f", "d/x": "x" }],
    tree: "none",
    steps: `
      fd = open new O_RDWR|O_CREAT
      fill $fd 0 4M -> ENOSPC
      close $fd
      cat f -> f
      ls -> d f new
      unlink new
      put again x
      cat again -> x
      append f more
      cat f -> fmore
    `,
  },
  {
    name: "ENOSPC while copying up leaves the lower file as it was, and no litter",
    upperPlace: "tmpfs:1M",
    lowers: [{ big: file("", { fill: 3 << 20 }), small: "s" }],
    skip: { native: "has no copy-up" },
    steps: `
      append big x -> ENOSPC
      stat big size -> 3145728
      chmod small 0600
      fd = open big O_RDONLY
      verify $fd 0 3M -> good
      open big O_WRONLY|O_TRUNC
      stat big size -> 0
    `,
  },
  {
    name: "ENOSPC for names: no room for files, directories, links, whiteouts",
    upperPlace: "tmpfs:1M",
    lowers: [{ f: "f", g: "g", "d/x": "x" }],
    tree: "none",
    run: async (merged) => {
      const filler = await merged.do("open", "filler", "O_RDWR|O_CREAT");
      await merged.steps(
        `fill ${filler} 0 4M -> ENOSPC\nclose ${filler}`.replaceAll(filler, "$filler"),
        new Map([["filler", filler]]),
      );
      await merged.steps(`
        mkdir new -> *
        stat f type -> file
        unlink filler
        mkdir new2
        unlink f
        stat f -> ENOENT
        rename d e
        ls e -> x
      `);
    },
  },
  {
    name: "on a small ext4, with blocks and with inodes",
    upperPlace: "ext4:8M",
    lowers: [{ "d/": {}, f: "f" }],
    tree: "none",
    steps: `
      fd = open big O_RDWR|O_CREAT
      fill $fd 0 64M -> ENOSPC
      close $fd
      unlink big
      many_create d n% 5000 -> ENOSPC
      cat f -> f
      sh "rm -r d" -> "0 "
      put again x
      cat again -> x
    `,
  },
]);
