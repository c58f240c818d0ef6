import { file, hard } from "../harness/layers.js";
import { keepsLower, type Theme } from "./table.js";

const stale = "a descriptor that was opened for reading before the copy-up stays with the lower file";

export const data: readonly Theme[] = [
  {
    title: "Coherence over copy-up",
    cases: [
      {
        name: "a descriptor opened for reading before sees later writes",
        passthrough: keepsLower,
        overlay: stale,
        complaint: "Readers that were there first never see what is written later (log followers, databases)",
        lowers: [{ f: "lower" }],
        steps: `
          r = open f O_RDONLY
          pread $r 9 0 -> lower
          w = open f O_RDWR
          pwrite $w 0 UPPER
          pread $r 9 0 -> UPPER
          ftruncate $w 2
          pread $r 9 0 -> UP
          fstat $r size -> 2
        `,
      },
      {
        name: "of another process too",
        passthrough: keepsLower,
        overlay: stale,
        lowers: [{ f: "lower" }],
        steps: `
          @p r = open f O_RDONLY
          @p read $r 5 -> lower
          @q append f +more
          @p read $r 9 -> +more
        `,
      },
      {
        name: "a shared mapping made before sees later writes",
        passthrough: keepsLower,
        overlay: stale,
        lowers: [{ f: file("", { fill: 12_288 }) }],
        steps: `
          r = open f O_RDONLY
          m = mmap $r 12288 r
          mread $m 0 4 -> ?
          w = open f O_RDWR
          pwrite $w 0 NEW
          pwrite $w 8192 NEW
          mread $m 0 3 -> NEW
          mread $m 8192 3 -> NEW
        `,
      },
      {
        name: "a private mapping sees later writes where it was not written itself",
        passthrough: keepsLower,
        overlay: stale,
        lowers: [{ f: file("", { fill: 8192 }) }],
        steps: `
          r = open f O_RDONLY
          m = mmap $r 8192 rw private
          mwrite $m 0 mine
          w = open f O_RDWR
          pwrite $w 0 NEW
          pwrite $w 4096 NEW
          mread $m 0 4 -> mine
          mread $m 4096 3 -> NEW
        `,
      },
      {
        name: "writes through a shared mapping are read by descriptors, old and new",
        passthrough: keepsLower,
        overlay: stale,
        lowers: [{ f: file("", { fill: 8192 }) }],
        steps: `
          r = open f O_RDONLY
          w = open f O_RDWR
          m = mmap $w 8192 rw
          mwrite $m 4096 mapped
          pread $r 6 4096 -> mapped
          n = open f O_RDONLY
          pread $n 6 4096 -> mapped
          pwrite $w 0 written
          mread $m 0 7 -> written
          msync $m
          munmap $m
        `,
      },
      {
        name: "fstat of an old descriptor tells the new attributes",
        overlay: stale,
        lowers: [{ f: "lower" }],
        steps: `
          r = open f O_RDONLY
          chmod f 0600
          chown f 7 8
          utimens f 1.5 2.5
          fstat $r mode,uid,gid,mtime -> "0600 7 8 2.500000000"
          append f +
          fstat $r size -> 6
        `,
      },
      {
        name: "fchmod, fchown, futimens and fsetxattr through an old descriptor change the file",
        lowers: [{ f: "lower" }],
        steps: `
          r = open f O_RDONLY
          fchmod $r 0640
          fchown $r 3 4
          fsetx $r user.k v
          futimens $r 1.5 2.5
          stat f mode,uid,gid,mtime -> "0640 3 4 2.500000000"
          getx f user.k -> v
          cat f -> lower
        `,
      },
      {
        name: "an old descriptor opened for execution only by path (O_PATH) is the file",
        lowers: [{ f: "lower" }],
        overlay: stale,
        steps: `
          p = open f O_PATH
          i = fino $p
          append f +
          fino $p -> $i
          fstat $p size -> 6
          r = open /proc/self/fd/$p O_RDONLY
          read $r 9 -> lower+
        `,
      },
      {
        name: "inotify on a lower file and its directory sees changes after the copy-up",
        overlay: "a watch from before the copy-up stays with the lower inode",
        lowers: [{ "d/f": "f" }],
        steps: `
          w = watch d/f modify|attrib d create|moved_to|delete|modify
          append d/f +
          chmod d/f 0600
          events $w -> ?
          put d/new x
          rename d/new d/n2
          unlink d/n2
          events $w -> ?
          append d/f +
          events $w -> ?
        `,
      },
      {
        name: "flock taken before the copy-up holds after it",
        passthrough: keepsLower,
        lowers: [{ f: "f" }],
        steps: `
          @p r = open f O_RDONLY
          @p flock $r ex
          append f +
          @q s = open f O_RDWR
          @q flock $s ex -> EAGAIN
          @q flock $s sh -> EAGAIN
          @p flock $r un
          @q flock $s ex
        `,
      },
      {
        name: "record locks taken before the copy-up hold after it",
        passthrough: keepsLower,
        lowers: [{ f: "0123456789" }],
        steps: `
          @p r = open f O_RDONLY
          @p lock $r read 0 4
          append f +
          @q s = open f O_RDWR
          @q lock $s write 0 2 -> EAGAIN
          @q lock $s write 4 2
          @q getlock $s write 0 2 -> read
          @p close $r
          @q lock $s write 0 2
        `,
      },
      {
        name: "open file description locks, before and after the copy-up",
        passthrough: keepsLower,
        lowers: [{ f: "0123456789" }],
        steps: `
          a = open f O_RDONLY
          ofdlock $a read 0 4
          b = open f O_RDWR
          ofdlock $b write 0 4 -> EAGAIN
          pwrite $b 0 x
          ofdlock $b write 0 4 -> EAGAIN
          close $a
          ofdlock $b write 0 4
        `,
      },
      {
        name: "locks through two names of one lower file are on one file",
        overlay: "the names of a lower file are several inodes unless index=on",
        lowers: [{ f: "f", g: hard("f") }],
        steps: `
          @p r = open f O_RDWR
          @p flock $r ex
          @q s = open g O_RDWR
          @q flock $s ex -> EAGAIN
        `,
      },
      {
        name: "two processes change one lower file at the same time",
        lowers: [{ f: "........" }],
        steps: `
          copy_up_together f 8 -> "0 ABCDEFGH"
          cat f -> ABCDEFGH
        `,
      },
      {
        name: "two processes append to one lower file at the same time",
        lowers: [{ f: "" }],
        steps: `
          append_together f 100 -> 200
          stat f size -> 12800
        `,
        tree: "none",
      },
      {
        name: "an unlinked lower file is read on, and written",
        passthrough: keepsLower,
        lowers: [{ f: "lower" }],
        overlay: stale,
        steps: `
          r = open f O_RDONLY
          w = open f O_RDWR
          unlink f
          pwrite $w 0 L
          pread $r 9 0 -> Lower
          fstat $r nlink -> 0
          stat f -> ENOENT
          fchmod $w 0600
          fstat $w mode -> 0600
        `,
      },
      {
        name: "caches dropped between the writes",
        passthrough: keepsLower,
        lowers: [{ f: "lower" }],
        overlay: stale,
        steps: `
          r = open f O_RDONLY
          append f +1
          drop_caches
          pread $r 9 0 -> lower+1
          append f +2
          drop_caches
          pread $r 9 0 -> lower+1+2
        `,
      },
    ],
  },
  {
    title: "Databases",
    cases: [
      {
        name: "an SQLite database, updated page by page",
        complaint: "SQLite and rpm databases are silently corrupted after copy-up and page writes",
        prepare: `sqlite3 db "create table t(k integer primary key, v); with recursive n(i) as (select 1 union all select i+1 from n where i<2000) insert into t select i, hex(randomblob(40)) from n; update t set v='x'||k;"`,
        steps: `
          sh "sqlite3 db 'update t set v=v||1 where k%7=0; delete from t where k%11=0; pragma integrity_check; select count(*), sum(length(v)) from t'" -> ?
          remount
          sh "sqlite3 db 'vacuum; pragma integrity_check; select count(*), sum(length(v)) from t'" -> ?
        `,
        tree: "none",
      },
      {
        name: "an SQLite database with a write-ahead log, by two connections",
        complaint: "A database that is open while it is copied up loses transactions",
        overlay: stale,
        prepare: `sqlite3 db "pragma journal_mode=wal; create table t(v); insert into t values('lower')" >/dev/null`,
        steps: `
          sh "python3 -c \\"import sqlite3; a=sqlite3.connect('db'); print(a.execute('select count(*) from t').fetchone()); b=sqlite3.connect('db'); b.execute('insert into t values(1)'); b.commit(); print(a.execute('select count(*) from t').fetchone(), a.execute('pragma integrity_check').fetchone())\\"" -> "0 (1,)\\n(2,) ('ok',)"
          remount
          sh "sqlite3 db 'select count(*) from t; pragma integrity_check'" -> "0 2\\nok"
        `,
        tree: "none",
      },
      {
        name: "a store that maps its file and writes pages in any order, as rpm and LMDB do",
        passthrough: keepsLower,
        complaint: "Page writes through a mapping after copy-up are lost",
        overlay: stale,
        lowers: [{ db: file("", { fill: 1 << 20 }) }],
        steps: `
          r = open db O_RDONLY
          old = mmap $r 1M r
          w = open db O_RDWR
          m = mmap $w 1M rw
          mwrite $m 4096 page1
          mwrite $m 1044480 page255
          mwrite $m 65536 page16
          mread $old 65536 6 -> page16
          msync $m
          fdatasync $w
          pread $r 7 1044480 -> page255
          verify $r 8192 40960
          sha db -> ?
          remount
          sha db -> ?
        `,
      },
      {
        name: "a page file whose middle is rewritten after a small change",
        lowers: [{ db: file("", { fill: 300_000 }) }],
        steps: `
          chmod db 0600
          w = open db O_RDWR
          fill $w 100000 50000 9
          fsync $w
          verify $w 0 100000
          verify $w 100000 50000 9
          verify $w 150000 150000
          remount
          r = open db O_RDONLY
          verify $r 100000 50000 9
          verify $r 150000 150000
        `,
      },
      {
        name: "a dpkg database: a package removed, another configured",
        complaint: "Package databases break on a second layer",
        prepare: `mkdir -p dpkg/info dpkg/updates dpkg/triggers; printf 'Package: a\\nStatus: install ok installed\\nPriority: optional\\nSection: misc\\nMaintainer: x <x@example.org>\\nArchitecture: all\\nVersion: 1\\nDescription: a\\n\\n' >dpkg/status; echo /a >dpkg/info/a.list; touch dpkg/available; echo 1 >dpkg/info/format; mkdir root; echo a >root/a`,
        steps: `
          sh "dpkg --admindir=dpkg --instdir=root --force-not-root --log=/dev/null -r a >/dev/null 2>&1; echo $?; dpkg-query --admindir=dpkg -W -f '\${Package} \${Status}' a; ls root" -> ?
          remount
          sh "dpkg-query --admindir=dpkg -W -f '\${Package} \${Status}' a; ls root" -> ?
        `,
        tree: "none",
      },
    ],
  },
  {
    title: "Data",
    cases: [
      {
        name: "truncated, longer and shorter",
        lowers: [{ f: "0123456789", g: "0123456789", h: "0123456789" }],
        steps: `
          truncate f 4
          cat f -> 0123
          truncate g 20
          stat g size -> 20
          sha g -> ?
          truncate h 0
          cat h -> ""
          truncate f 10
          sha f -> ?
          truncate none 1 -> ENOENT
          r = open f O_RDONLY
          ftruncate $r 1 -> EINVAL
        `,
      },
      {
        name: "opened with O_TRUNC, O_APPEND and both",
        lowers: [{ f: "lower", g: "lower", h: "lower" }],
        steps: `
          a = open f O_WRONLY|O_TRUNC
          pwrite $a 0 x
          cat f -> x
          b = open g O_WRONLY|O_APPEND
          write $b 1
          @p append g 2
          write $b 3
          cat g -> lower123
          c = open h O_WRONLY|O_TRUNC|O_APPEND
          write $c x
          cat h -> x
        `,
      },
      {
        name: "pwrite to an O_APPEND descriptor appends, as Linux does it",
        lowers: [{ f: "lower" }],
        steps: `
          a = open f O_WRONLY|O_APPEND
          pwrite $a 0 + -> 1
          cat f -> lower+
          w = open f O_WRONLY
          pwrite2 $w 0 ! 0x10 -> 1
          cat f -> lower+!
        `,
      },
      {
        name: "O_DIRECT",
        lowers: [{ f: file("", { fill: 16_384 }) }],
        steps: `
          d = open f O_RDWR|O_DIRECT
          dwrite $d 4096 D 4096 -> 4096
          r = open f O_RDONLY
          pread $r 3 4096 -> DDD
          w = open f O_RDWR
          pwrite $w 8192 buffered
          sh "dd if=f iflag=direct bs=4096 skip=2 count=1 2>/dev/null | head -c 8" -> "0 buffered"
        `,
      },
      {
        name: "O_SYNC, fsync, fdatasync, syncfs, sync_file_range",
        lowers: [{ f: "lower", "d/": {} }],
        steps: `
          a = open f O_RDWR|O_SYNC
          pwrite $a 0 L
          fsync $a
          fdatasync $a
          syncfs $a
          sync_file_range $a 0 0
          sync_file_range $a 0 0 0x80 -> EINVAL
          d = open d O_RDONLY|O_DIRECTORY
          fsync $d
          syncfs $d
          p = open f O_PATH
          fsync $p -> EBADF
          cat f -> Lower
        `,
      },
      {
        name: "fallocate in all its modes",
        lowers: [{ f: file("", { fill: 65_536 }) }],
        steps: `
          w = open f O_RDWR
          fallocate $w 0 60000 10000
          fstat $w size -> 70000
          fallocate $w FALLOC_FL_KEEP_SIZE 70000 10000
          fstat $w size -> 70000
          fallocate $w FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE 8192 8192
          pread $w 3 8192 -> "\\0\\0\\0"
          fallocate $w FALLOC_FL_ZERO_RANGE 20000 1000
          pread $w 3 20000 -> "\\0\\0\\0"
          fallocate $w FALLOC_FL_PUNCH_HOLE 0 10 -> EOPNOTSUPP
          fallocate $w FALLOC_FL_COLLAPSE_RANGE 4096 4096 -> *
          fallocate $w 0 0 0 -> EINVAL
        `,
        tree: "none",
      },
      {
        name: "holes: SEEK_DATA and SEEK_HOLE, before and after the copy-up",
        passthrough: keepsLower,
        lowers: [
          {
            f: file("", {
              parts: [
                [0, "start"],
                [1 << 20, "middle"],
              ],
              size: 4 << 20,
            }),
          },
        ],
        steps: `
          r = open f O_RDONLY
          lseek $r 0 SEEK_DATA -> 0
          lseek $r 4096 SEEK_DATA -> 1048576
          lseek $r 0 SEEK_HOLE -> 4096
          lseek $r 1052672 SEEK_DATA -> ENXIO
          lseek $r 4M SEEK_DATA -> ENXIO
          append f end
          lseek $r 4096 SEEK_DATA -> 1048576
          lseek $r 1048576 SEEK_HOLE -> 1052672
          lseek $r 2M SEEK_DATA -> 4194304
        `,
      },
      {
        name: "a sparse lower file of 8 GiB stays sparse",
        complaint: "Copy-up fills the holes of sparse files (and the disk)",
        lowers: [{ f: file("", { parts: [[5_368_709_120, "far"]], size: 8_589_934_592 }) }],
        steps: `
          append f end
          r = open f O_RDONLY
          data $r -> ?
          pread $r 3 5368709120 -> far
          fstat $r size -> 8589934595
          sh "du -k f | cut -f1" -> ?
        `,
      },
      {
        name: "offsets beyond 4 GiB",
        lowers: [{ f: "start" }],
        steps: `
          w = open f O_RDWR
          pwrite $w 5G far
          pread $w 3 5G -> far
          pread $w 5 0 -> start
          ftruncate $w 4294967297
          fstat $w size -> 4294967297
          pread $w 3 5G -> ""
          m = mmap $w 4096 rw shared 4G
          mread $m 0 1 -> "\\0"
        `,
      },
      {
        name: "copy_file_range between layers, and within one file",
        lowers: [{ a: file("", { fill: 100_000 }), b: "b" }],
        upper: { u: "" },
        steps: `
          a = open a O_RDONLY
          u = open u O_RDWR
          copyrange $a 0 $u 0 100000 -> 100000
          verify $u 0 100000
          b = open b O_RDWR
          copyrange $a 4096 $b 1 1000 -> 1000
          fstat $b size -> 1001
          copyrange $u 0 $u 200000 4096 -> 4096
          fstat $u size -> 204096
          copyrange $u 0 $a 0 10 -> EBADF
        `,
      },
      {
        name: "sendfile and splice from a lower file and into an upper one",
        lowers: [{ a: file("", { fill: 50_000 }), t: "t" }],
        steps: `
          a = open a O_RDONLY
          o = open out O_RDWR|O_CREAT
          sendfile $o $a 0 50000 -> 50000
          verify $o 0 50000
          splice_out $a 0 10 -> ?
          t = open t O_RDWR
          b = open a O_RDONLY
          tee_through $b $t 4096 -> 4096
          verify $t 0 4096
        `,
      },
      {
        name: "a write refused for its size or place",
        lowers: [{ f: "f" }],
        steps: `
          w = open f O_RDWR
          pwrite $w 0 "" -> 0
          fallocate $w 0 0 0x7fffffffffffffff -> EFBIG
          ftruncate $w 0x7fffffffffffffff -> EFBIG
          cat f -> f
        `,
      },
      {
        name: "seeking beyond the largest file",
        differs:
          "the kernel has one limit for all FUSE file systems, 8 EiB, whatever the upper's is; a write that far fails as it should",
        lowers: [{ f: "f" }],
        steps: `
          w = open f O_RDWR
          lseek $w 0x7ffffffffffffff0 SEEK_SET -> EINVAL
          pwrite $w 16T x -> EFBIG
          cat f -> f
        `,
      },
      {
        name: "mremap, and mappings beyond the end",
        lowers: [{ f: file("", { fill: 4096 }) }],
        steps: `
          w = open f O_RDWR
          m = mmap $w 4096 rw
          pwrite $w 8192 more
          mremap_grow $m 12288
          mread $m 8192 4 -> more
          mwrite $m 4096 hole
          pread $w 4 4096 -> hole
        `,
      },
      {
        name: "a mapping lives on after the file was removed, and after it was replaced",
        lowers: [{ f: file("", { fill: 4096 }), g: "old" }],
        steps: `
          w = open f O_RDWR
          m = mmap $w 4096 rw
          close $w
          unlink f
          mwrite $m 0 alive
          mread $m 0 5 -> alive
          r = open g O_RDONLY
          n = mmap $r 3 r
          put x new
          rename x g
          mread $n 0 3 -> old
          cat g -> new
        `,
      },
      {
        name: "a writable mapping needs a writable descriptor",
        lowers: [{ f: file("", { fill: 4096 }) }],
        steps: `
          r = open f O_RDONLY
          mmap $r 4096 rw -> EACCES
          mmap $r 4096 rw private
          w = open f O_WRONLY
          mmap $w 4096 r -> EACCES
          d = open . O_RDONLY|O_DIRECTORY
          mmap $d 4096 r -> ENODEV
        `,
      },
      {
        name: "reading the file that is written, in one process and another",
        lowers: [{ f: "" }],
        steps: `
          w = open f O_RDWR
          @p r = open f O_RDONLY
          fill $w 0 200000 3
          @p verify $r 0 200000 3
          ftruncate $w 100
          @p fstat $r size -> 100
          fill $w 100 1000 5
          @p fstat $r size -> 1100
        `,
      },
      {
        name: "reflinks, where the file system has none",
        lowers: [{ a: "a" }],
        upper: { b: "b" },
        steps: `
          a = open a O_RDONLY
          b = open b O_RDWR
          clone $b $a -> EOPNOTSUPP
          cat b -> b
          sh "cp --reflink=auto a c; cat c" -> "0 a"
        `,
      },
    ],
  },
  {
    title: "Attributes without the data",
    upperPlace: "ext4:128M",
    cases: [
      {
        name: "chmod, chown, utimens and setxattr of a large lower file",
        complaint: "chmod or chown copies whole files and doubles layers",
        overlay: "needs metacopy=on",
        lowers: [{ f: file("", { fill: 24 << 20 }) }],
        steps: `
          before = free .
          chmod f 0600
          chown f 5 6
          utimens f 1.5 2.5
          setx f user.k v
          used . $before 1024 -> little
          stat f mode,uid,gid,size,mtime -> "0600 5 6 25165824 2.500000000"
          r = open f O_RDONLY
          verify $r 0 24M
        `,
      },
      {
        name: "chown -R of a tree of large files",
        complaint: "chown -R at the start of a container takes minutes and space",
        overlay: "needs metacopy=on",
        lowers: [
          {
            "d/a": file("", { fill: 8 << 20 }),
            "d/b": file("", { fill: 8 << 20 }),
            "d/s/c": file("", { fill: 8 << 20 }),
          },
        ],
        steps: `
          before = free .
          sh "chown -R 1000:1000 d" -> "0 "
          used . $before 1024 -> little
          sh "stat -c %u:%g d d/a d/s/c" -> "0 1000:1000\\n1000:1000\\n1000:1000"
          remount
          r = open d/a O_RDONLY
          verify $r 0 8M
        `,
      },
      {
        name: "rename and link of a large lower file",
        overlay: "needs metacopy=on",
        lowers: [{ f: file("", { fill: 8 << 20 }), "d/": {} }],
        steps: `
          before = free .
          rename f d/g
          link d/g h
          used . $before 1024 -> little
          r = open h O_RDONLY
          verify $r 0 8M
          stat h nlink -> 2
        `,
      },
      {
        name: "then the first write copies it, and everything stays",
        lowers: [{ f: file("", { fill: 4 << 20 }) }],
        steps: `
          chmod f 0640
          setx f user.k v
          r = open f O_RDONLY
          w = open f O_RDWR
          pwrite $w 2M changed
          verify $w 0 2M
          pread $w 7 2M -> changed
          verify $w 3M 1M
          stat f mode,size -> "0640 4194304"
          getx f user.k -> v
          remount
          r = open f O_RDONLY
          verify $r 3M 1M
        `,
      },
      {
        name: "then truncated",
        lowers: [{ f: file("", { fill: 4 << 20 }) }],
        steps: `
          chmod f 0640
          truncate f 1000
          r = open f O_RDONLY
          verify $r 0 1000
          truncate f 3000
          fstat $r size -> 3000
          pread $r 2 2000 -> "\\0\\0"
        `,
      },
      {
        name: "over remounts, and renamed meanwhile",
        overlay: "renaming a directory needs redirect_dir=on",
        lowers: [{ "d/f": file("", { fill: 2 << 20 }) }],
        steps: `
          chmod d/f 0600
          remount
          rename d e
          rename e/f g
          remount
          stat g mode,size -> "0600 2097152"
          r = open g O_RDONLY
          verify $r 0 2M
          w = open g O_RDWR
          pwrite $w 0 x
          verify $w 64 1M
        `,
        tree: "none",
      },
      {
        name: "an open of the file for writing, without a write, keeps contents and times",
        lowers: [{ f: file("", { fill: 100_000 }) }],
        steps: `
          m = stat f mtime
          opens f O_RDWR
          opens f O_WRONLY|O_APPEND
          stat f mtime -> $m
          r = open f O_RDONLY
          verify $r 0 100000
        `,
      },
    ],
  },
];
