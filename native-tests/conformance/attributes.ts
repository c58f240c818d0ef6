import { file, hard, link } from "../harness/layers.js";
import type { Theme } from "./table.js";

export const attributes: readonly Theme[] = [
  {
    title: "Extended attributes",
    cases: [
      {
        name: "set, replaced, listed and removed on lower and upper objects",
        lowers: [{ f: file("f", { xattrs: { "user.low": "1" } }), "d/": { xattrs: { "user.d": "2" } } }],
        upper: { u: "u" },
        steps: `
          getx f user.low -> 1
          setx f user.new v
          listx f -> user.low user.new
          setx f user.low "" XATTR_REPLACE
          getx f user.low -> ""
          rmx f user.low
          getx f user.low -> ENODATA
          setx d user.e 3
          listx d -> user.d user.e
          setx u user.x 4
          remount
          listx f -> user.new
          listx d -> user.d user.e
          getx u user.x -> 4
        `,
      },
      {
        name: "XATTR_CREATE and XATTR_REPLACE",
        lowers: [{ f: file("f", { xattrs: { "user.k": "v" } }) }],
        steps: `
          setx f user.k w XATTR_CREATE -> EEXIST
          setx f user.n w XATTR_REPLACE -> ENODATA
          setx f user.k w XATTR_REPLACE
          setx f user.n w XATTR_CREATE
          setx f user.k w XATTR_CREATE|XATTR_REPLACE -> ?
          listx f -> user.k user.n
        `,
      },
      {
        name: "sizes and limits",
        lowers: [{ f: "f" }],
        steps: `
          sh "setfattr -n user.big -v $(head -c 3000 /dev/zero | tr '\\\\0' x) f" -> "0 "
          getxsize f user.big 0 -> 3000
          getxsize f user.big 10 -> ERANGE
          setx f user.empty ""
          getxsize f user.empty 0 -> 0
          listxsize f 3 -> ERANGE
          getxsize f user.none 0 -> ENODATA
          sh "setfattr -n user.$(head -c 260 /dev/zero | tr '\\\\0' n) -v x f 2>&1 | grep -c 'out of range'" -> ?
        `,
      },
      {
        name: "trusted. attributes are root's",
        lowers: [{ f: file("f", { uid: 1000, xattrs: { "trusted.k": "v" } }) }],
        steps: `
          getx f trusted.k -> v
          setx f trusted.l w
          listx f -> trusted.k trusted.l
          @u become 1000 1000
          @u getx f trusted.k -> ENODATA
          @u setx f trusted.k x -> EPERM
          @u listx f -> ""
        `,
      },
      {
        name: "user. attributes by owner, mode and type",
        lowers: [
          { f: file("f", { uid: 1000, mode: 0o600, xattrs: { "user.k": "v" } }), l: link("f"), p: { type: "fifo" } },
        ],
        steps: `
          @v become 1001 1001
          @v getx f user.k -> EACCES
          @v setx f user.k x -> EACCES
          @u become 1000 1000
          @u setx f user.k x
          @u getx f user.k -> x
          setx l user.k v -> EPERM
          setx p user.k v -> EPERM
          setx l trusted.k v
          getx l trusted.k -> v
        `,
      },
      {
        name: "security. attributes",
        lowers: [{ f: file("f", { xattrs: { "security.test": "v" } }) }],
        steps: `
          getx f security.test -> v
          setx f security.other w
          listx f -> security.other security.test
          rmx f security.test
          remount
          listx f -> security.other
        `,
      },
      {
        name: "in name spaces that do not exist",
        lowers: [{ f: "f" }],
        steps: `
          setx f nothing.k v -> EOPNOTSUPP
          getx f nothing.k -> EOPNOTSUPP
          setx f user. v -> EINVAL
          setx f k v -> EOPNOTSUPP
        `,
      },
      {
        name: "go along with copy-up, rename, link, cp and tar",
        lowers: [
          { f: file("f", { xattrs: { "user.k": "v", "trusted.t": "w" } }), "d/": { xattrs: { "user.k": "d" } } },
        ],
        steps: `
          append f +
          getx f user.k -> v
          getx f trusted.t -> w
          rename f g
          link g h
          getx h user.k -> v
          put d/x x
          getx d user.k -> d
          sh "cp -a g c && getfattr -n user.k --only-values c" -> "0 v"
        `,
      },
      {
        name: "that users name like the marks of overlayfs",
        lowers: [{ "d/x": "x", f: "f" }],
        overlay: "the attributes of the name space are its own; escaped since Linux 6.7",
        steps: `
          setx d trusted.overlay.opaque y
          getx d trusted.overlay.opaque -> y
          ls d -> x
          setx f trusted.overlay.metacopy y
          setx f user.overlay.redirect /x
          cat f -> f
          remount
          ls d -> x
          cat f -> f
          getx f user.overlay.redirect -> /x
          listx d -> trusted.overlay.opaque
        `,
      },
      {
        name: "through descriptors, before and after unlink",
        lowers: [{ f: "f" }],
        steps: `
          r = open f O_RDONLY
          fsetx $r user.k v
          unlink f
          fgetx $r user.k -> v
          fsetx $r user.k w
          fgetx $r user.k -> w
          p = open . O_PATH
          fgetx $p user.k -> EBADF
        `,
      },
    ],
  },
  {
    title: "Access control lists",
    cases: [
      {
        name: "set on lower files, shown, and removed",
        lowers: [{ f: "f", "d/": {} }],
        steps: `
          sh "setfacl -m u:1000:rw,g:1001:r f && getfacl -cn f" -> ?
          stat f mode -> 0664
          sh "setfacl -b f && getfacl -cn f" -> ?
          sh "setfacl -m d:u:1000:rwx d && getfacl -cn d" -> ?
          remount
          sh "getfacl -cn f d" -> ?
        `,
      },
      {
        name: "are enforced",
        lowers: [{ f: file("f", { mode: 0o600 }), g: file("g", { mode: 0o640 }) }],
        steps: `
          sh "setfacl -m u:1000:r f; setfacl -m u:1000:- g"
          @u become 1000 0
          @u cat f -> f
          @u append f x -> EACCES
          @u cat g -> EACCES
          @v become 1001 1001
          @v cat f -> EACCES
        `,
      },
      {
        name: "the mask follows chmod, and chmod the mask",
        lowers: [{ f: file("f", { mode: 0o640 }) }],
        steps: `
          sh "setfacl -m u:1000:rw f"
          stat f mode -> 0660
          chmod f 0600
          @u become 1000 1000
          @u cat f -> EACCES
          chmod f 0640
          @u cat f -> f
          @u append f x -> EACCES
          sh "getfacl -cn f" -> ?
        `,
      },
      {
        name: "default lists are inherited by files and directories",
        lowers: [{ "d/": {} }],
        steps: `
          sh "setfacl -d -m u:1000:rwx,g::r,o::- d"
          put d/f f
          mkdir d/s
          sh "cd d; getfacl -cn f s" -> ?
          put d/s/g g 0666
          sh "getfacl -cn d/s/g" -> ?
          mknod d/p fifo 0666
          symlink f d/l
          sh "stat -c '%a %n' d/p d/l d/f d/s" -> ?
        `,
      },
      {
        name: "a default list of a lower directory takes the place of the umask",
        lowers: [{ "d/": {} }],
        prepare: "setfacl -d -m u::rwx,g::rwx,o::rx d",
        steps: `
          umask 077
          put d/f f 0666
          mkdir d/s 0777
          stat d/f mode -> 0664
          stat d/s mode -> 0775
          put n n 0666
          stat n mode -> 0600
        `,
      },
      {
        name: "survive copy-up and rename",
        lowers: [{ f: "f", "d/x": "x" }],
        prepare: "setfacl -m u:1000:rw f; setfacl -m u:1000:rwx,d:u:1000:rx d",
        steps: `
          append f +
          rename f g
          put d/new n
          sh "getfacl -cn g d d/new" -> ?
          remount
          sh "getfacl -cn g d d/new" -> ?
        `,
      },
      {
        name: "by who is not the owner, and on links",
        lowers: [{ f: file("f", { uid: 1000 }), l: link("f") }],
        steps: `
          @v become 1001 1001
          @v sh "setfacl -m u:1001:rw f 2>&1 | grep -c 'not permitted'" -> "0 1"
          @u become 1000 1000
          @u sh "setfacl -m u:1001:rw f"
          @v append f x
          setx l system.posix_acl_access x -> EINVAL
          setx f system.posix_acl_access x -> EINVAL
          setx f system.posix_acl_default x -> EINVAL
        `,
      },
    ],
  },
  {
    title: "Owners and modes",
    cases: [
      {
        name: "a write drops set-id bits and capabilities",
        lowers: [
          {
            s: file("s", { mode: 0o6755, uid: 1000 }),
            c: file("c", { uid: 1000 }),
            t: file("t", { mode: 0o6755, uid: 1000 }),
          },
        ],
        steps: `
          setcaps c 0100000200040000000000000000000000000000
          @u become 1000 1000
          @u append s x
          stat s mode -> 0755
          @u append c x
          getx c security.capability -> ENODATA
          @u truncate t 0
          stat t mode -> 0755
        `,
      },
      {
        name: "chown drops set-id bits and capabilities",
        lowers: [{ s: file("s", { mode: 0o6755 }), c: "c", g: file("g", { mode: 0o2644 }), "d/": { mode: 0o6755 } }],
        steps: `
          setcaps c 0100000200040000000000000000000000000000
          chown s 1 1
          stat s mode -> 0755
          chown c 1 1
          getx c security.capability -> ENODATA
          chown g 1 1
          stat g mode -> 2644
          chown d 1 1
          stat d mode -> 6755
          chown s -1 -1
        `,
      },
      {
        name: "capabilities of lower files stay over copy-up by chmod and rename",
        lowers: [
          {
            c: file("c", {
              mode: 0o755,
              xattrs: {
                "security.capability":
                  "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
              },
            }),
          },
        ],
        steps: `
          chmod c 0700
          rename c d
          getxsize d security.capability 0 -> 20
          utimens d 1.0 2.0
          getxsize d security.capability 0 -> 20
          remount
          getxsize d security.capability 0 -> 20
          append d x
          getxsize d security.capability 0 -> ENODATA
        `,
      },
      {
        name: "chmod by the owner, by others, and of set-gid by who is not in the group",
        lowers: [{ f: file("f", { uid: 1000, gid: 1001 }) }],
        steps: `
          @v become 1001 1001
          @v chmod f 0777 -> EPERM
          @u become 1000 1000
          @u chmod f 02755
          stat f mode -> 0755
          chmod f 02755
          stat f mode -> 2755
          chmod f 07777
          stat f mode -> 7777
        `,
      },
      {
        name: "chown by the owner only to own groups",
        lowers: [{ f: file("f", { uid: 1000, gid: 1000 }) }],
        steps: `
          @u become 1000 1000 1005
          @u chown f 1001 -1 -> EPERM
          @u chown f -1 1006 -> EPERM
          @u chown f -1 1005
          stat f uid,gid -> "1000 1005"
        `,
      },
      {
        name: "new objects belong to their maker; a set-gid directory gives its group",
        lowers: [{ "d/": { mode: 0o777 }, "g/": { mode: 0o2777, gid: 1005 } }],
        steps: `
          @u become 1000 1000
          @u put d/f f
          @u mkdir d/s
          @u symlink x d/l
          @u mknod d/p fifo
          @u put g/f f
          @u mkdir g/s
          @u symlink x g/l
          sh "stat -c '%u:%g %a %n' d/* g/*" -> ?
          remount
          sh "stat -c '%u:%g %a %n' d/* g/*" -> ?
        `,
      },
      {
        name: "umask",
        lowers: [{ "d/": {} }],
        steps: `
          umask 027
          put d/f f 0666
          mkdir d/s 0777
          mknod d/p fifo 0666
          sh "stat -c '%a %n' d/*" -> ?
          umask 0
          put d/g g 0666
          mkdir d/t 07777
          sh "stat -c '%a %n' d/*" -> ?
        `,
      },
      {
        name: "a sticky directory",
        lowers: [
          {
            "t/": { mode: 0o1777 },
            "t/a": file("a", { uid: 1000 }),
            "t/b": file("b", { uid: 1001 }),
            "t/d/": { uid: 1000 },
          },
        ],
        steps: `
          @v become 1001 1001
          @v unlink t/a -> EPERM
          @v rename t/a t/c -> EPERM
          @v rmdir t/d -> EPERM
          @v rename t/b t/a -> EPERM
          @v unlink t/b
          @u become 1000 1000
          @u rename t/a t/c
          @u rmdir t/d
        `,
      },
      {
        name: "who may not search, read or write is refused, in each layer",
        lowers: [{ "n/x": "x", "n/": { mode: 0o700 }, f: file("f", { mode: 0o640 }), "w/": {} }, { "n/y": "y" }],
        steps: `
          @u become 1000 1000
          @u cat n/x -> EACCES
          @u stat n/y -> EACCES
          @u ls n -> EACCES
          @u cat f -> EACCES
          @u put w/new x -> EACCES
          @u mkdir w/new -> EACCES
          @u unlink f -> EACCES
          @u chmod f 0777 -> EPERM
          @u access f 4 -> EACCES
          access f 4
          access f 1 -> EACCES
        `,
      },
      {
        name: "root's rights end at execution without any x",
        lowers: [{ f: file("#!/bin/sh\necho run", { mode: 0o644 }), g: file("#!/bin/sh\necho run", { mode: 0o711 }) }],
        steps: `
          exec f -> EACCES
          chmod f 0700
          exec f -> "0 run"
          @u become 1000 1000
          @u exec g -> ?
          exec g -> "0 run"
        `,
      },
    ],
  },
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
    ],
  },
];
