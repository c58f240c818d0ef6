/** Copies of lower files that are published before they are synced: what a killed driver and a crashed machine leave. */
import { cases } from "./harness/cases.js";
import { command, shell } from "./harness/command.js";
import { file } from "./harness/layers.js";
import type { Merged } from "./harness/merged.js";
import { forceUnmount, mountStack, processEnd } from "./harness/mounts.js";

const cowfsOnly = { native: "is about the driver", overlay: "is about the driver" };
const passthrough = "copies are synced before the kernel may write to them";

async function kill(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  if (!(await processEnd(pid, 60_000))) {
    throw new Error(`${pid} does not die`);
  }
}

/** The files of the upper that are marked as unsynced, by name. */
async function unsynced(merged: Merged): Promise<string> {
  const marked = await shell(
    `cd ${merged.upper}; find . -type f -exec getfattr -h --absolute-names -m '^trusted.overlay.cowfs.pending$' {} + |
       sed -n 's/^# file: .//p' | sort | tr '\\n' ' '`,
  );
  return marked.trim();
}

function expectEqual(merged: Merged, what: string, found: string, wanted: string): void {
  if (found !== wanted) {
    merged.failures.push(`${what}: ${found}, wanted ${wanted}`);
  }
}

/** Waits until no file is marked any more. */
async function settled(merged: Merged): Promise<void> {
  for (let waited = 0; (await unsynced(merged)) !== ""; waited += 200) {
    if (waited > 100_000) {
      throw new Error(`never synced: ${await unsynced(merged)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

const big = file("", { fill: 3 << 20, seed: 7 });

cases("copies that are not synced yet", [
  {
    name: "a copy takes a block for its data and none for its marks, once it is synced",
    lowers: [{ "d/f": "lower", "d/g": "other" }],
    upperPlace: "ext4:64M",
    skip: cowfsOnly,
    notPassthrough: passthrough,
    run: async (merged) => {
      await merged.steps("append d/f more\ntruncate d/g 3\nappend d/g new");
      await settled(merged);
      const blocks = await shell(`find ${merged.upper} -type f -printf '%b '`);
      const one = Number(await shell(`stat -f -c %S ${merged.upper}`)) / 512;
      expectEqual(merged, "blocks of 512 bytes", blocks, `${one} ${one} `);
    },
  },
  {
    name: "after the driver was killed all that was written is there, and an orderly unmount leaves whole files",
    lowers: [{ "d/f": "lower", "d/g": "other", "d/untouched": "before", big, h1: "h" }],
    upperPlace: "ext4:64M",
    skip: cowfsOnly,
    notPassthrough: passthrough,
    run: async (merged) => {
      await merged.steps(`
        append d/f more
        truncate d/g 3
        append d/g new
        append d/untouched after
        append big end
        append h1 more
        chmod d/f 0600
      `);
      expectEqual(merged, "unsynced", await unsynced(merged), "/big /d/f /d/g /d/untouched /h1");
      await kill(merged.driver());
      await merged.crashed();
      const refused = await mountStack("overlay", merged.stack, merged.root).then(
        () => "no",
        () => "yes",
      );
      expectEqual(merged, "kernel overlayfs refuses what a killed driver left", refused, "yes");
      if (refused === "no") {
        await forceUnmount(merged.root);
      }
      await merged.mount();
      await merged.steps(`
        cat d/f -> lowermore
        cat d/g -> othnew
        cat h1 -> hmore
        append d/f still
        cat d/f -> lowermorestill
      `);
      await merged.unmount();
      expectEqual(merged, "unsynced after an unmount", await unsynced(merged), "");
      await merged.mount();
    },
  },
  {
    name: "a crash of the machine brings back the lower file, unless the copy was on the disk",
    lowers: [
      {
        lost: file("", { fill: 200_000, seed: 1 }),
        synced: "lower",
        flushed: "lower",
        osync: "lower",
        msynced: "lower",
        punched: file("", { fill: 20_000, seed: 3 }),
      },
    ],
    upperPlace: "ext4:64M",
    prepare: (merged) => command("cp", [merged.area.at("l0/lost"), merged.area.at("lost")]),
    skip: cowfsOnly,
    notPassthrough: passthrough,
    tree: "none",
    litter: "a crash",
    run: async (merged) => {
      const { area } = merged;
      const image = area.at("up.img");
      await merged.steps(`append flushed more`);
      // What sync(1) does to the upper, without a word to the driver.
      await shell(`sync -f ${merged.upper}`);
      await merged.steps(`
        append lost more
        sh "printf x | dd of=lost bs=1 seek=100 conv=notrunc status=none"
        append synced more
        fd = open synced O_RDWR
        fsync $fd
        append punched more
        sh "fallocate -p -o 4096 -l 4096 punched"
        sh "printf LOWER | dd of=osync conv=notrunc oflag=dsync status=none"
      `);
      await merged.do(
        "sh",
        'python3 -c \'import mmap; f = open("msynced", "r+b"); m = mmap.mmap(f.fileno(), 0); m[0:5] = b"LOWER"; m.flush()\'',
      );
      expectEqual(merged, "unsynced", await unsynced(merged), "/flushed /lost");
      // The journal is committed, the data of others stays in memory: then the disk is as it is.
      await shell(
        `dd if=/dev/zero of=${area.at("up/other")} count=1 conv=fsync status=none; cp ${image} ${area.at("crash.img")}`,
      );
      await merged.unmount();
      await shell(
        `umount ${area.at("up")}; cp ${area.at("crash.img")} ${image}; mount -o loop ${image} ${area.at("up")}`,
      );
      await shell(
        `for f in lost flushed; do
           cd ${merged.upper}; n=trusted.overlay.cowfs.pending
           setfattr -n $n -v "$(getfattr --only-values -n $n $f | sed -E 's/[0-9a-f-]{36} /00000000-0000-0000-0000-000000000000 /')" $f
         done`,
      );
      const hole = await shell(`stat -c %b ${merged.upper}/lost`);
      expectEqual(merged, "the data was not on the disk", Number(hole.trim()) < 100 ? "yes" : "no", "yes");
      await merged.mount();
      await merged.steps(`
        sh "cmp lost ${area.at("lost")} && stat -c %s lost" -> "0 200000"
        cat synced -> lowermore
        cat flushed -> lowermore
        cat osync -> LOWER
        sh "head -c 8192 punched | tail -c 4096 | tr -d '\\\\0' | wc -c; stat -c %s punched" -> "0 0\\n20004"
        cat msynced -> LOWER
        append lost more
        sh "tail -c 4 lost; head -c 200000 lost | cmp - ${area.at("lost")}" -> "0 more"
      `);
      await merged.unmount();
      expectEqual(merged, "unsynced after an unmount", await unsynced(merged), "");
    },
  },
  {
    name: "the marks go after a while, and nobody sees that",
    lowers: [Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`d/f${index}`, `${index}`]))],
    upperPlace: "ext4:64M",
    skip: cowfsOnly,
    notPassthrough: passthrough,
    run: async (merged) => {
      await merged.do("sh", "for f in d/f[0-9]*; do printf more >> $f; done");
      const look = "stat -c '%n %s %y %z' d/*; cat d/*";
      const before = await merged.do("sh", look);
      await settled(merged);
      await command("sh", ["-c", "echo 2 > /proc/sys/vm/drop_caches"]);
      expectEqual(merged, "attributes", await merged.do("sh", look), before);
    },
  },
  {
    name: "with fsync=strict a copy is synced before it is used",
    lowers: [{ f: "lower", big }],
    options: { cowfs: ["-o", "fsync=strict"] },
    skip: cowfsOnly,
    run: async (merged) => {
      await merged.steps(`
        append f more
        append big end
      `);
      expectEqual(merged, "unsynced", await unsynced(merged), "");
    },
  },
]);
