/** `--io passthrough`: what those who opened a lower file before its copy-up, and those who come later, have in common. */
import type { Case } from "./harness/cases.js";
import { file } from "./harness/layers.js";
import { keeps, passed, passedBig } from "./harness/passthrough.js";

const descriptors: readonly Case[] = [
  {
    name: "locks of the old descriptor and of the new one do not see each other, those among themselves do",
    lowers: [{ f: "0123456789" }],
    skip: keeps,
    steps: `
      @p r = open f O_RDONLY
      @p flock $r ex
      @p lock $r read 0 4
      @p ofdlock $r read 6 2
      @q s = open f O_RDWR
      @q pwrite $s 0 X
      @q flock $s ex
      @q lock $s write 0 4
      @q ofdlock $s write 6 2
      @o t = open f O_RDWR
      @o flock $t sh -> EAGAIN
      @o lock $t write 2 1 -> EAGAIN
      @o getlock $t write 2 1 -> write
      @o ofdlock $t read 7 1 -> EAGAIN
      @q close $s
      @o flock $t ex
      @o lock $t write 0 4
      @p close $r
    `,
  },
  {
    name: "locks hold where only attributes or names change, or nobody had the lower file open before",
    lowers: [{ f: "0123456789", g: "0123456789" }],
    steps: `
      @p r = open f O_RDONLY
      @p flock $r ex
      @p lock $r read 0 4
      chmod f 0600
      rename f h
      @q s = open h O_RDONLY
      @q flock $s sh -> EAGAIN
      @q getlock $s write 0 4 -> read
      @p w = open g O_RDWR
      @p flock $w ex
      @q v = open g O_RDWR
      @q flock $v sh -> EAGAIN
      @q pwrite $v 0 X
      @p pread $w 2 0 -> X1
      @q flock $v sh -> EAGAIN
    `,
  },
  {
    name: "mappings, shared and private, keep to the lower file; those made later are of the upper one",
    lowers: [{ f: file("", { fill: 8192 }) }],
    skip: keeps,
    steps: `
      @p r = open f O_RDONLY
      @p s = mmap $r 8192 r shared
      @p p = mmap $r 8192 rw private
      @p mwrite $p 0 mine
    `,
    run: async (merged) => {
      const worker = merged.worker("p");
      const before = (await worker.call("mread", ["0", "4096", "3"])).text;
      await merged.steps(
        "w = open f O_RDWR\npwrite $w 0 NEW\npwrite $w 4096 NEW\nm = mmap $w 8192 rw shared\nmread $m 0 3 -> NEW",
      );
      for (const mapping of ["0", "1"]) {
        const after = (await worker.call("mread", [mapping, "4096", "3"])).text;
        if (after !== before) merged.failures.push(`mapping ${mapping} shows ${after}, not ${before}`);
      }
    },
  },
  {
    // The kernel opens the file once more for these, by a nodeid that cannot be opened any more.
    name: "flags of chattr through an old descriptor: ESTALE once somebody has written, and nothing is changed",
    lowers: [{ f: "lower" }],
    skip: keeps,
    steps: `
      r = open f O_RDONLY
      getflags $r -> 0x0
      chmod f 0600
      setflags $r 0x40
      getflags $r -> 0x40
      setflags $r 0
      w = open f O_RDWR
      pwrite $w 0 X
      getflags $r -> ESTALE
      setflags $r 0x40 -> ESTALE
      getflags $w -> 0x0
      n = open f O_RDONLY
      setflags $n 0x40
      getflags $w -> 0x40
      pread $r 5 0 -> lower
      fchmod $r 0640
      stat f mode -> 0640
    `,
  },
];

passed("descriptors from before the copy-up", descriptors);
passedBig("descriptors from before the copy-up", descriptors);
