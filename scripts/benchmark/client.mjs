/**
 * A process that works on a mount and prints the milliseconds it took: for calls too quick to start a program for each.
 * node client.mjs WORK ARGUMENT…
 */
import {
  accessSync,
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { bigTreeDirectory, bigTreeName, filesPerDirectory } from "./names.mjs";

/** A fixed sequence of numbers from 0 to 1, so that every driver gets the same "random" offsets. */
function sequence() {
  let state = 12345;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 4294967296;
  };
}

/** The first `count` files of a list, or all. */
function pathsOf(root, list, count) {
  const names = readFileSync(list, "latin1").split("\n").filter(Boolean);
  if (names.length < Number(count ?? 1)) throw new Error(`${list} has only ${names.length} names`);
  return names
    .slice(0, count === undefined ? names.length : Number(count))
    .map((name) => Buffer.from(join(root, name), "latin1"));
}

const buffer = Buffer.alloc(65536);
const smallFile = 65536;
/** Directories are visited in another order than they were made in; a prime, so that each gets its turn. */
const stride = 7919;
/** So many files are read before stalls count: until then the client itself is being compiled. */
const warmUp = 1000;

function readWhole(path) {
  const fd = openSync(path, "r");
  while (readSync(fd, buffer, 0, buffer.length, null) > 0);
  closeSync(fd);
}

const works = {
  /** lstat of the first `count` files of a list. */
  stat(root, list, count) {
    const paths = pathsOf(root, list, count);
    return () => {
      for (const path of paths) lstatSync(path);
    };
  },
  /** Names that do not exist, as programs look for libraries and modules: each name in each of the files' directories. */
  missing(root, list, count) {
    const paths = pathsOf(root, list, count).map((path) => Buffer.concat([path, Buffer.from(".missing")]));
    return () => {
      for (const path of paths) lstatSync(path, { throwIfNoEntry: false });
    };
  },
  /** open, read to the end, close. */
  read(root, list, count) {
    const paths = pathsOf(root, list, count);
    return () => {
      for (const path of paths) readWhole(path);
    };
  },
  /**
   * lstat and read of one small file after the other, until the file `stop` is there. The answer is not how long it took:
   * it is how long the slowest of them took.
   */
  longestStall(root, list, ready, stop) {
    const paths = pathsOf(root, list);
    return () => {
      let longest = 0;
      for (let i = 0; !existsSync(stop); i++) {
        const path = paths[i % paths.length];
        const start = performance.now();
        if (lstatSync(path).size < smallFile) readWhole(path);
        const elapsed = performance.now() - start;
        if (i === warmUp) writeFileSync(ready, "");
        if (i > warmUp && elapsed > longest) longest = elapsed;
      }
      return longest;
    };
  },
  /**
   * Asks whether each file of a big tree is there, standing in its directory, so that the kernel asks for the one name.
   * Answers how long they took in microseconds.
   */
  revalidate(root, count) {
    const times = new Float64Array(Number(count));
    const names = Array.from({ length: filesPerDirectory }, (_, i) => bigTreeName(i));
    const directories = Number(count) / filesPerDirectory;
    return () => {
      let at = 0;
      for (let d = 0; d < directories; d++) {
        process.chdir(join(root, bigTreeDirectory((d * stride) % directories)));
        for (const name of names) {
          const start = performance.now();
          accessSync(name);
          times[at++] = (performance.now() - start) * 1000;
        }
      }
      times.sort();
      const quantile = (part) => Number(times[Math.ceil(times.length * part) - 1].toFixed(1));
      return JSON.stringify({ p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999), max: quantile(1) });
    };
  },
  /** Nothing: brings the program into memory. */
  idle() {
    return () => {};
  },
  /** `count` writes of 4 KiB at random pages of a file of 64 MiB, one after the other. */
  randomWrite(path, count) {
    const next = sequence();
    buffer.fill("w");
    const fd = openSync(path, "r+");
    return () => {
      for (let i = 0; i < Number(count); i++) writeSync(fd, buffer, 0, 4096, Math.floor(next() * 16384) * 4096);
      closeSync(fd);
    };
  },
  /** The same, reading. */
  randomRead(path, count) {
    const next = sequence();
    const fd = openSync(path, "r");
    return () => {
      for (let i = 0; i < Number(count); i++) readSync(fd, buffer, 0, 4096, Math.floor(next() * 16384) * 4096);
      closeSync(fd);
    };
  },
  /** Opens files and keeps them open until its input ends; says so with the time. */
  hold(root, list, count) {
    const paths = pathsOf(root, list, count);
    process.stdin.resume();
    return () => {
      for (const path of paths) readSync(openSync(path, "r"), buffer, 0, 1, 0);
    };
  },
};

const [work, ...args] = process.argv.slice(2);
const act = works[work](...args);
const start = process.hrtime.bigint();
const answer = act();
console.log(answer ?? Number(process.hrtime.bigint() - start) / 1e6);
