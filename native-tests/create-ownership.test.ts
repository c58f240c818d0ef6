import { cases } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { fifo, file, hard, link } from "./harness/layers.js";

/** user::rwx, user:1234:rwx, group::r-x, mask::rwx, other::--- as a default ACL. */
const defaultAcl =
  "\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x07\0\xd2\x04\0\0\x04\0\x05\0\xff\xff\xff\xff\x10\0\x07\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";

/** user::rw-, user:1234:r--, group::---, mask::r--, other::---. */
const userMayRead =
  "\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xd2\x04\0\0\x04\0\0\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
const escapedBytes = (text: string): string =>
  [...text].map((c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`).join("");

/** Makes one object of each kind in `d`. */
const makeAll = (process: string): string => `
  @${process} open d/file O_RDWR|O_CREAT 0666
  @${process} mkdir d/dir 0777
  @${process} symlink x d/link
  @${process} mknod d/fifo fifo 0666
  @${process} mknod d/node file 0640
  @${process} mknod d/socket socket 0666
  @${process} open d/set O_RDWR|O_CREAT 06755
  @${process} mkdir d/sticky 07777
  stat d/file mode,uid,gid
  stat d/dir mode,uid,gid
  stat d/link uid,gid
  stat d/fifo mode,uid,gid
  stat d/set mode,uid,gid
  stat d/sticky mode,uid,gid
`;

cases("new objects belong to the caller", [
  { name: "root", lowers: [{ "d/": { mode: 0o777 } }], steps: makeAll("a") },
  {
    name: "a user",
    lowers: [{ "d/": { mode: 0o777 } }],
    steps: `
      @u become 1000 1000 2000 2001
      ${makeAll("u")}
      stat d/file mode,uid,gid -> 0644 1000 1000
    `,
  },
  {
    name: "in a directory with the set-group-id bit, for a member of the group",
    lowers: [{ "d/": { mode: 0o2777, gid: 2000 } }],
    steps: `
      @u become 1000 1000 2000
      ${makeAll("u")}
      stat d/file mode,uid,gid -> 0644 1000 2000
      stat d/dir mode,uid,gid -> 2755 1000 2000
    `,
  },
  {
    name: "in a directory with the set-group-id bit, for somebody else: no set-group-id files",
    lowers: [{ "d/": { mode: 0o2777, gid: 2000 } }],
    steps: `
      @u become 1000 1000
      ${makeAll("u")}
      @u open d/x O_RDWR|O_CREAT 02755
      stat d/x mode,uid,gid -> 0755 1000 2000
    `,
  },
  {
    name: "umask",
    lowers: [{ "d/": { mode: 0o777 } }],
    steps: `
      @u become 1000 1000
      @u umask 0077
      ${makeAll("u")}
      @u umask 0
      @u open d/all O_RDWR|O_CREAT 0666
      stat d/all mode -> 0666
    `,
  },
  {
    name: "a default ACL takes the place of the umask, and is inherited",
    lowers: [{ "d/": { mode: 0o777, xattrs: { "system.posix_acl_default": defaultAcl } } }],
    steps: `
      @u become 1000 1000
      @u umask 0077
      ${makeAll("u")}
      listx d/file
      listx d/dir
      listx d/link
      getx d/file system.posix_acl_access
      getx d/dir system.posix_acl_default
      mkdir d/dir/sub
      listx d/dir/sub
    `,
  },
  {
    name: "a temporary file without a name, too",
    lowers: [{ "d/": { mode: 0o2777, gid: 2000, xattrs: { "system.posix_acl_default": defaultAcl } } }],
    steps: `
      @u become 1000 1000 2000
      @u fd = open d O_TMPFILE|O_RDWR 0666
      @u fstat $fd mode,uid,gid
      @u linkproc $fd d/made
      stat d/made
      listx d/made
    `,
  },
]);

cases("what the directory of the work directory hands down", [
  {
    name: "is not for copies, nor for what takes the place of removed objects",
    lowers: [
      {
        "d/f": file("f", { mode: 0o640, gid: 2000 }),
        "d/sub/": { mode: 0o750 },
        "d/sub/x": "x",
        l: link("x"),
        p: fifo({ mode: 0o600 }),
        one: file("1", { mode: 0o604 }),
        two: hard("one"),
        written: file("w", { mode: 0o600 }),
        "gone/": {},
        "gone-too": "g",
      },
    ],
    prepare: async ({ work }) => {
      await command("setfacl", ["-m", "d:u:1234:rwx,d:g::rwx,d:o::r", work]);
      await command("chgrp", ["2000", work]);
      await command("chmod", ["g+s", work]);
    },
    steps: `
      @u become 1234 1234
      chmod d/f 0600
      listx d/f
      stat d/f mode,uid,gid -> 0600 0 2000
      @u open d/f O_RDONLY -> EACCES
      append written more
      listx written
      @u cat written -> EACCES
      utimens one 5.0 5.0
      listx two
      stat two mode,uid,gid -> 0604 0 0
      chown p 5 5
      chown l 5 5
      stat l mode,uid,gid
      rename d e
      mkdir e/sub/y 0755
      listx e
      listx e/sub
      listx e/sub/y
      stat e/sub/y mode,uid,gid -> 0755 0 0
      rmdir gone
      mkdir gone 0755
      listx gone
      stat gone mode,uid,gid -> 0755 0 0
      unlink gone-too
      put gone-too new
      listx gone-too
      stat gone-too mode,uid,gid
      unlink l
      symlink y l
      stat l mode,uid,gid
    `,
  },
]);

cases("who may do what", [
  {
    name: "permissions hold for users: files, directories, ACLs and supplementary groups",
    lowers: [
      {
        secret: file("s", { mode: 0o600 }),
        "closed/": { mode: 0o700 },
        "closed/x": "x",
        group: file("g", { mode: 0o640, gid: 2000 }),
        "ro/": { mode: 0o755 },
        "ro/f": file("f", { mode: 0o666 }),
      },
    ],
    steps: `
      @u become 1000 1000 2000
      @u open secret O_RDONLY -> EACCES
      @u stat closed/x -> EACCES
      @u ls closed -> EACCES
      @u cat group -> g
      @u open group O_WRONLY -> EACCES
      @u put ro/new x -> EACCES
      @u unlink ro/f -> EACCES
      @u append ro/f more
      @u chmod ro/f 0777 -> EPERM
      @u chown ro/f 1000 1000 -> EPERM
      @u utimens ro/f now now
      @u utimens ro/f 1.0 1.0 -> EPERM
      @u setx ro/f user.x 1
      @u setx secret user.x 1 -> EACCES
      @u setx ro/f trusted.x 1 -> EPERM
      @u mkdir ro/d -> EACCES
      @u rename ro/f ro/g -> EACCES
      @u link ro/f ro/g -> EACCES
      @u mknod closed/p fifo -> EACCES
      @u access secret 4 -> EACCES
      @u access ro/f 6
      cat ro/f -> fmore
    `,
  },
  {
    name: "a user that copies up needs no more than the change itself needs",
    lowers: [
      {
        "d/": { mode: 0o755 },
        "d/mine": file("m", { uid: 1000, gid: 1000, mode: 0o200 }),
        "d/e/": { uid: 1000, mode: 0o300 },
      },
    ],
    steps: `
      @u become 1000 1000
      @u append d/mine more
      @u put d/e/new x
      @u chmod d/mine 0400
      @u cat d/mine -> mmore
      stat d -> dir 0755 0 0
      stat d/mine -> file 0400 1000 1000 1 5
    `,
  },
  {
    name: "ACLs decide, before and after copy-up, as soon as they change",
    lowers: [
      {
        f: file("f", { mode: 0o600, xattrs: { "system.posix_acl_access": userMayRead } }),
        g: file("g", { mode: 0o644 }),
      },
    ],
    steps: `
      stat f mode -> 0640
      @u become 1234 1234
      @v become 1235 1235
      @u cat f -> f
      @v cat f -> EACCES
      @u open f O_WRONLY -> EACCES
      append f more
      @u cat f -> fmore
      @v cat f -> EACCES
      chmod f 0600
      @u cat f -> EACCES
      chmod f 0640
      @u cat f -> fmore
      rmx f system.posix_acl_access
      stat f mode -> 0640
      @u cat f -> EACCES
      setx g system.posix_acl_access "${escapedBytes(userMayRead)}"
      stat g mode -> 0640
      @v cat g -> EACCES
      @u cat g -> g
      @u setx g system.posix_acl_access "${escapedBytes(userMayRead)}" -> EPERM
      setx g system.posix_acl_access nonsense -> EOPNOTSUPP
      setx g system.posix_acl_default "${escapedBytes(userMayRead)}" -> EACCES
    `,
  },
  {
    name: "a sticky directory",
    lowers: [{ "tmp/": { mode: 0o1777 }, "tmp/of-root": "r", "tmp/of-user": file("u", { uid: 1000 }) }],
    steps: `
      @u become 1000 1000
      @u unlink tmp/of-root -> EPERM
      @u rename tmp/of-root tmp/x -> EPERM
      @u unlink tmp/of-user
      @u put tmp/of-user again
      @v become 1001 1001
      @v unlink tmp/of-user -> EPERM
      @u rename tmp/of-user tmp/y
    `,
  },
  {
    name: "symbolic links of others are removable by the owner of the directory only",
    lowers: [{ "d/": { uid: 1000, mode: 0o755 }, "d/l": link("x") }],
    steps: `
      @u become 1000 1000
      @u unlink d/l
      @v become 1001 1001
      @v symlink x d/l -> EACCES
    `,
  },
]);

cases("set-user-id and set-group-id bits, and capabilities", [
  {
    name: "are dropped when somebody without privilege writes",
    lowers: [
      { f: file("f", { mode: 0o6777, uid: 1000, gid: 1000 }), g: file("g", { mode: 0o6777, uid: 1000, gid: 1000 }) },
    ],
    steps: `
      @u become 1000 1000
      @u append f more
      stat f mode -> 0777
      @v become 1001 1001
      @v fd = open g O_RDWR
      stat g mode -> 6777
      @v pwrite $fd 0 x
      stat g mode -> 0777
    `,
  },
  {
    name: "stay when root writes",
    lowers: [{ f: file("f", { mode: 0o6755 }) }],
    steps: `
      append f more
      stat f mode -> 6755
    `,
  },
  {
    name: "are dropped by truncation and chown, and stay over chmod and utimens",
    lowers: [
      {
        t: file("truncated", { mode: 0o6777, uid: 1000, gid: 1000 }),
        o: file("opened", { mode: 0o6777, uid: 1000, gid: 1000 }),
        c: file("chown", { mode: 0o6755 }),
        n: file("no execution by the group", { mode: 0o2644 }),
        k: file("kept", { mode: 0o6755 }),
        m: file("mapped", { mode: 0o6777, uid: 1000 }),
      },
    ],
    steps: `
      @u become 1000 1000
      @u truncate t 3
      stat t mode -> 0777
      @u open o O_WRONLY|O_TRUNC
      stat o mode -> 0777
      chown c 5 6
      stat c mode -> 0755
      chown n 5 6
      stat n mode
      utimens k 1.0 1.0
      setx k user.x 1
      stat k mode -> 6755
    `,
  },
  {
    name: "a user's chmod cannot set the group bit of a foreign group",
    lowers: [{ f: file("f", { mode: 0o755, uid: 1000, gid: 2000 }) }],
    steps: `
      @u become 1000 1000
      @u chmod f 02755
      stat f mode -> 0755
      @v become 1000 1000 2000
      @v chmod f 02755
      stat f mode -> 2755
    `,
  },
  {
    name: "capabilities go with a write and a chown, and stay over chmod",
    lowers: [
      Object.fromEntries(
        ["w", "c", "k", "t"].map((name) => [
          name,
          file("x", {
            mode: 0o777,
            xattrs: { "security.capability": "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
          }),
        ]),
      ),
    ],
    steps: `
      append w more
      listx w -> ""
      chown c 5 6
      listx c -> ""
      chmod k 0755
      listx k -> security.capability
      truncate t 0
      listx t -> ""
    `,
  },
  {
    name: "a set-user-id program of a lower layer runs as its owner",
    lowers: [{ "bin/": {} }],
    tree: "none",
    steps: `
      sh "cp /usr/bin/id bin/id; chown 1234 bin/id; chmod 4755 bin/id"
      @u become 1000 1000
      @u exec bin/id -u -> "0 1234"
      remount
      @u become 1000 1000
      @u exec bin/id -u -> "0 1234"
    `,
  },
]);
