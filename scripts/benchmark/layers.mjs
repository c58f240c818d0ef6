/** The lower layers of the benchmark: real trees of this machine, files made up where it has none, all on one disk. */

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const smallFiles = 5000;
const leastFiles = 12_000;
export const bigFileMiB = 128;

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

/** Regular files below a directory, relative to it, sorted: the same on every run. */
export function regularFiles(root) {
  const found = execFileSync("find", [".", "-type", "f", "-printf", "%P\\n"], { cwd: root, maxBuffer: 1 << 28 });
  return found.toString("latin1").trimEnd().split("\n").sort();
}

/**
 * Makes the layers below `base`: returns their paths, topmost first, a native directory of the merged tree, and the list
 * of its files. The topmost layer changes a file in twenty of the others, so that most directories are merged ones.
 */
export function makeLayers(base, say) {
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
  add("small", (path) => {
    writeSmallFiles(join(path, "small"), smallFiles);
    writeSources(join(path, "src"), 30);
    writeFileSync(join(path, "big"), Buffer.alloc(bigFileMiB << 20, "cowfs"));
  });
  const sofar = layers.reduce((sum, layer) => sum + regularFiles(layer).length, 0);
  if (sofar < leastFiles) {
    add("filler", (path) => {
      for (let i = 0; i * 100 < leastFiles - sofar; i++) writeSmallFiles(join(path, "filler", `dir-${i}`), 100);
    });
  }
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

/** A tar archive of `count` files of the merged tree. */
export function makeArchive(path, native, files, count) {
  const chosen = files.filter((name) => /^(include|python|npm|filler)\//.test(name)).slice(0, count);
  execFileSync("tar", ["-cf", path, "-C", native, "-T", "-"], { input: chosen.join("\n") });
  return chosen.length;
}

/** A tree of `count` small files, a hundred to a directory. */
export function makeBigTree(path, count) {
  for (let d = 0; d * 100 < count; d++) {
    const directory = join(path, `group-${Math.floor(d / 100)}`, `dir-${d % 100}`);
    mkdirSync(directory, { recursive: true });
    for (let i = 0; i < 100; i++) writeFileSync(join(directory, `a-file-with-number-${i}.txt`), "x");
  }
}
