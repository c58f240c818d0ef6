/**
 * The storage drivers of containers, side by side: what the first write to a big file and reading small files take in a container, and what twenty
 * containers take of disk and memory. Prints a table in Markdown.
 */
import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const cowfs = new URL("../../build/cowfs", import.meta.url).pathname;
const kinds = [
  { name: "cowfs", driver: "cowfs", type: "ext4" },
  { name: "overlay2", driver: "overlay2", type: "ext4" },
  { name: "btrfs", driver: "btrfs", type: "btrfs" },
  { name: "vfs on ext4", driver: "vfs", type: "ext4" },
  { name: "vfs on xfs (reflinks)", driver: "vfs", type: "xfs" },
];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    containers: { type: "string", default: "20" },
    files: { type: "string", default: "5000" },
    big: { type: "string", default: "256" },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`usage: scripts/bench-drivers [options]   (root)
  --rounds N       how often each time is measured; the median counts (5)
  --containers N   how many containers there are for disk and memory (20)
  --files N        small files of the image, of 4 KiB (5000)
  --big MIB        the big file of the image (256)`);
  process.exit(0);
}
const [rounds, containers, files, big] = [values.rounds, values.containers, values.files, values.big].map(Number);

const scratch = mkdtempSync("/var/tmp/cowfs-bench-");
const run = (program, args, options = {}) =>
  execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], ...options });
const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;

/** An image of busybox, a big file and many small ones. */
function makeTree() {
  const tree = join(scratch, "tree");
  mkdirSync(join(tree, "bin"), { recursive: true });
  copyFileSync("/bin/busybox", join(tree, "bin/busybox"));
  for (const name of ["sh", "cat", "find", "xargs", "sleep", "date", "dd", "sync"])
    symlinkSync("busybox", join(tree, "bin", name));
  for (let index = 0; index < files; index++) {
    const directory = join(tree, "small", String(index % 100));
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, String(index)), Buffer.alloc(4096, index));
  }
  run("sh", ["-c", `head -c ${big}M /dev/urandom >'${join(tree, "big")}'`]);
  return tree;
}

/** A data root on a new file system in a file; calls \`work\` with a function that runs cowfs on it, and its path. */
function onFileSystem(type, work) {
  const image = join(scratch, "image");
  const at = join(scratch, "mnt");
  mkdirSync(at, { recursive: true });
  run("truncate", ["-s", `${Math.max(4, Math.ceil((big * (containers + 4)) / 1024) + 2)}G`, image]);
  run(`mkfs.${type}`, ["-q", image], { stdio: "ignore" });
  run("mount", ["-o", "loop", image, at]);
  const call = (...words) => run(cowfs, ["--root", join(at, "root"), ...words]);
  try {
    return work(call, at);
  } finally {
    const ids = call("ps", "-aq").split("\n").filter(Boolean);
    if (ids.length > 0) call("rm", "-f", ...ids);
    run("umount", [at]);
    rmSync(image);
  }
}

/** What a file system has in use, once everything is on the disk. */
function used(at) {
  run("sync", ["-f", at]);
  const { bsize, blocks, bfree } = statfsSync(at);
  return (blocks - bfree) * bsize;
}

/** What the processes of this namespace have of memory (each its share of what several map), in bytes: all but this one, and of these the drivers of cowfs. */
function memory() {
  let [all, drivers] = [0, 0];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
      const share = Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1]) * 1024;
      all += share;
      if (words.includes("--driver")) drivers += share;
    } catch {
      // It ended meanwhile.
    }
  }
  return { all, drivers };
}

/** Milliseconds that a command takes in a container that runs, by the clock outside; starting it is in that, and is the same for all. */
function timed(call, ...words) {
  const start = process.hrtime.bigint();
  call("exec", ...words);
  return Number(process.hrtime.bigint() - start) / 1e6;
}

function measure({ driver, type }, tree) {
  return onFileSystem(type, (call, at) => {
    call("image", "import", "-c", 'CMD ["sleep","100000"]', tree, "base");
    const start = process.hrtime.bigint();
    call("create", "--driver", driver, "base");
    const first = Number(process.hrtime.bigint() - start) / 1e6;
    const [creates, writes, reads, empty] = [[], [], [], []];
    for (let round = 0; round < rounds; round++) {
      const name = `m${round}`;
      const begin = process.hrtime.bigint();
      call("create", "--driver", driver, "--name", name, "base");
      creates.push(Number(process.hrtime.bigint() - begin) / 1e6);
      call("start", name);
      run("sync", ["-f", at]);
      empty.push(timed(call, name, "/bin/busybox", "true"));
      writes.push(timed(call, name, "sh", "-c", "echo x | dd of=/big conv=notrunc bs=2 count=1 2>/dev/null"));
      call("stop", "-t", "0", name);
      call("start", name);
      writeFileSync("/proc/sys/vm/drop_caches", "3");
      timed(call, name, "/bin/busybox", "true");
      reads.push(timed(call, name, "sh", "-c", "find /small -type f | xargs cat >/dev/null"));
      call("rm", "-f", name);
    }
    const call0 = median(empty);
    const [disk, before] = [used(at), memory()];
    const names = Array.from({ length: containers }, (_, index) => `c${index}`);
    for (const name of names) call("create", "--driver", driver, "--name", name, "base");
    call("start", ...names);
    const { all, drivers } = memory();
    return {
      first,
      create: median(creates),
      write: median(writes) - call0,
      read: median(reads) - call0,
      disk: used(at) - disk,
      memory: (all - before.all) / containers,
      drivers: drivers / containers,
    };
  });
}

try {
  const tree = makeTree();
  console.log(
    `A file of ${big} MiB and ${files} of 4 KiB; medians of ${rounds}; load ${readFileSync("/proc/loadavg", "utf8").split(" ")[0]}.\n`,
  );
  console.log(
    "| driver | first container | further ones | first write to the big file | reading the small files, cold | disk of " +
      `${containers} containers | memory for each that runs | of that its driver |`,
  );
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- |");
  for (const kind of kinds) {
    const { first, create, write, read, disk, memory: all, drivers } = measure(kind, tree);
    const ms = (value) => `${value.toFixed(0)} ms`;
    console.log(
      `| ${kind.name} | ${ms(first)} | ${ms(create)} | ${ms(write)} | ${ms(read)} | ${mib(disk)} | ${mib(all)} | ${mib(drivers)} |`,
    );
  }
} finally {
  spawnSync("umount", [join(scratch, "mnt")], { stdio: "ignore" });
  rmSync(scratch, { recursive: true, force: true });
}
