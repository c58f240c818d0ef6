/** The lower layers of the benchmark: real trees of this machine, files made up where it has none, all on one disk. */

import { execFileSync } from "node:child_process";
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { bigTreeDirectory, bigTreeName, filesPerDirectory } from "./names.mjs";

/** Real files that there must be besides those made up. */
const leastReal = 6000;
/** Big enough for a real source, and still a small file. */
const smallestBig = 65536;

function python() {
  const versions = readdirSync("/usr/lib").filter((name) => /^python3\.\d+$/.test(name));
  return versions.map((name) => join("/usr/lib", name)).find((path) => existsSync(join(path, "os.py")));
}

/** Trees that most machines have; `at` is the name in the merged root. */
function sources() {
  return [
    { at: "npm", from: join(dirname(process.execPath), "../lib/node_modules/npm") },
    { at: "python", from: python() },
    { at: "include", from: "/usr/include" },
  ].filter(({ from }) => from !== undefined && existsSync(from));
}

function writeSmallFiles(directory, count) {
  mkdirSync(directory, { recursive: true });
  for (let i = 0; i < count; i++) {
    writeFileSync(join(directory, `file-${String(i).padStart(5, "0")}.txt`), `${i}\n`.repeat(1 + ((i * 7919) % 700)));
  }
}

/** `count` translation units that include much and do little. */
function writeSources(directory, count) {
  mkdirSync(directory, { recursive: true });
  const headers = [
    "stdio",
    "stdlib",
    "string",
    "unistd",
    "sys/stat",
    "sys/socket",
    "netdb",
    "pthread",
    "signal",
    "math",
  ];
  const includes = headers.map((name) => `#include <${name}.h>`).join("\n");
  for (let i = 0; i < count; i++) {
    writeFileSync(
      join(directory, `unit${i}.c`),
      `${includes}\nint unit${i}(int a) { return a * ${i} + (int)getpid(); }\n`,
    );
  }
}

/** `count` small files, a hundred to a directory. */
function writeTree(path, count) {
  for (let left = count, i = 0; left > 0; left -= filesPerDirectory, i++) {
    writeSmallFiles(join(path, `dir-${i}`), Math.min(left, filesPerDirectory));
  }
}

/** Regular files below a directory, relative to it, sorted: the same on every run. */
export function regularFiles(root) {
  const found = execFileSync("find", [".", "-type", "f", "-printf", "%P\\n"], { cwd: root, maxBuffer: 1 << 28 });
  return found.toString("latin1").trimEnd().split("\n").sort();
}

/**
 * Makes the layers below `base`: returns their paths, topmost first, a native directory of the merged tree, and the list
 * of its files. The topmost layer changes a file in twenty of the others, so that most directories are merged ones.
 */
export function makeLayers(base, sizes, say) {
  const layers = [];
  const add = (name, fill) => {
    const path = join(base, "layers", name);
    mkdirSync(path, { recursive: true });
    fill(path);
    layers.unshift(path);
  };
  for (const { at, from } of sources()) {
    say(`layer ${at}: ${from}`);
    add(at, (path) =>
      cpSync(from, join(path, at), { recursive: true, verbatimSymlinks: true, preserveTimestamps: true }),
    );
  }
  const real = layers.reduce((sum, layer) => sum + regularFiles(layer).length, 0);
  if (real < leastReal) add("filler", (path) => writeTree(join(path, "filler"), leastReal - real));
  add("small", (path) => {
    writeSmallFiles(join(path, "small"), sizes.flat);
    writeTree(join(path, "moved"), sizes.renamed);
    writeTree(join(path, "modes"), sizes.modes);
    writeTree(join(path, "gone"), sizes.gone);
    writeSources(join(path, "src"), sizes.units);
    writeFileSync(join(path, "big"), Buffer.alloc(sizes.bigMiB << 20, "cowfs"));
  });
  const below = [...layers];
  add("patch", (path) => {
    for (const layer of below) {
      const files = regularFiles(layer).filter((name) => name !== "big" && !name.startsWith("small/"));
      for (let i = 0; i < files.length; i += 20) {
        const to = join(path, files[i]);
        mkdirSync(dirname(to), { recursive: true });
        writeFileSync(to, Buffer.concat([readFileSync(join(layer, files[i])), Buffer.from("\n")]));
      }
    }
  });
  const native = join(base, "native");
  for (const layer of [...layers].reverse()) cpSync(layer, native, { recursive: true, verbatimSymlinks: true });
  const files = regularFiles(native);
  say(`${layers.length} layers, ${files.length} files merged`);
  return { layers, native, files };
}

/** `count` of the items, evenly from everywhere. */
export function spread(items, count) {
  if (items.length < count) throw new Error(`there are only ${items.length} files, ${count} are needed`);
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]);
}

export function smallFiles(native, files) {
  return files.filter((name) => statSync(Buffer.from(join(native, name), "latin1")).size < smallestBig);
}

/** A tar archive of `count` files of the merged tree, of neighbours as in a real one. */
export function makeArchive(path, native, files, count) {
  const chosen = files.filter((name) => /^(include|python|npm|filler)\//.test(name));
  execFileSync("tar", ["-cf", path, "-C", native, "-T", "-"], {
    input: Buffer.from(chosen.slice(0, count).join("\n"), "latin1"),
  });
}

/** A tree of `count` files with this content, a hundred to a directory. */
export function makeBigTree(path, count, content) {
  const names = Array.from({ length: filesPerDirectory }, (_, i) => bigTreeName(i));
  for (let d = 0; d * filesPerDirectory < count; d++) {
    const directory = join(path, bigTreeDirectory(d));
    mkdirSync(directory, { recursive: true });
    for (const name of names) {
      const fd = openSync(join(directory, name), "w");
      if (content !== "") writeSync(fd, content);
      closeSync(fd);
    }
  }
}
