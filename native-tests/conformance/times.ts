import { file, hard, link } from "../harness/layers.js";
import type { Theme } from "./table.js";

export const times: readonly Theme[] = [
  {
    title: "Times",
    cases: [
      {
        name: "to the nanosecond, before 1970 and after 2038",
        lowers: [{ f: "f", "d/": {}, l: link("f") }],
        steps: `
          utimens f 1.000000001 2.999999999
          utimens d 5000000000.5 5000000001.25
          utimens l 7.0 8.0
          stat f mtime,atime -> "2.999999999 1.000000001"
          stat d mtime,atime -> "5000000001.250000000 5000000000.500000000"
          stat l mtime -> 8.000000000
          sh "touch -h -d @-5.25 f; stat -c %y f" -> ?
          remount
          sh "stat -c %y f" -> ?
          stat d mtime -> 5000000001.250000000
        `,
      },
      {
        name: "UTIME_NOW and UTIME_OMIT",
        lowers: [{ f: file("f", { uid: 1000, mode: 0o666 }) }],
        steps: `
          utimens f 1.5 2.5
          utimens f omit 3.5
          stat f mtime,atime -> "3.500000000 1.500000000"
          utimens f 4.5 omit
          stat f mtime,atime -> "3.500000000 4.500000000"
          utimens f omit omit
          stat f mtime,atime -> "3.500000000 4.500000000"
          @v become 1001 1001
          @v utimens f 1.0 1.0 -> EPERM
          @v utimens f now omit -> EPERM
          @v utimens f now now
          mark f
          utimens f now now
          moved f -> mc
        `,
      },
      {
        name: "which move with each change of a lower file",
        lowers: [{ a: "a", b: "b", c: "c", d: "d", e: "e", f: "f", g: "g" }],
        steps: `
          mark a b c d e f g
          append a x
          chmod b 0600
          chown c 1 1
          setx d user.k v
          utimens e 1.5 omit
          link f f2
          truncate g 0
          moved a -> mc
          moved b -> c
          moved c -> c
          moved d -> c
          moved e -> c
          moved f -> c
          moved g -> mc
        `,
      },
      {
        name: "of a directory, which move with each change of its entries",
        lowers: [{ "d/a": "a", "d/b": "b", "d/c": "c", "d/s/": {} }],
        steps: `
          mark d
          put d/new x
          moved d -> mc
          unlink d/a
          moved d -> mc
          rename d/b d/b2
          moved d -> mc
          mkdir d/n
          moved d -> mc
          rmdir d/n
          moved d -> mc
          link d/c d/c2
          moved d -> mc
          symlink x d/l
          moved d -> mc
          mknod d/p fifo
          moved d -> mc
        `,
      },
      {
        name: "of a directory, which do not move when what is in it changes",
        overlay: "the change time moves with each copy-up",
        lowers: [{ "d/a": "a", "d/b": "b", "d/s/c": "c" }],
        steps: `
          mark d d/s
          append d/a x
          moved d -> -
          chmod d/b 0600
          moved d -> -
          append d/s/c x
          moved d d/s -> "- -"
          chmod d 0700
          moved d -> c
          setx d user.k v
          moved d -> c
        `,
      },
      {
        name: "of directories, when files move between them",
        lowers: [{ "a/f": "f", "b/g": "g", "c/": {} }],
        steps: `
          mark a b c
          rename a/f b/f
          moved a b c -> "mc mc -"
          rename b/f b/g
          moved a b c -> "- mc -"
          link b/g c/h
          moved a b c -> "- - mc"
        `,
      },
      {
        name: "of a renamed file: only the change time moves",
        lowers: [{ f: "f" }],
        upper: { u: "u" },
        steps: `
          m = stat f mtime
          rename f g
          stat g mtime -> $m
          n = stat u mtime
          rename u v
          stat v mtime -> $n
        `,
      },
      {
        name: "move with writes through mappings",
        lowers: [{ f: file("", { fill: 4096 }) }],
        steps: `
          w = open f O_RDWR
          m = mmap $w 4096 rw
          mark f
          mwrite $m 0 x
          msync $m
          moved f -> mc
        `,
      },
      {
        name: "of a copied-up directory are those of the lower one",
        lowers: [{ "d/s/x": "x" }],
        steps: `
          d = stat d mtime
          s = stat d/s mtime
          append d/s/x +
          stat d mtime -> $d
          stat d/s mtime -> $s
          remount
          stat d mtime -> $d
          stat d/s mtime -> $s
        `,
      },
      {
        name: "make sees what is newer",
        lowers: [{ src: "x", out: "y" }],
        steps: `
          sh "printf 'out: src\\\\n\\\\tcp src out\\\\n' >Makefile; make -s; cat out" -> "0 y"
          sh "touch src; make -s; cat out" -> "0 x"
          sh "make -q; echo $?" -> "0 0"
          remount
          sh "make -q; echo $?" -> "0 0"
        `,
      },
      {
        name: "the birth time is known for all objects",
        complaint: "statx has no birth time",
        lowers: [{ f: "f", "d/x": "x", l: link("f"), g: hard("f") }],
        upper: { u: "u" },
        steps: `
          btime f
          btime d
          btime l
          btime u
          append f x
          btime f
          statx_mask f -> 0xfff
          statx_mask d -> 0xfff
        `,
      },
      {
        name: "the birth time of what was there before stays, whatever is changed",
        differs: "after a remount it is that of the copy: no file system lets it be set",
        overlay: "it is that of the copy",
        lowers: [{ f: "f", "d/x": "x" }],
        upper: { u: "u" },
        steps: `
          u = btime u
          append u x
          chmod u 0600
          rename u v
          f = btime f
          d = btime d
          append f x
          put d/new x
          same_birth f $f -> same
          remount
          same_birth v $u -> same
          same_birth f $f -> same
          same_birth d $d -> same
        `,
      },
    ],
  },
];
