/** The ways to see the layers merged. Each is mounted fresh for every measurement. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

const cowfs = new URL("../../build/cowfs", import.meta.url).pathname;

/** Runs a program to its end; `good`: the exit codes that are no failure. */
export function run(program, args, good = [0]) {
  const done = spawnSync(program, args, { stdio: ["ignore", "ignore", "pipe"], timeout: 300_000 });
  if (!good.includes(done.status)) {
    throw new Error(`${program} ${args.join(" ")}: ${done.error?.message ?? done.stderr.toString().trim()}`);
  }
}

function onPath(program) {
  return (process.env.PATH ?? "").split(":").some((directory) => existsSync(join(directory, program)));
}

function sleep(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Waits until `done` says so; throws after `seconds`. */
export function waitFor(what, done, seconds = 20) {
  for (const end = Date.now() + seconds * 1000; !done(); sleep(5)) {
    if (Date.now() > end) throw new Error(`${what}: nothing happened for ${seconds} s`);
  }
}

/** Processes of this namespace whose command line contains `text`. */
function pidsOf(text) {
  const found = spawnSync("pgrep", ["-f", text]);
  return found.stdout.toString().trim().split("\n").filter(Boolean).map(Number);
}

class Union {
  /** `place`: a directory of its own on the disk of the layers. */
  constructor(name, place) {
    this.name = name;
    this.place = place;
    this.mountpoint = join(place, "merged");
    this.upper = join(place, "upper");
    this.work = join(place, "work");
    this.log = join(place, "log");
    this.mounted = false;
    this.pid = 0;
    /** Whether it says how many messages of the kernel it answered: `status()`. */
    this.counts = false;
  }
  available() {
    return true;
  }
  /** Empty upper and work directories, nothing mounted. */
  clear() {
    this.unmount();
    rmSync(this.place, { recursive: true, force: true });
    for (const path of [this.mountpoint, this.upper, this.work]) mkdirSync(path, { recursive: true });
  }
  mount(layers) {
    this.start(layers);
    this.adopt();
  }
  /** After `start`. */
  adopt() {
    this.mounted = true;
    this.pid = this.findPid();
  }
  unmount() {
    if (!this.mounted) return;
    run("umount", [this.mountpoint]);
    this.mounted = false;
    const { pid } = this;
    if (pid > 0) waitFor(`${this.name} (pid ${pid}) should end`, () => !existsSync(`/proc/${pid}`));
  }
  /** Unmounts whatever the state of it is: after a failure somebody may still stand in it. */
  abandon() {
    if (this.mounted) spawnSync("umount", ["--lazy", this.mountpoint]);
    this.mounted = false;
  }
  findPid() {
    return 0;
  }
  /** Resident memory of the driver in bytes. */
  residentBytes() {
    const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"));
    return line === null ? 0 : Number(line[1]) * 1024;
  }
}

/** A directory that has everything already. What a workload leaves behind in it, the workload removes. */
class Native extends Union {
  constructor(native) {
    super("native", native);
    this.mountpoint = native;
  }
  clear() {}
  start() {}
  unmount() {}
  abandon() {}
}

class KernelOverlay extends Union {
  /** `extra`: further mount options, each with a comma before it. */
  constructor(name, place, extra = "") {
    super(name, place);
    this.extra = extra;
  }
  available() {
    return (
      readFileSync("/proc/filesystems", "utf8").includes("\toverlay\n") ||
      spawnSync("modprobe", ["overlay"]).status === 0
    );
  }
  start(layers) {
    const options = `lowerdir=${layers.join(":")},upperdir=${this.upper},workdir=${this.work}${this.extra}`;
    run("mount", ["-t", "overlay", "overlay", "-o", options, this.mountpoint]);
  }
}

class FuseOverlayfs extends Union {
  available() {
    return onPath("fuse-overlayfs");
  }
  start(layers) {
    const options = `lowerdir=${layers.join(":")},upperdir=${this.upper},workdir=${this.work}`;
    run("fuse-overlayfs", ["-o", options, this.mountpoint]);
  }
  findPid() {
    return pidsOf(`^fuse-overlayfs .*${this.mountpoint}`)[0] ?? 0;
  }
}

/** unionfs-fuse, whose program is called unionfs. */
class Unionfs extends Union {
  available() {
    return onPath("unionfs");
  }
  start(layers) {
    const branches = [`${this.upper}=RW`, ...layers.map((layer) => `${layer}=RO`)].join(":");
    run("unionfs", ["-o", "cow,allow_other,suid,dev,default_permissions", branches, this.mountpoint]);
  }
  findPid() {
    return pidsOf(`^unionfs .*${this.mountpoint}`)[0] ?? 0;
  }
}

class Cowfs extends Union {
  constructor(name, place, options = []) {
    super(name, place);
    this.options = options;
    this.counts = true;
  }
  /** `logged`: whether it can be asked for its `status()`. */
  start(layers, logged = true) {
    const lower = layers.flatMap((layer) => ["--lower", layer]);
    const places = ["--upper", this.upper, "--work", this.work, ...(logged ? ["--log", this.log] : [])];
    run(cowfs, ["mount", ...lower, ...places, ...this.options, this.mountpoint]);
  }
  findPid() {
    const mounts = JSON.parse(execFileSync(cowfs, ["mounts", "--json"]).toString());
    return mounts.find(({ mountpoint }) => mountpoint === this.mountpoint)?.pid ?? 0;
  }
  /** What the driver says of itself when SIGUSR1 asks. */
  status() {
    const answers = () =>
      existsSync(this.log)
        ? readFileSync(this.log, "utf8")
            .split("\n")
            .filter((line) => line.includes('"msg":"status"'))
        : [];
    const before = answers().length;
    process.kill(this.pid, "SIGUSR1");
    waitFor("the driver should report", () => answers().length > before);
    return JSON.parse(answers()[before]);
  }
}

/** Those that are measured where none are named. */
export const usualDrivers = "native,overlay,fuse-overlayfs,cowfs";

/** Programs that one looks for in vain among the drivers, with the reason. */
const unfit = { mergerfs: "it has no copy-on-write: what lies on a read-only branch cannot be changed" };

/** For each program on PATH that cannot be measured, a line that says why. */
export function remarks() {
  return Object.entries(unfit)
    .filter(([program]) => onPath(program))
    .map(([program, reason]) => `${program} is left out: ${reason}`);
}

/** The drivers by name, in the order of the table. */
export function makeDrivers(base, native) {
  const place = (name) => join(base, name);
  const io = (policy) => new Cowfs(`cowfs-${policy}`, place(`cowfs-${policy}`), ["--io", policy]);
  return [
    new Native(native),
    new KernelOverlay("overlay", place("overlay")),
    new KernelOverlay("overlay-redirect", place("overlay-redirect"), ",redirect_dir=on,metacopy=on"),
    new FuseOverlayfs("fuse-overlayfs", place("fuse-overlayfs")),
    new Unionfs("unionfs", place("unionfs")),
    new Cowfs("cowfs", place("cowfs")),
    new Cowfs("cowfs-asleep", place("cowfs-asleep"), ["-o", "idle_poll=off"]),
    io("cached"),
    io("passthrough"),
  ];
}
