import { file, hard } from "../harness/layers.js";
import { keepsLower, type Theme } from "./table.js";

const stale = "a descriptor that was opened for reading before the copy-up stays with the lower file";

export const coherence: readonly Theme[] = [
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
];
