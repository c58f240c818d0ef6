import { file, link } from "../harness/layers.js";
import type { Theme } from "./table.js";

export const xattrs: readonly Theme[] = [
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
        name: "a SELinux label, where the kernel has no SELinux",
        differs:
          "an absent one is called not supported, so that `ls -l` and `cp -a` do not ask for it again for each file, a message each",
        lowers: [{ f: "f" }],
        steps: `
          getx f security.selinux -> ENODATA
          setx f security.selinux label
          getx f security.selinux -> label
          rmx f security.selinux
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
];
