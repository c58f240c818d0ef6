// @ts-check
/**
 * Builds dist/: main.js (and main.cjs, the same), which loads one of the bundles, those (everything, what mounts alone need, what a thread needs that builds layers), and the code that V8 makes of them
 * (see src/main.ts, src/bundle.ts).
 * The addon and fuse-native stay outside; so does pino, which few mounts need.
 */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const dist = join(root, "dist");

const elsewhere = {
  name: "elsewhere",
  /** @param {import("esbuild").PluginBuild} builder */
  setup(builder) {
    builder.onResolve({ filter: /^pino$/ }, () => ({ path: "./pino.js", external: true }));
    // commander wants it for sub-commands that are programs of their own, which there are none of: it takes 2 ms to load.
    builder.onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
      importer.includes("/node_modules/commander/") ? { path: "nothing", namespace: "nothing" } : undefined,
    );
    builder.onLoad({ filter: /^/, namespace: "nothing" }, () => ({ contents: "" }));
  },
};

/**
 * One CommonJS file, as text.
 * @param {string} entry
 * @param {import("esbuild").BuildOptions} options
 */
async function bundle(entry, options) {
  const { outputFiles = [] } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outdir: dist,
    bundle: true,
    format: "cjs",
    platform: "node",
    target: "node20",
    // What is imported when it is needed becomes a call of require: the bundle is no module.
    supported: { "dynamic-import": false },
    legalComments: "none",
    // Constants become literals: without this each is a variable of the module, which V8 must load and check at each use.
    minifySyntax: true,
    logLevel: "warning",
    ...options,
    write: false,
  });
  return /** @type {import("esbuild").OutputFile} */ (outputFiles[0]).text;
}

/**
 * Everything compiled, as V8 keeps it: what is compiled only when it is first called would be missing otherwise.
 * @param {string} source
 */
function compiled(source) {
  setFlagsFromString("--no-lazy");
  const script = new Script(source);
  setFlagsFromString("--lazy");
  return script.createCachedData();
}

/** Where everything else begins than mounting, and than ending mounts: see src/bundle.ts. */
const beyondMounting = /\/(store-commands-all|mount-assembled|container\/monitor|volume\/end-uses|umount)\.js$/;
const beyondMounts =
  /\/(store-commands-all|mount-assembled|container\/monitor|volume\/end-uses|cli\/driver|mount)\.js$/;

/** @param {RegExp} beyond */
const without = (beyond) => ({
  name: "without",
  /** @param {import("esbuild").PluginBuild} builder */
  setup(builder) {
    builder.onResolve({ filter: beyond }, () => ({ path: "beyond", namespace: "beyond" }));
    builder.onLoad({ filter: /^/, namespace: "beyond" }, () => ({
      contents: 'throw new Error("a mistake in src/bundle.ts: this command line needs more than this bundle has")',
    }));
  },
});

/**
 * The program as a function of `require` and its own file name: name, text.
 * @param {string} prefix
 * @param {string} entry
 * @param {import("esbuild").Plugin[]} plugins
 * @returns {Promise<[string, string]>}
 */
async function program(prefix, entry, plugins) {
  const text = await bundle(entry, {
    external: ["fuse-native", "*.node"],
    define: {
      COWFS_VERSION: JSON.stringify(version),
      "import.meta.filename": "__filename",
      "import.meta.dirname": "__dirname",
    },
    banner: {
      js: '(function(require,__filename){const module={exports:{}},exports=module.exports,__dirname=require("node:path").dirname(__filename);',
    },
    footer: { js: "return module.exports})" },
    plugins,
  });
  return [`${prefix}-${createHash("sha256").update(text).digest("hex").slice(0, 16)}.js`, text];
}

const [wholeName, whole] = await program("program", "src/entry.ts", [elsewhere]);
const [mountName, mounting] = await program("mount", "src/mount-entry.ts", [without(beyondMounting), elsewhere]);
const [mountsName, mounts] = await program("mounts", "src/entry.ts", [without(beyondMounts), elsewhere]);
const [threadName, thread] = await program("layer-thread", "src/cli/layer-thread.ts", [elsewhere]);
const define = {
  COWFS_BUNDLES: JSON.stringify({
    program: wholeName,
    mount: mountName,
    mounts: mountsName,
    "layer-thread": threadName,
  }),
};
// The same text that main.js reads, by the byte.
const cached = (/** @type {string} */ text) => compiled(Buffer.from(text).toString("latin1"));

const main = await bundle("src/main.ts", { define });

// A program that runs meanwhile must find what it loads: the new files come first, the entry last, and only then old ones go.
const files = new Map(
  /** @type {[string, string | Buffer][]} */ ([
    ["package.json", '{ "type": "commonjs" }\n'],
    ["pino.js", await bundle("node_modules/pino/pino.js", {})],
    [wholeName, whole],
    [`${wholeName}.cache`, cached(whole)],
    [mountName, mounting],
    [`${mountName}.cache`, cached(mounting)],
    [mountsName, mounts],
    [`${mountsName}.cache`, cached(mounts)],
    [threadName, thread],
    [`${threadName}.cache`, cached(thread)],
    // The launcher starts the second one: for the first, Node looks for a package.json, and loads what reads it, for 1 ms.
    ["main.js", main],
    ["main.cjs", main],
  ]),
);
mkdirSync(dist, { recursive: true });
for (const [file, contents] of files) {
  const temporary = join(dist, `${file}.${process.pid}`);
  writeFileSync(temporary, contents);
  chmodSync(temporary, file.startsWith("main.") ? 0o755 : 0o644);
  renameSync(temporary, join(dist, file));
}
for (const old of readdirSync(dist))
  if (!files.has(basename(old))) rmSync(join(dist, old), { recursive: true, force: true });
