/** Where a workload runs: one driver's merged tree, with ways to run and time real processes in it. */
import { spawnSync } from "node:child_process";
import { run } from "./drivers.mjs";
import { dropCaches } from "./quiet.mjs";

const clientProgram = new URL("client.mjs", import.meta.url).pathname;
const patience = 300_000;

/** Programs that a workload starts, read back into memory after the caches were dropped: they are not what is measured. */
const programs = ["find --version", "ls --version", "sh -c :"];

export class Place {
  /** `setting`: what all places have in common: layers, archive, list (a file), files. */
  constructor(driver, setting) {
    this.driver = driver;
    this.layers = setting.layers;
    this.archive = setting.archive;
    this.list = setting.list;
    this.files = setting.files;
    this.root = driver.mountpoint;
  }
  get fileCount() {
    return this.files.length;
  }
  countBelow(prefix) {
    return this.files.filter((name) => name.startsWith(prefix)).length;
  }
  /** Runs a shell command in the merged root; returns milliseconds. */
  shell(command) {
    const start = process.hrtime.bigint();
    const done = spawnSync("sh", ["-c", command], {
      cwd: this.root,
      stdio: ["ignore", "ignore", "pipe"],
      timeout: patience,
    });
    const elapsed = Number(process.hrtime.bigint() - start) / 1e6;
    if (done.status !== 0) throw new Error(`${this.driver.name}: ${command}: ${done.error?.message ?? done.stderr}`);
    return elapsed;
  }
  /** Runs a client; returns the milliseconds it measured itself. */
  client(...args) {
    const done = spawnSync(process.execPath, [clientProgram, ...args.map(String)], { timeout: patience });
    if (done.status !== 0) throw new Error(`${this.driver.name}: ${args[0]}: ${done.error?.message ?? done.stderr}`);
    return Number(done.stdout.toString());
  }
  mount() {
    this.driver.mount(this.layers);
  }
  /** Mounts and waits for an answer; returns milliseconds. */
  remount() {
    this.driver.unmount();
    const start = process.hrtime.bigint();
    this.driver.start(this.layers);
    run("stat", [this.root]);
    const elapsed = Number(process.hrtime.bigint() - start) / 1e6;
    this.driver.adopt();
    return elapsed;
  }
  /** Mounted anew, with nothing in the kernel's caches but the programs of the measurement. */
  cool() {
    this.driver.unmount();
    run("sync", []);
    dropCaches();
    this.mount();
    for (const program of programs) run("sh", ["-c", `${program} > /dev/null`]);
  }
}
