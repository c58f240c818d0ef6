import { file } from "../harness/layers.js";
import type { Theme } from "./table.js";

/** Root in a user namespace that has all ids writes and gives away: as a word of a step. */
const inNamespace = `
import ctypes, os
r, w = os.pipe()
if os.fork() == 0:
    os.read(r, 1)
    for kind in \\"uid\\", \\"gid\\":
        with open(f\\"/proc/{os.getppid()}/{kind}_map\\", \\"w\\") as f: f.write(\\"0 0 65536\\")
    os._exit(0)
ctypes.CDLL(None).unshare(0x10000000)
os.write(w, b\\".\\")
if os.wait()[1] != 0: raise SystemExit(\\"no mapping\\")
with open(\\"w\\", \\"a\\") as f: f.write(\\"x\\")
os.chown(\\"c\\", -1, 1006)
`
  .trim()
  .replaceAll("\n", "\\n");

/** Somebody's file with a set-group-ID bit that lets nobody run it. */
const lone = (content: string) => file(content, { mode: 0o2644, uid: 1000, gid: 1005 });

export const owners: readonly Theme[] = [
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
          mknod p fifo 02755
          chown p -1 -1
          stat p mode -> 0755
        `,
      },
      {
        name: "a set-group-ID bit without group execution goes when somebody outside the group changes the file",
        lowers: [
          Object.fromEntries(["w", "t", "o", "c", "n", "f", "r", "m"].map((name) => [name, lone(name)])),
          {
            from: file("data", { mode: 0o644 }),
            x: file("x", { mode: 0o2666, gid: 1005 }),
            y: file("y", { mode: 0o6666, gid: 1005 }),
          },
        ],
        steps: `
          @u become 1000 1000 1006
          @u append w x
          stat w mode -> 0644
          @u truncate t 1
          stat t mode -> 0644
          @u fd = open o O_WRONLY|O_TRUNC
          stat o mode -> 0644
          @u chown c -1 1006
          stat c mode,gid -> "0644 1006"
          @u chown n -1 -1
          stat n mode -> 0644
          @u ff = open f O_WRONLY
          @u fallocate $ff 0 0 4096
          stat f mode -> 0644
          @u in = open from O_RDONLY
          @u out = open r O_WRONLY
          @u copyrange $in 0 $out 0 4
          stat r mode -> 0644
          @u chmod m 02600
          stat m mode -> 0600
          @v become 1001 1001
          @v append x x
          stat x mode -> 0666
          @v fy = open y O_WRONLY
          @v fallocate $fy 0 0 4096
          stat y mode -> 0666
        `,
      },
      {
        name: "a set-group-ID bit without group execution stays when a member of the group or root changes the file",
        lowers: [
          Object.fromEntries(["w", "t", "o", "c", "n", "f", "r", "m", "a", "b"].map((name) => [name, lone(name)])),
          { from: file("data", { mode: 0o644 }) },
        ],
        steps: `
          @u become 1000 1000 1005 1006
          @u append w x
          stat w mode -> 2644
          @u truncate t 1
          stat t mode -> 2644
          @u fd = open o O_WRONLY|O_TRUNC
          stat o mode -> 2644
          @u chown c -1 1006
          stat c mode,gid -> "2644 1006"
          @u chown n -1 -1
          stat n mode -> 2644
          @u ff = open f O_WRONLY
          @u fallocate $ff 0 0 4096
          stat f mode -> 2644
          @u in = open from O_RDONLY
          @u out = open r O_WRONLY
          @u copyrange $in 0 $out 0 4
          stat r mode -> 2644
          @u chmod m 02600
          stat m mode -> 2600
          append a x
          chown b 1001 1001
          stat a mode -> 2644
          stat b mode -> 2644
        `,
      },
      {
        name: "a set-group-ID bit without group execution, and the root of a user namespace that knows the group or not",
        lowers: [Object.fromEntries(["w", "c", "x", "y"].map((name) => [name, lone(name)]))],
        steps: `
          sh "python3 -c '${inNamespace}'" -> "0 "
          stat w mode -> 2644
          stat c mode,gid -> "2644 1006"
          @u become 1000 1000
          @u sh "unshare -Ur sh -c 'echo >> x; chgrp 0 y'" -> "0 "
          stat x mode -> 0644
          stat y mode,gid -> "0644 1000"
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
];
