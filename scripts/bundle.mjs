// @ts-check
/**
 * Bundles src/main.ts into dist/: one entry and a chunk for each lazily imported command, so that a command loads only
 * what it needs. The addon and fuse-native stay outside of the bundle.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const dist = join(root, "dist");

const { outputFiles } = await build({
  write: false,
  absWorkingDir: root,
  entryPoints: { main: "src/main.ts" },
  outdir: dist,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  sourcemap: true,
  external: ["fuse-native", "*.node"],
  define: { COWFS_VERSION: JSON.stringify(version) },
  // Bundled CommonJS packages (pino, commander) call require for Node's own modules.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  logLevel: "warning",
});

// A program that runs meanwhile must find its chunks: the new files come first, the entry last, and only then old ones go.
mkdirSync(dist, { recursive: true });
const written = new Set(outputFiles.map((file) => basename(file.path)));
for (const file of outputFiles.sort(
  (a, b) => Number(a.path.endsWith("/main.js")) - Number(b.path.endsWith("/main.js")),
)) {
  const temporary = `${file.path}.${process.pid}`;
  writeFileSync(temporary, file.contents);
  chmodSync(temporary, basename(file.path) === "main.js" ? 0o755 : 0o644);
  renameSync(temporary, file.path);
}
for (const name of readdirSync(dist))
  if (!written.has(name)) rmSync(join(dist, name), { recursive: true, force: true });
