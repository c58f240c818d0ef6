import { cases } from "./harness/cases.js";
import { file } from "./harness/layers.js";

const keepsCount = "an unlinked lower file keeps its link count";

cases("unlinked and overwritten files", [
  {
    name: "an unlinked lower file stays readable, with link count 0",
    skip: { overlay: keepsCount },
    lowers: [{ f: "lower" }],
    steps: `
      fd = open f O_RDONLY
      unlink f
      stat f -> ENOENT
      pread $fd 10 0 -> lower
      fstat $fd nlink,size,mode -> "0 5 0644"
      ls -> ""
      fdpath $fd -> "MNT/f (deleted)"
      drop_caches
      pread $fd 10 0 -> lower
    `,
  },
  {
    name: "a file that is written, then unlinked, keeps what was written",
    lowers: [{ f: "lower" }],
    upper: { g: "upper" },
    steps: `
      fd = open f O_RDWR
      pwrite $fd 0 LOW -> 3
      unlink f
      pread $fd 10 0 -> LOWer
      pwrite $fd 5 more -> 4
      pread $fd 20 0 -> LOWermore
      fstat $fd nlink,size -> "0 9"
      gd = open g O_RDWR
      unlink g
      pwrite $gd 0 X
      drop_caches
      pread $gd 10 0 -> Xpper
      fstat $gd nlink -> 0
      ls -> ""
    `,
  },
  {
    name: "a lower file unlinked while open for writing, then written for the first time",
    lowers: [{ f: file("lower", { mode: 0o640, uid: 5, xattrs: { "user.a": "1" } }) }],
    skip: { overlay: "copies up at open" },
    steps: `
      fd = open f O_RDWR
      unlink f
      pwrite $fd 0 LOW
      pread $fd 10 0 -> LOWer
      fstat $fd nlink,size,uid -> "0 5 5"
      fchmod $fd 0600
      fchown $fd 7 8
      ftruncate $fd 3
      futimens $fd 5.0 6.0
      fsetx $fd user.b 2
      fgetx $fd user.b -> 2
      fgetx $fd user.a -> 1
      fstat $fd mode,uid,gid,size,nlink -> "0600 7 8 3 0"
      fsync $fd
      ls -> ""
      stat f -> ENOENT
    `,
  },
  {
    name: "attributes of an unlinked upper file change through its descriptor",
    lowers: [{}],
    upper: { f: "data" },
    steps: `
      fd = open f O_RDWR
      unlink f
      fchmod $fd 0600
      fchown $fd 7 8
      ftruncate $fd 2
      futimens $fd 5.5 6.5
      fsetx $fd user.b 2
      fgetx $fd user.b -> 2
      fallocate $fd 0 0 8192
      fstat $fd mode,uid,gid,size,nlink -> "0600 7 8 8192 0"
      fsync $fd
    `,
  },
  {
    name: "a new file of the same name has nothing to do with the old one",
    lowers: [{ f: "old" }],
    steps: `
      fd = open f O_RDWR
      unlink f
      put f new
      pread $fd 10 0 -> old
      cat f -> new
      pwrite $fd 0 OLD
      cat f -> new
      gd = open f O_RDWR
      unlink f
      put f third
      pread $gd 10 0 -> new
      pread $fd 10 0 -> OLD
      cat f -> third
    `,
  },
  {
    name: "an overwritten file stays readable and writable",
    lowers: [{ f: "lower", g: "other" }],
    upper: { h: "upper" },
    steps: `
      fd = open f O_RDWR
      hd = open h O_RDWR
      put new new
      rename new f
      rename g h
      pread $fd 10 0 -> lower
      pread $hd 10 0 -> upper
      pwrite $fd 0 X
      pwrite $hd 0 Y
      pread $fd 10 0 -> Xower
      pread $hd 10 0 -> Ypper
      cat f -> new
      cat h -> other
    `,
  },
  {
    name: "mv tmp f over a lower f, then rm f, with f open all the time",
    lowers: [{ f: "lower" }],
    steps: `
      fd = open f O_RDONLY
      put tmp new
      rename tmp f
      unlink f
      stat f -> ENOENT
      ls -> ""
      pread $fd 9 0 -> lower
      put f again
      cat f -> again
      unlink f
      remount
      ls -> ""
    `,
  },
  {
    name: "the last of several names goes while the file is open",
    lowers: [{ a: "data" }],
    steps: `
      link a b
      fd = open a O_RDWR
      unlink a
      fstat $fd nlink -> 1
      pwrite $fd 0 D
      cat b -> Data
      unlink b
      fstat $fd nlink -> 0
      pread $fd 10 0 -> Data
      pwrite $fd 4 more
      pread $fd 10 0 -> Datamore
    `,
  },
  {
    name: "many files are unlinked while open",
    lowers: [Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`d/f${index}`, `f${index}`]))],
    skip: { overlay: keepsCount },
    steps: `
      many_open d f% 500 O_RDWR -> 500
      sh "rm -r d"
      many_read -> 500
      many_nlink -> 0
      many_write
      many_read -> 500
      many_close
    `,
  },
  {
    name: "a mapping lives on after its file is unlinked and closed",
    lowers: [{ f: file("mapped data", { size: 8192 }) }],
    steps: `
      fd = open f O_RDWR
      m = mmap $fd 8192
      p = mmap $fd 8192 rw private
      close $fd
      unlink f
      mread $m 0 6 -> mapped
      mwrite $m 0 MAPPED
      mread $m 0 11 -> "MAPPED data"
      mwrite $p 7 DATA
      mread $m 0 11 -> "MAPPED data"
      mread $m 5000 3 -> "\\0\\0\\0"
      msync $m
      munmap $m
    `,
  },
]);

cases("removed directories", [
  {
    name: "rm -rf of a merged directory with everything in it open, then a new one",
    lowers: [{ "d/a": "a", "d/s/b": "b" }, { "d/c": "c" }],
    upper: { "d/u": "u" },
    steps: `
      a = open d/a O_RDONLY
      b = open d/s/b O_RDWR
      u = open d/u O_RDWR
      sh "rm -rf d"
      mkdir d
      ls d -> ""
      put d/a new
      pread $a 5 0 -> a
      pwrite $b 0 B
      pread $b 5 0 -> B
      pread $u 5 0 -> u
      cat d/a -> new
    `,
  },
  {
    name: "nothing can be created in a directory that was removed",
    lowers: [{ "d/": {} }],
    upper: { "u/": {} },
    steps: `
      fd = open d O_PATH
      rmdir d
      openat $fd f O_RDWR|O_CREAT -> ENOENT
      ud = open u O_PATH
      rmdir u
      openat $ud f O_RDWR|O_CREAT -> ENOENT
      mkdir d
      put d/x x
      fstatat $fd x -> ENOENT
    `,
  },
  {
    name: "attributes of a removed directory change for those who have it open",
    lowers: [{ "d/": { mode: 0o750, gid: 2000, xattrs: { "user.a": "b" } }, "merged/": {} }],
    upper: { "u/": {}, "merged/": { mode: 0o700 } },
    skip: { overlay: "of lower directories it answers ENOTDIR" },
    steps: `
      fd = open d O_RDONLY|O_DIRECTORY
      fdm = open merged O_RDONLY|O_DIRECTORY
      fdu = open u O_RDONLY|O_DIRECTORY
      ino = fstat $fd ino
      rmdir d
      rmdir merged
      rmdir u
      fchmod $fd 0711
      fchmod $fdm 0711
      fchmod $fdu 0711
      fstat $fd mode,uid,gid,nlink,ino -> 0711 0 2000 0 $ino
      fstat $fdm mode,nlink -> 0711 0
      fstat $fdu mode,nlink -> 0711 0
      fchown $fd 5 6
      futimens $fd 5.0 6.0
      fsetx $fd user.c d
      fgetx $fd user.a -> b
      fstat $fd mode,uid,gid,nlink,mtime
      mkdir d 0755
      stat d mode,uid,gid -> 0755 0 0
      listx d
    `,
  },
  {
    name: "a process works on in a directory that was renamed, and not in one that was removed",
    lowers: [{ "d/e/x": "x", "other/": {} }],
    steps: `
      chdir d/e
      getcwd -> MNT/d/e
      @b rename d other/moved
      getcwd -> MNT/other/moved/e
      put ./y y
      @b cat other/moved/e/y -> y
      cat ./x -> x
      stat .. type -> dir
      @b sh "rm -rf other"
      getcwd -> ENOENT
      put ./z z -> ENOENT
      ls ./. -> ""
      stat ./x -> ENOENT
    `,
  },
]);
