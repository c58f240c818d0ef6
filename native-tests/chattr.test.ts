import { cases } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { file } from "./harness/layers.js";

/** Sets flags in the only lower layer, before it is mounted. */
const flagged =
  (...flags: [string, string][]) =>
  async (merged: { lowers: string[] }): Promise<void> => {
    for (const [flag, path] of flags) await command("chattr", [flag, `${merged.lowers[0]}/${path}`]);
  };

cases("files that may not change", [
  {
    name: "an immutable lower file: nothing changes it, and nothing is copied up",
    lowers: [{ f: "f", g: "g" }],
    skip: { native: "its tree is made of the layers, without their flags" },
    prepare: flagged(["+i", "f"]),
    tree: "none",
    steps: `
      sh "lsattr f | cut -c5 | tr -d '\\n'" -> 0 i
      chmod f 0600 -> EPERM
      sh "touch f 2>/dev/null" -> /1 /
      truncate f 0 -> EPERM
      sh "(echo x >> f) 2>/dev/null" -> /[12] /
      setx f user.x x -> EPERM
      link f h -> EPERM
      rename f h -> EPERM
      rename g f -> EPERM
      unlink f -> EPERM
      cat f -> f
      sh "chattr -i f" -> /0 /
      sh "lsattr f | cut -c5 | tr -d '\\n'" -> 0 -
      append f x
      cat f -> fx
      sh "chattr +i f" -> /0 /
      unlink f -> EPERM
      remount
      unlink f -> EPERM
      sh "(echo x >> f) 2>/dev/null" -> /[12] /
      cat f -> fx
      sh "chattr -i f" -> /0 /
      remount
      unlink f
      ls -> g
    `,
  },
  {
    name: "directories that are immutable or may only grow",
    lowers: [{ "i/f": "f", "i/d/": {}, "a/f": "f", "a/d/": {} }],
    skip: { native: "its tree is made of the layers, without their flags" },
    prepare: flagged(["+i", "i"], ["+a", "a"]),
    tree: "none",
    steps: `
      sh "(: > i/new) 2>/dev/null" -> /[12] /
      mkdir i/new -> EPERM
      unlink i/f -> EPERM
      rmdir i/d -> EPERM
      rename i/f i/g -> EPERM
      rename a/f i/f -> EPERM
      append i/f x
      cat i/f -> fx
      mkdir i/new -> EPERM
      mkdir a/new
      unlink a/f -> EPERM
      rmdir a/d -> EPERM
      rename a/f g -> EPERM
      remount
      mkdir i/new -> EPERM
      unlink a/f -> EPERM
      sh "chattr -i i && chattr -a a" -> /0 /
      mkdir i/new
      unlink a/f
      unlink i/f
    `,
  },
  {
    name: "set through the mount, on files and directories of the upper",
    lowers: [{ low: "low" }],
    upper: { f: "f", "d/f": "f" },
    tree: "none",
    steps: `
      sh "chattr +a f" -> /0 /
      sh "echo more >> f" -> /0 /
      truncate f 0 -> EPERM
      unlink f -> EPERM
      chmod f 0600 -> EPERM
      sh "touch f" -> /0 /
      sh "chattr -a f; chattr +i d low f" -> /0 /
      sh "lsattr -d f d low | cut -c5-6 | tr -d '\\n'" -> 0 i-i-i-
      unlink d/f -> EPERM
      rename d e -> EPERM
      unlink low -> EPERM
      remount
      sh "lsattr -d f d low | cut -c5-6 | tr -d '\\n'" -> 0 i-i-i-
      unlink d/f -> EPERM
      unlink f -> EPERM
      unlink low -> EPERM
      sh "chattr -i d low f" -> /0 /
      unlink d/f
      unlink f
      unlink low
      ls -> d
    `,
  },
  {
    name: "an append-only lower file grows, and keeps what it had",
    lowers: [{ f: "begin " }],
    skip: { native: "its tree is made of the layers, without their flags" },
    prepare: flagged(["+a", "f"]),
    tree: "none",
    steps: `
      sh "printf more >> f" -> /0 /
      cat f -> begin more
      sh "lsattr f | cut -c6 | tr -d '\\n'" -> 0 a
      truncate f 3 -> EPERM
      unlink f -> EPERM
      remount
      sh "(printf x 1<>f) 2>/dev/null" -> /[12] /
      cat f -> begin more
      sh "chattr -a f" -> /0 /
      unlink f
    `,
  },
  {
    name: "setting flags changes the time of the last change",
    lowers: [{ f: "f" }],
    tree: "none",
    steps: `
      chmod f 0600
      sh "t=$(stat -c %.9Z f); for n in $(seq 20); do chattr +d f; chattr -d f; [ $(stat -c %.9Z f) = $t ] || exit 0; done; exit 1" -> /0 /
    `,
  },
  {
    name: "whoever lacks the capability, or is not the owner, may not",
    lowers: [{ f: file("f", { mode: 0o666 }), mine: file("m", { uid: 1000, gid: 1000 }) }],
    tree: "none",
    steps: `
      sh "setpriv --reuid 1000 --regid 1000 --clear-groups chattr +i mine 2>/dev/null" -> /1 /
      sh "setpriv --reuid 1000 --regid 1000 --clear-groups chattr +d f 2>/dev/null" -> /1 /
      sh "setpriv --bounding-set -linux_immutable --inh-caps -linux_immutable chattr +i f 2>/dev/null" -> /1 /
      sh "setpriv --reuid 1000 --regid 1000 --clear-groups chattr +d mine" -> /0 /
      sh "lsattr mine | tr -d -- '- \\n'" -> /0 .*d.*/
      unlink f
      unlink mine
    `,
  },
  {
    name: "by the transport fuse-native too, which shows no flags",
    lowers: [{ f: "f", a: "a", g: "g", "d/x": "x" }],
    skip: { native: "is about cowfs", overlay: "is about cowfs" },
    options: { cowfs: ["--transport", "fuse-native"] },
    notPassthrough: "the transport has no passthrough",
    prepare: flagged(["+i", "f"], ["+a", "a"], ["+i", "d"]),
    foreign: "is about the transport",
    tree: "none",
    steps: `
      open f O_RDWR -> EPERM
      open f O_WRONLY|O_APPEND -> EPERM
      open a O_RDWR -> EPERM
      truncate f 0 -> EPERM
      open f O_WRONLY|O_TRUNC -> EPERM
      chmod f 0600 -> EPERM
      setx f user.x x -> EPERM
      unlink f -> EPERM
      rename f h -> EPERM
      rename g f -> EPERM
      link f h -> EPERM
      mkdir d/new -> EPERM
      unlink d/x -> EPERM
      cat f -> f
      append a x
      cat a -> ax
      unlink a -> EPERM
      append d/x y
      cat d/x -> xy
      unlink d/x -> EPERM
      put g new
    `,
  },
]);
