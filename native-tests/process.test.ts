import { cases } from "./harness/cases.js";
import { fifo, file } from "./harness/layers.js";

const script = (text: string) => file(`#!/bin/sh\n${text}\n`, { mode: 0o755 });

cases("programs", [
  {
    name: "run from lower and upper layers, by name and by descriptor",
    lowers: [
      {
        "bin/lower": script("echo lower $1"),
        "bin/no": file("#!/bin/sh\n", { mode: 0o644 }),
        "bin/bad": file("x", { mode: 0o755 }),
      },
    ],
    upper: { "bin/upper": script("echo upper") },
    tree: "none",
    steps: `
      exec bin/lower arg -> "0 lower arg"
      exec bin/upper -> "0 upper"
      exec bin/no -> EACCES
      exec bin/bad -> ENOEXEC
      sh "cp /bin/true bin/true && cp /usr/bin/printf bin/printf"
      exec bin/true -> "0 "
      exec bin/printf hello -> "0 hello"
      fd = open bin/true O_RDONLY
      fexec $fd -> 0
      append bin/lower "echo more\\n"
      exec bin/lower x -> "0 lower x\\nmore"
      remount
      exec bin/printf hello -> "0 hello"
    `,
  },
  {
    name: "ETXTBSY: a running program cannot be written, a file open for writing cannot be run",
    lowers: [{ "bin/": {} }],
    tree: "none",
    steps: `
      sh "cp /bin/cat bin/cat; cp /bin/true bin/true"
      remount
      pid = spawn bin/cat
      open bin/cat O_WRONLY -> ETXTBSY
      open bin/cat O_RDWR|O_TRUNC -> ETXTBSY
      open bin/cat O_RDONLY
      truncate bin/cat 0 -> ETXTBSY
      stop $pid
      open bin/cat O_WRONLY
      fd = open bin/true O_RDWR
      exec bin/true -> ETXTBSY
      close $fd
      exec bin/true -> "0 "
    `,
  },
  {
    name: "a running program of a lower layer can be removed and replaced",
    lowers: [{ "bin/": {} }],
    tree: "none",
    steps: `
      sh "cp /bin/cat bin/cat"
      remount
      pid = spawn bin/cat
      sh "cp /bin/true bin/new && mv bin/new bin/cat" -> "0 "
      exec bin/cat -> "0 "
      unlink bin/cat
      ls bin -> ""
      sh "cat /proc/$pid/maps | grep -c deleted" -> /0 .+/
      stop $pid
    `,
  },
  {
    name: "a shared library is loaded from the union",
    lowers: [{ "d/": {} }],
    tree: "none",
    steps: `
      sh "cp -L /bin/ls d/ls && for l in $(ldd d/ls | grep -o '/[^ ]*'); do cp -L $l d/; done"
      remount
      sh "LD_LIBRARY_PATH=$PWD/d $PWD/d/ls d | grep -c ." -> /0 .+/
    `,
  },
]);

cases("locks", [
  {
    name: "flock between processes",
    lowers: [{ f: "f" }],
    steps: `
      a = open f O_RDWR
      @b b = open f O_RDONLY
      flock $a sh
      @b flock $b sh
      flock $a ex -> EAGAIN
      @b flock $b un
      flock $a ex
      @b flock $b sh -> EAGAIN
      close $a
      @b flock $b ex
    `,
  },
  {
    name: "record locks between processes, which go with their owner",
    lowers: [{ f: "0123456789" }],
    steps: `
      a = open f O_RDWR
      @b b = open f O_RDWR
      lock $a write 0 5
      @b lock $b write 5 5
      @b lock $b read 4 1 -> EAGAIN
      @b getlock $b read 0 1 -> write
      lock $a read 5 1 -> EAGAIN
      @b pwrite $b 7 X
      lock $a un 0 5
      @b lock $b write 0 5
      close $a
      a2 = open f O_RDONLY
      lock $a2 read 0 1 -> EAGAIN
      @b close $b
      lock $a2 read 0 1
      lock $a2 write 0 1 -> EBADF
    `,
  },
  {
    name: "locks of open file descriptions",
    lowers: [{ f: "0123456789" }],
    steps: `
      a = open f O_RDWR
      b = open f O_RDWR
      ofdlock $a write 0 5
      ofdlock $b write 0 5 -> EAGAIN
      ofdlock $b write 5 5
      @c c = open f O_RDWR
      @c ofdlock $c read 0 1 -> EAGAIN
      close $a
      ofdlock $b write 0 5
    `,
  },
  {
    name: "a lock taken on a lower file holds after its copy-up",
    notPassthrough: "the kernel keeps locks by nodeid, and the writer gets another one",
    lowers: [{ f: "lower" }],
    steps: `
      r = open f O_RDONLY
      flock $r ex
      lock $r read
      @b w = open f O_RDWR
      @b pwrite $w 0 X
      @b flock $w ex -> EAGAIN
      @b lock $w write -> EAGAIN
      @b chmod f 0600
      @b g = open f O_RDONLY
      @b flock $g sh -> EAGAIN
      close $r
      @b flock $w ex
      @b lock $w write
    `,
  },
  {
    name: "leases",
    notPassthrough: "the kernel keeps leases by nodeid, and the writer gets another one",
    lowers: [{ f: "lower" }],
    steps: `
      catch SIGIO
      r = open f O_RDONLY
      getlease $r -> un
      lease $r read
      getlease $r -> read
      @b open f O_RDONLY
      caught -> ""
      @b open f O_WRONLY|O_NONBLOCK -> EAGAIN
      caught -> SIGIO
      lease $r un
      @b open f O_WRONLY
      lease $r read -> EAGAIN
    `,
  },
]);

cases("inotify", [
  {
    name: "sees everything that happens in a lower and an upper directory",
    lowers: [{ "d/f": "f", "d/old": "o", "d/s/x": "x" }],
    steps: `
      w = watch d create|delete|modify|attrib|moved_from|moved_to|close_write
      put d/new x
      events $w -> "create new, modify new, close_write new"
      append d/f more
      events $w -> "modify f, close_write f"
      chmod d/f 0600
      events $w -> "attrib f"
      rename d/old d/renamed
      events $w -> "moved_from old, moved_to renamed"
      unlink d/f
      events $w -> "delete f"
      mkdir d/sub
      events $w -> "create sub"
      @b put d/other y
      events $w -> "create other, modify other, close_write other"
      truncate d/new 0
      events $w -> "modify new"
    `,
  },
  {
    name: "a watch on a lower file goes on over its copy-up and ends with it",
    lowers: [{ f: "f" }],
    skip: { overlay: "an unlinked lower file keeps a link count, and so its watch" },
    steps: `
      w = watch f modify|attrib|delete_self|move_self|close_write
      append f more
      events $w -> "modify, close_write"
      rename f g
      events $w -> move_self
      chmod g 0600
      events $w -> attrib
      unlink g
      events $w -> "attrib, delete_self, ignored"
    `,
  },
]);

cases("fifos and sockets", [
  {
    name: "work between processes, lower and new",
    lowers: [{ p: fifo({ mode: 0o666 }) }],
    tree: "none",
    steps: `
      pipe_through p lower -> lower
      mknod q fifo
      pipe_through q upper -> upper
      a = open p O_RDWR|O_NONBLOCK
      @b b = open p O_WRONLY|O_NONBLOCK
      @b write $b between
      read $a 20 -> between
      bind sock
      connect sock -> hello
      stat sock type -> socket
      rename sock moved
      connect moved -> hello
      unlink moved
      connect moved -> ENOENT
    `,
  },
]);
