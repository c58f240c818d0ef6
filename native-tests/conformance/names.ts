import { file, hard, link } from "../harness/layers.js";
import { keepsLower, type Theme } from "./table.js";

const long = "n".repeat(255);
const tooLong = "n".repeat(256);

export const names: readonly Theme[] = [
  {
    title: "Names and paths",
    cases: [
      {
        name: "of 255 bytes, and of 256",
        lowers: [{ [long]: "long", [`d/${long}`]: "x" }],
        steps: `
          append ${long} +
          cat ${long} -> long+
          put ${tooLong} x -> ENAMETOOLONG
          mkdir ${tooLong} -> ENAMETOOLONG
          stat ${tooLong} -> ENAMETOOLONG
          rename ${long} ${tooLong} -> ENAMETOOLONG
          unlink ${long}
          ls -> d
          put ${long} again
          unlink d/${long}
          remount
          cat ${long} -> again
          ls d -> ""
        `,
      },
      {
        name: "of any bytes but / and NUL",
        lowers: [{ "\xff\xfe": "bytes", "a\nb": "newline", " ": "space", "\\": "backslash", "a:b,c=d": "colon" }],
        steps: `
          cat "\\xff\\xfe" -> bytes
          append "\\xff\\xfe" +
          rename "a\\nb" "\\x01\\x80"
          cat "\\x01\\x80" -> newline
          put "\\xc3" half
          cat "a:b,c=d" -> colon
          unlink "\\\\"
          put "\\"" quote
          remount
          cat "\\xff\\xfe" -> bytes+
          ls -> ?
        `,
      },
      {
        name: "that differ in case or form are different",
        lowers: [{ a: "small", "\xc3\xa9": "composed" }],
        steps: `
          put A large
          put "e\\xcc\\x81" decomposed
          cat a -> small
          cat "\\xc3\\xa9" -> composed
          unlink A
          cat a -> small
          count_entries . -> "3 3"
        `,
      },
      {
        name: "that are empty, `.` and `..`",
        lowers: [{ "d/s/": {}, f: "f" }],
        steps: `
          mkdir d/. -> EEXIST
          mkdir d/.. -> EEXIST
          rmdir d/. -> EINVAL
          rmdir d/s/.. -> ENOTEMPTY
          unlink d/. -> EISDIR
          stat d/s/../../f type -> file
          stat f/ -> ENOTDIR
          stat f/. -> ENOTDIR
          put d/s/ x -> EISDIR
          stat d//s///. type -> dir
        `,
      },
      {
        name: "paths of 4095 bytes, and of 4096",
        lowers: [{ f: "f", "d/": {} }],
        steps: `
          sh "p=$(printf 'd/../%.0s' $(seq 800)); cat \${p}f" -> "0 f"
          sh "p=$(printf 'd/../%.0s' $(seq 820)); cat \${p}f 2>&1 | grep -c 'too long'" -> "0 1"
        `,
      },
      {
        name: "symbolic links: relative, absolute, dangling, to directories, in loops",
        lowers: [
          {
            f: "f",
            "d/x": "x",
            l: link("f"),
            m: link("d"),
            n: link("none"),
            o: link("o"),
            p: link("q"),
            q: link("p"),
            "d/up": link("../f"),
          },
        ],
        steps: `
          cat l -> f
          cat m/x -> x
          cat d/up -> f
          cat n -> ENOENT
          cat o -> ELOOP
          cat p -> ELOOP
          append l +
          cat f -> f+
          put n made
          cat none -> made
          stat l type -> link
          open l O_RDONLY|O_NOFOLLOW -> ELOOP
          open m O_RDONLY|O_DIRECTORY|O_NOFOLLOW -> ENOTDIR
          rmdir m -> ENOTDIR
          unlink m
          ls d -> up x
        `,
      },
      {
        name: "symbolic links of any length",
        lowers: [{ s: link("t".repeat(255)), m: link(`${"t/".repeat(2000)}t`) }],
        steps: `
          sh "readlink s | wc -c" -> "0 256"
          sh "readlink m | wc -c" -> "0 4002"
          chown m 1 1
          sh "readlink m | wc -c" -> "0 4002"
          sh "ln -s $(head -c 4095 /dev/zero | tr '\\\\0' x) new; readlink new | wc -c" -> "0 4096"
          sh "ln -s $(head -c 4096 /dev/zero | tr '\\\\0' x) more 2>&1 | grep -c 'too long'" -> "0 1"
          remount
          sh "readlink new | wc -c" -> "0 4096"
        `,
      },
      {
        name: "chains of 40 symbolic links, and of 41",
        lowers: [
          {
            l0: "end",
            ...Object.fromEntries(Array.from({ length: 41 }, (_, index) => [`l${index + 1}`, link(`l${index}`)])),
          },
        ],
        steps: `
          cat l40 -> end
          cat l41 -> ELOOP
        `,
      },
      {
        name: "a symbolic link in a layer does not lead out of the tree by itself",
        lowers: [{ "d/l": link("/etc/hostname"), e: link("../../../../../../..") }],
        steps: `
          readlink d/l -> /etc/hostname
          stat d/l type -> link
          chown d/l 3 3
          readlink d/l -> /etc/hostname
          sh "test -d e/etc && echo out" -> "0 out"
        `,
      },
      {
        name: "fifos, sockets and devices work",
        lowers: [
          {
            p: { type: "fifo" },
            null: { type: "char", major: 1, minor: 3, mode: 0o666 },
            zero: { type: "char", major: 1, minor: 5 },
          },
        ],
        steps: `
          pipe_through p hello -> hello
          append null gone
          cat null -> ""
          sh "head -c 3 zero | od -An -tx1" -> "0 00 00 00"
          bind s
          connect s -> hello
          stat s type -> socket
          unlink s
          mknod b block 0600 7 250
          stat b type,rdev -> "block 7:250"
          chmod p 0600
          pipe_through p again -> again
        `,
        tree: "notimes",
      },
      {
        name: "a write to a fifo moves its times",
        differs: "the kernel does not tell FUSE file systems of it",
        upper: { p: { type: "fifo" } },
        steps: `
          mark p
          pipe_through p x -> x
          moved p -> mc
        `,
      },
      {
        name: "mknod of all kinds, by root and by users",
        lowers: [{ "d/": { mode: 0o777 } }],
        steps: `
          mknod d/f file 0640
          stat d/f mode,size -> "0640 0"
          mknod d/c char 0600 1 3
          mknod d/f file -> EEXIST
          mknod none/x fifo -> ENOENT
          @u become 1000 1000
          @u mknod d/p fifo
          @u mknod d/s socket
          @u mknod d/x char 0600 1 3 -> EPERM
          @u mknod d/y block 0600 7 0 -> EPERM
        `,
      },
    ],
  },
  {
    title: "Opening, removing, unnamed files",
    cases: [
      {
        name: "O_CREAT and O_EXCL on what exists in each layer",
        lowers: [{ f: "f", "d/": {}, l: link("f"), n: link("none") }],
        upper: { u: "u" },
        steps: `
          open f O_RDWR|O_CREAT|O_EXCL -> EEXIST
          open u O_RDWR|O_CREAT|O_EXCL -> EEXIST
          open l O_RDWR|O_CREAT|O_EXCL -> EEXIST
          open n O_RDWR|O_CREAT|O_EXCL -> EEXIST
          open d O_RDONLY|O_CREAT -> EISDIR
          open f O_RDONLY|O_CREAT
          unlink f
          open f O_RDWR|O_CREAT|O_EXCL
          stat f size -> 0
        `,
      },
      {
        name: "two processes create with O_EXCL at the same time",
        lowers: [{ "d/": {} }],
        steps: `
          creat_exclusive_twice d/lock -> wrong=0
        `,
      },
      {
        name: "O_DIRECTORY, O_PATH, O_NOFOLLOW, O_NOATIME",
        lowers: [{ f: file("f", { uid: 1000 }), "d/x": "x", l: link("f") }],
        steps: `
          open f O_RDONLY|O_DIRECTORY -> ENOTDIR
          p = open d O_PATH
          fstatat $p x type -> file
          q = open l O_PATH|O_NOFOLLOW
          fstat $q type -> link
          r = open f O_RDONLY|O_NOATIME
          @v become 1001 1001
          @v open f O_RDONLY|O_NOATIME -> EPERM
          o = open f O_PATH
          read $o 1 -> EBADF
          fchmod $o 0600 -> EBADF
        `,
      },
      {
        name: "a lower file removed while it is open",
        lowers: [{ f: "lower", g: "lower" }],
        overlay: "a file of the lower layer keeps its link count, and cannot be changed where it has no name",
        steps: `
          r = open f O_RDONLY
          w = open g O_RDWR
          unlink f
          unlink g
          read $r 9 -> lower
          pwrite $w 0 L
          pread $w 9 0 -> Lower
          fstat $r nlink -> 0
          fstat $w nlink,size -> "0 5"
          fchmod $r 0600
          fstat $r mode -> 0600
          fsetx $r user.k v
          fgetx $r user.k -> v
          futimens $r 1.5 2.5
          fstat $r mtime -> 2.500000000
        `,
      },
      {
        name: "a name removed and made again while the first is open",
        lowers: [{ f: "one" }],
        steps: `
          a = open f O_RDWR
          unlink f
          b = open f O_RDWR|O_CREAT|O_EXCL
          pwrite $b 0 two
          unlink f
          c = open f O_RDWR|O_CREAT|O_EXCL
          pwrite $c 0 three
          pread $a 9 0 -> one
          pread $b 9 0 -> two
          pread $c 9 0 -> three
          fstat $a nlink -> 0
          cat f -> three
        `,
        overlay: "a removed lower file keeps its link count",
      },
      {
        name: "O_TMPFILE, given a name later",
        complaint: "O_TMPFILE is missing",
        lowers: [{ "d/there": "there" }],
        steps: `
          t = open d O_TMPFILE|O_RDWR 0640
          write $t unnamed
          fstat $t nlink,mode,size -> "0 0640 7"
          ls d -> there
          linkproc $t d/there -> EEXIST
          linkproc $t d/named
          cat d/named -> unnamed
          fstat $t nlink -> 1
          linkfd $t d/second
          stat d/second nlink -> 2
          x = open d O_TMPFILE|O_RDWR|O_EXCL
          linkproc $x d/never -> ENOENT
          open d O_TMPFILE|O_RDONLY -> EINVAL
          open d/there O_TMPFILE|O_RDWR -> ENOTDIR
          open none O_TMPFILE|O_RDWR -> ENOENT
        `,
      },
      {
        name: "O_TMPFILE onto a removed lower name, and in a lower directory",
        lowers: [{ "d/gone": "old", "d/s/x": "x" }],
        steps: `
          unlink d/gone
          t = open d/s O_TMPFILE|O_RDWR
          write $t new
          linkproc $t d/gone
          cat d/gone -> new
          i = fino $t
          ino d/gone -> $i
          remount
          cat d/gone -> new
        `,
      },
      {
        name: "O_TMPFILE with umask, owner and set-gid directory",
        lowers: [{ "g/": { mode: 0o2777, gid: 1005 } }],
        steps: `
          @u become 1000 1000
          @u umask 027
          @u t = open g O_TMPFILE|O_RDWR 0666
          @u fstat $t mode,uid,gid -> "0640 1000 1005"
          @u linkproc $t g/f
          stat g/f uid,gid -> "1000 1005"
        `,
      },
      {
        name: "unlink and rmdir of the wrong kind",
        lowers: [{ f: "f", "d/": {}, l: link("d") }],
        steps: `
          unlink d -> EISDIR
          rmdir f -> ENOTDIR
          rmdir l -> ENOTDIR
          unlink none -> ENOENT
          unlink f/x -> ENOTDIR
          rmdir d/none -> ENOENT
          unlink l
          rmdir d
          unlink f
          ls -> ""
        `,
      },
      {
        name: "a hundred descriptors on one removed file",
        lowers: [{ f: "data" }],
        steps: `
          r = open f O_RDWR
          s = dup $r
          t = open /proc/self/fd/$r O_RDONLY
          unlink f
          pwrite $s 0 D
          pread $t 9 0 -> Data
          u = open /proc/self/fd/$r O_RDWR
          pwrite $u 4 !
          pread $r 9 0 -> Data!
          close $r
          pread $t 9 0 -> Data!
        `,
      },
      {
        name: "shell redirections, temporary files and atomic replacement",
        lowers: [{ "etc/conf": "a=1\nb=2\n" }],
        steps: `
          sh "sed -i s/1/3/ etc/conf; cat etc/conf" -> "0 a=3\\nb=2"
          sh "sort -r -o etc/conf etc/conf; cat etc/conf" -> "0 b=2\\na=3"
          sh "echo c=4 >>etc/conf; wc -l <etc/conf" -> "0 3"
          sh "set -C; echo x >etc/conf || echo refused" -> ?
          sh "f=$(mktemp -p etc); mv $f etc/conf; stat -c '%a %s' etc/conf" -> "0 600 0"
        `,
      },
    ],
  },
  {
    title: "Programs",
    cases: [
      {
        name: "execution of lower and copied-up programs, scripts and by descriptor",
        lowers: [{ "run.sh": file("#!/bin/sh\necho ran $1", { mode: 0o755 }) }],
        prepare: "cp /bin/echo echo",
        steps: `
          exec echo hello -> "0 hello"
          exec run.sh x -> "0 ran x"
          chmod echo 0711
          exec echo again -> "0 again"
          p = open echo O_RDONLY
          fexec $p x -> 0
          rename echo echo2
          exec echo2 moved -> "0 moved"
          remount
          exec echo2 still -> "0 still"
        `,
      },
      {
        name: "ETXTBSY: a program that runs is not written, a file open for writing does not run",
        overlay: "a program that runs from the lower layer may be written: the write goes to a copy",
        lowers: [{}],
        prepare: "cp /bin/sleep sleep; cp /bin/true true",
        steps: `
          p = spawn sleep 100
          open sleep O_WRONLY -> ETXTBSY
          truncate sleep 0 -> ETXTBSY
          rename sleep sleep2
          open sleep2 O_RDWR -> ETXTBSY
          stop $p
          opens sleep2 O_RDWR
          w = open true O_WRONLY
          exec true -> ETXTBSY
          close $w
          exec true -> "0 "
        `,
      },
      {
        name: "a program replaced while it runs",
        lowers: [{}],
        prepare: "cp /bin/sleep sleep; cp /bin/true new",
        steps: `
          p = spawn sleep 100
          rename new sleep
          exec sleep -> "0 "
          sh "kill -0 $p && readlink /proc/$p/exe | grep -c 'sleep (deleted)'" -> "0 1"
          stop $p
        `,
      },
      {
        name: "git: a repository of the lower layer",
        lowers: [{}],
        prepare: `git init -q r && cd r && git config user.email a@b && git config user.name a && git config gc.auto 0 && for i in 1 2 3; do mkdir d$i; seq 100 >d$i/f; done && git add -A && git commit -qm one && git gc -q && git repack -adq`,
        steps: `
          sh "cd r && git status --porcelain | wc -l" -> "0 0"
          sh "cd r && git mv d1 e1 && echo x >>d2/f && git commit -qam two && git status --porcelain | wc -l" -> "0 0"
          sh "cd r && git checkout -q HEAD~1 && ls && git checkout -q - && ls" -> "0 d1\\nd2\\nd3\\nd2\\nd3\\ne1"
          sh "cd r && git fsck --no-progress && git rev-list --count HEAD" -> ?
          remount
          sh "cd r && git stash list; git gc -q; git fsck --no-progress; git status --porcelain | wc -l" -> ?
        `,
        tree: "none",
      },
      {
        name: "rsync -aHAX into the mount, twice: nothing is sent the second time",
        lowers: [
          {
            "src/a": "a",
            "src/s/b": hard("src/a"),
            "src/l": link("a"),
            "src/x": file("x", { xattrs: { "user.k": "v" } }),
          },
        ],
        steps: `
          sh "rsync -aHAX src/ dst/ && rsync -aHAXi src/ dst/ | wc -l" -> "0 0"
          sh "echo more >>dst/s/b; rsync -aHAXi --checksum src/ dst/ | wc -l; cat dst/a" -> ?
          sh "rsync -a --delete src/s/ dst/; ls dst" -> "0 b"
        `,
      },
      {
        name: "tar: packed, removed, unpacked",
        complaint: "Archives made in the mount report changed files or miss some",
        lowers: [{ "t/a": "a", "t/s/b": "b", "t/l": link("a"), "t/h": hard("t/a"), "t/p": { type: "fifo" } }],
        steps: `
          append t/a +
          sh "tar cf x.tar t 2>&1; rm -r t; tar xpf x.tar 2>&1; find t | sort | tr '\\\\n' ' '" -> "0 t t/a t/h t/l t/p t/s t/s/b"
          stat t/h nlink -> 2
          cat t/h -> a+
          sh "tar df x.tar 2>&1" -> "0 "
          unlink x.tar
        `,
      },
      {
        name: "a compiler and make",
        lowers: [
          {
            "main.c": '#include "h.h"\nint main(void){return N;}\n',
            "h.h": "#define N 0\n",
            Makefile: "prog: main.c h.h\n\tcc -o prog main.c\n",
          },
        ],
        steps: `
          sh "make -s && ./prog; echo $?" -> "0 0"
          sh "sed -i s/0/7/ h.h && make -s && ./prog; echo $?" -> "0 7"
          sh "make -q && echo new" -> "0 new"
        `,
        tree: "none",
      },
      {
        name: "find, cp -a, mv, rm -rf, diff, chmod -R on a tree",
        lowers: [{ "t/a/x": "x", "t/b/y": "y", "t/b/l": link("y") }, { "t/a/z": "z" }],
        steps: `
          sh "cp -a t u && diff -r t u && mv u v && find v | wc -l" -> "0 7"
          sh "chmod -R a-w v && find v -perm /222 ! -type l | wc -l" -> "0 0"
          sh "mv v/a v/b/ && find v | sort" -> ?
          sh "rm -rf t v && ls -A" -> "0 "
        `,
      },
    ],
  },
  {
    title: "What the file system says of itself",
    cases: [
      {
        name: "statfs and fstatfs",
        lowers: [{ f: "f", "d/": {} }],
        steps: `
          statfs . -> "namemax=255 sane=True"
          statfs d -> "namemax=255 sane=True"
          r = open f O_RDONLY
          fstatfs $r -> "namemax=255 sane=True"
          sh "df . >/dev/null" -> "0 "
        `,
      },
      {
        name: "statx: one mount id for everything, the one that /proc knows",
        lowers: [{ f: "f", "d/x": "x" }],
        upper: { u: "u" },
        steps: `
          same_mount f d d/x u -> same
          append f +
          same_mount f -> same
        `,
      },
      {
        name: "chattr +i: neither written, removed, renamed nor linked",
        lowers: [{ f: "f", "d/g": "g" }],
        upper: { u: "u" },
        steps: `
          r = open u O_RDONLY
          setflags $r 0x10
          getflags $r -> 0x10
          append u x -> EPERM
          unlink u -> EPERM
          rename u v -> EPERM
          link u v -> EPERM
          chmod u 0600 -> EPERM
          setflags $r 0
          append u x
        `,
      },
      {
        name: "chattr +i of a lower file",
        lowers: [{ f: "f" }],
        steps: `
          r = open f O_RDONLY
          setflags $r 0x10
          append f x -> EPERM
          truncate f 0 -> EPERM
          unlink f -> EPERM
          remount
          append f x -> EPERM
          r = open f O_RDONLY
          setflags $r 0
          append f x
          cat f -> fx
        `,
      },
      {
        name: "chattr +a: only appended to",
        passthrough: keepsLower,
        lowers: [{ f: "f" }],
        steps: `
          r = open f O_RDONLY
          setflags $r 0x20
          append f x
          truncate f 0 -> EPERM
          unlink f -> EPERM
          setflags $r 0
          unlink f
        `,
      },
      {
        name: "chattr +d and what it means to the other interfaces",
        passthrough: keepsLower,
        lowers: [{ f: "f", "d/": {} }],
        steps: `
          r = open f O_RDONLY
          setflags $r 0x40
          getflags $r -> 0x40
          append f x
          getproject $r -> ?
          d = open d O_RDONLY|O_DIRECTORY
          setflags $d 0x40
          remount
          r = open f O_RDONLY
          d = open d O_RDONLY|O_DIRECTORY
          getflags $r -> 0x40
          getflags $d -> 0x40
        `,
      },
      {
        name: "chattr by who is not the owner",
        lowers: [{ f: file("f", { uid: 1000 }) }],
        steps: `
          @v become 1001 1001
          @v r = open f O_RDONLY
          @v setflags $r 0x40 -> EPERM
          @u become 1000 1000
          @u r = open f O_RDONLY
          @u setflags $r 0x40
          @u setflags $r 0x10 -> EPERM
          r = open f O_RDONLY
          getflags $r -> 0x40
        `,
      },
      {
        name: "chattr in the attributes of statx",
        differs: "the kernel does not ask FUSE file systems for them; FS_IOC_GETFLAGS and lsattr tell",
        upper: { u: "u" },
        steps: `
          r = open u O_RDONLY
          setflags $r 0x40
          attributes u -> nodump
          setflags $r 0
          attributes u -> none
        `,
      },
      {
        name: "opening an append-only file for other writing",
        differs: "the kernel opens files without asking the driver; what is refused is the write",
        upper: { u: "u" },
        steps: `
          r = open u O_RDONLY
          setflags $r 0x20
          opens u O_WRONLY -> EPERM
          opens u O_WRONLY|O_APPEND
          opens u O_WRONLY|O_TRUNC -> EPERM
          cat u -> u
          setflags $r 0
        `,
      },
      {
        name: "other ioctls",
        lowers: [{ f: "0123456789" }],
        steps: `
          r = open f O_RDONLY
          fionread $r -> 10
          ioctl $r 0x5401 -> ENOTTY
          ioctl $r 0x12345678 -> ENOTTY
        `,
      },
      {
        name: "poll, fadvise, leases",
        lowers: [{ f: "f" }],
        steps: `
          r = open f O_RDWR
          poll $r 5 -> 5
          fadvise $r 4
          fadvise $r 3
          fadvise $r 99 -> EINVAL
          lease $r read -> EAGAIN
          getlease $r -> un
        `,
      },
    ],
  },
  {
    title: "A read-only mount",
    readOnly: true,
    cases: [
      {
        name: "refuses every change",
        lowers: [{ f: "f", "d/x": "x", l: link("f") }, { g: "g" }],
        tree: "dirtimes",
        steps: `
          open f O_RDWR -> EROFS
          open new O_RDWR|O_CREAT -> EROFS
          open f O_RDONLY|O_TRUNC -> EROFS
          truncate f 0 -> EROFS
          chmod f 0600 -> EROFS
          chown l 1 1 -> EROFS
          utimens g now now -> EROFS
          setx f user.k v -> EROFS
          rmx f user.k -> EROFS
          unlink g -> EROFS
          rmdir d -> EROFS
          mkdir e -> EROFS
          rename f g -> EROFS
          link f h -> EROFS
          symlink f m -> EROFS
          mknod p fifo -> EROFS
          open . O_TMPFILE|O_RDWR -> EROFS
        `,
      },
      {
        name: "is read like any other",
        lowers: [
          { f: "f", "d/x": "x", l: link("f"), p: { type: "fifo" } },
          { g: "g", "d/y": "y" },
        ],
        steps: `
          cat f -> f
          cat l -> f
          ls d -> x y
          dtypes . -> ?
          access f 2 -> EROFS
          access f 4
          pipe_through p hello -> hello
          r = open f O_RDONLY
          m = mmap $r 1 rw private
          mwrite $m 0 x
          mread $m 0 1 -> x
          cat f -> f
          mkdir d -> EEXIST
          stat none -> ENOENT
        `,
      },
    ],
  },
];
