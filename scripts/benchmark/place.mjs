/** Where a workload runs: one driver's merged tree, with ways to run and time real processes in it. */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "./drivers.mjs";
import { dropCaches } from "./quiet.mjs";

const clientProgram = new URL("client.mjs", import.meta.url).pathname;
const patience = 300_000;
const longPatience = 1_200_000;

/** Programs that a workload starts, read back into memory after the caches were dropped: they are not what is measured. */
const programs = [
  "find --version",
  "ls --version",
  "dd --version",
  "sh -c :",
  `'${process.execPath}' '${clientProgram}' idle`,
];

export class Place {
  /**
   * `setting`: what all places have in common: layers, archive, files, lists (files that name files of the tree: `all` of
   * them, `small` ones from everywhere), and scratch, a directory of the benchmark's own.
   */
  constructor(driver, setting) {
    this.driver = driver;
    this.layers = setting.layers;
    this.archive = setting.archive;
    this.lists = setting.lists;
    this.files = setting.files;
    this.scratch = setting.scratch;
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
    return Number(this.answer(...args));
  }
  /** Runs a client that measures many calls; returns quantiles in microseconds. */
  distribution(...args) {
    return JSON.parse(this.answer(...args));
  }
  answer(...args) {
    const done = spawnSync(process.execPath, [clientProgram, ...args.map(String)], { timeout: longPatience });
    if (done.status !== 0) throw new Error(`${this.driver.name}: ${args[0]}: ${done.error?.message ?? done.stderr}`);
    return done.stdout.toString();
  }
  /**
   * Runs a shell command while a client works, until the command has ended; returns what the client measured. The client
   * is told by files: it makes one when it works, and ends when it finds the other.
   */
  beside(client, command) {
    const [ready, stop, answer] = ["ready", "stop", "answer"].map((name) => join(this.scratch, name));
    for (const path of [ready, stop]) rmSync(path, { force: true });
    const program = [process.execPath, clientProgram, ...client, ready, stop].map((word) => `'${word}'`).join(" ");
    this.shell(
      `${program} > '${answer}' & client=$!; while [ ! -e '${ready}' ]; do kill -0 $client || exit; sleep 0.02; done
       ${command}; result=$?; sleep 0.05; touch '${stop}'; wait $client && exit $result`,
    );
    return Number(readFileSync(answer, "utf8"));
  }
  /** Reads what the layers hold into the page cache, so that no disk is measured. */
  warmLayers() {
    const below = this.driver.name === "native" ? [this.root] : this.layers;
    for (const directory of below) run("grep", ["-rqs", "text that no layer holds", directory], [0, 1]);
  }
  /** Makes a directory of the native tree again out of the layers. */
  restore(name) {
    for (const layer of [...this.layers].reverse())
      this.shell(`[ ! -d '${layer}/${name}' ] || cp -a '${layer}/${name}' .`);
  }
  mount() {
    this.driver.mount(this.layers);
  }
  /** Mounts, as a user would, and waits for an answer; returns milliseconds. */
  remount() {
    this.driver.unmount();
    const start = process.hrtime.bigint();
    this.driver.start(this.layers, false);
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
