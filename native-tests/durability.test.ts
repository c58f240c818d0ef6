import { readdirSync } from "node:fs";
import { cases } from "./harness/cases.js";
import { command } from "./harness/command.js";
import { file, hard, link } from "./harness/layers.js";
import { forceUnmount, mountStack, processEnd } from "./harness/mounts.js";

const cowfsOnly = { native: "is about the driver", overlay: "is about the driver" };

cases("remounting", [
  {
    name: "shows the same tree to the nanosecond, after all kinds of changes, also through kernel overlayfs",
    lowers: [
      {
        "a/b/c/f": file("f", { mode: 0o4755, uid: 5, xattrs: { "user.x": "x" } }),
        "a/b/g": "g",
        "a/l": link("b"),
        "moved/in/deep": "deep",
        "gone/x": "x",
        "again/x": "x",
        file: "lower",
      },
      { "a/b/c/below": "below", "moved/in/below": "below", "gone/y": "y" },
    ],
    upper: { "a/u": "u", "up/v": "v" },
    steps: `
      append a/b/c/f more
      chmod a/b/c/below 0600
      rename moved away
      append away/in/deep er
      sh "rm -r gone again"
      mkdir again
      put again/y new
      rename up a/up
      link a/u a/up/u2
      mkdir new
      mknod new/fifo fifo
      symlink nowhere new/link
      put new/file data
      setx new user.dir d
      utimens new/file 1.25 2.5
      chown new/link 9 9
      rename file again/x
    `,
  },
  {
    name: "many times, with changes in between",
    lowers: [{ "d/f": "0" }],
    steps: `
      append d/f 1
      remount
      append d/f 2
      rename d e
      remount
      append e/f 3
      put e/g g
      remount
      unlink e/f
      remount
      ls e -> g
      rename e d
      remount
      ls d -> g
      put d/f new
      remount
      cat d/f -> new
    `,
  },
  {
    name: "an upper of kernel overlayfs is understood, with redirects, whiteouts and opaque directories",
    lowers: [{ "d/x": "x", "d/s/y": "y", "gone/z": "z", "o/a": "a", f: "f", h1: "h", h2: hard("h1") }],
    skip: { native: "has no upper" },
    run: async (merged) => {
      if (merged.kind !== "cowfs") {
        return;
      }
      await merged.unmount();
      await mountStack("overlay", merged.stack, merged.root);
      await merged.steps(`
        rename d e
        rename e/s s
        sh "rm -r gone o"
        mkdir o
        put o/b b
        append f more
        append h1 more
      `);
      await merged.endWorkers();
      await command("umount", [merged.root]);
      await merged.mount();
      await merged.steps(`
        ls -> e f h1 h2 o s
        ls e -> x
        cat s/y -> y
        ls o -> b
        cat f -> fmore
        stat gone -> ENOENT
        append s/y more
        rename s t
        cat t/y -> ymore
        ls t -> y
      `);
    },
    differs: { overlay: "does nothing here" },
    foreign: "an index of hard links is bound to its work directory",
    litter: "overlayfs's index is left",
  },
]);

cases("fsync and volatile", [
  {
    name: "fsync, fdatasync and syncfs answer, on files and directories of both layers",
    lowers: [{ "d/f": "f" }],
    upper: { u: "u" },
    steps: `
      r = open d/f O_RDONLY
      fsync $r
      w = open d/f O_RDWR
      pwrite $w 0 x
      fsync $w
      fdatasync $w
      u = open u O_RDWR
      fsync $u
      dd = open d O_RDONLY|O_DIRECTORY
      fsync $dd
      syncfs $dd
      unlink d/f
      fsync $w
      fsync $dd
    `,
  },
  {
    name: "volatile marks the work directory as overlayfs does, and an orderly unmount takes the mark away",
    lowers: [{ f: "f" }],
    skip: cowfsOnly,
    options: { cowfs: ["-o", "volatile"] },
    steps: `
      fd = open f O_RDWR
      pwrite $fd 0 x
      fsync $fd
    `,
    run: async (merged) => {
      const mark = merged.area.at("up/work/work/incompat");
      if (!readdirSync(mark).includes("volatile")) {
        throw new Error(`${mark} should hold a directory named volatile`);
      }
    },
    foreign: "kernel overlayfs is asked about the mark in another case",
  },
  {
    name: "after an unclean volatile mount neither cowfs nor overlayfs takes the upper again",
    lowers: [{ f: "f" }],
    skip: cowfsOnly,
    options: { cowfs: ["-o", "volatile"] },
    tree: "none",
    litter: "the mark is what is tested",
    run: async (merged) => {
      await merged.do("append", "f", "more");
      await kill(merged.driver());
      await merged.crashed();
      for (const kind of ["cowfs", "overlay"] as const) {
        const refused = await mountStack(kind, merged.stack, merged.root).then(
          () => "",
          (error: unknown) => String(error),
        );
        if (refused === "") {
          merged.failures.push(`${kind} mounted an upper that an unclean volatile mount left`);
          await forceUnmount(merged.root);
        }
      }
    },
  },
]);

/** Ends a process as a crash would. */
async function kill(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  if (!(await processEnd(pid, 60_000))) {
    throw new Error(`${pid} does not die`);
  }
}

cases("death of the driver", [
  {
    name: "killed in the middle of work: the next mount is clean, each file is old or new, what was synced is there",
    lowers: [
      Object.fromEntries(
        Array.from({ length: 600 }, (_, index) => [`d/f${index}`, file("", { fill: 30_000, seed: index + 1 })]),
      ),
    ],
    skip: cowfsOnly,
    foreign: "times of the interrupted changes",
    run: async (merged) => {
      for (const round of [0, 1, 2]) {
        const writer = merged.worker(`writer${round}`);
        const first = round * 200;
        await merged.do("put", `synced${round}`, "synced");
        const fd = await merged.do("open", `synced${round}`, "O_RDWR");
        await merged.do("fsync", fd);
        const work = writer.call("sh", [
          `i=${first}; while [ $i -lt ${first + 197} ]; do printf new >> d/f$i; mv d/f$((i + 1)) d/g$((i + 1)); rm -f d/f$((i + 2)); mkdir -p n$i/x; i=$((i + 3)); done`,
        ]);
        work.catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, 150 + round * 70));
        await kill(merged.driver());
        await merged.crashed();
        await merged.mount();
        await merged.steps(`cat synced${round} -> synced`);
      }
      // A name that came back from the work directory would be one that nobody made.
      const strange = await merged.do(
        "sh",
        "find . -mindepth 1 | grep -vE '^./(d|d/[fg][0-9]+|n[0-9]+(/x)?|synced[0-9])$' || true",
      );
      if (strange !== "0 ") {
        merged.failures.push(`names that nobody made: ${strange}`);
      }
      const torn = await merged.do(
        "sh",
        "for f in d/*; do s=$(stat -c %s $f); [ $s = 30000 ] || [ $s = 30003 ] || echo $f $s; done",
      );
      if (torn !== "0 ") {
        merged.failures.push(`files that are neither old nor new: ${torn}`);
      }
      const both = await merged.do("sh", "cd d; for g in g*; do [ -e $(echo $g | tr g f) ] && echo $g; done; true");
      if (both !== "0 ") {
        merged.failures.push(`renames that left both names: ${both}`);
      }
    },
  },
  {
    name: "leftovers of a crash in the work directory are cleaned at the next mount and never served",
    lowers: [{ f: "f" }],
    skip: cowfsOnly,
    run: async (merged) => {
      await merged.unmount();
      await merged.area.build(merged.work, {
        "work/#12": "half a copy",
        "work/#13/inside": "x",
        "work/#14/a/b/c": "x",
      });
      await merged.mount();
      await merged.steps(`
        ls -> f
        append f more
        cat f -> fmore
      `);
    },
  },
]);
