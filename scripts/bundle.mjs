/**
 * Bundles src/main.ts into dist/: one entry and a chunk for each lazily imported command, so that a command loads only
 * what it needs. The addon and fuse-native stay outside of the bundle.
 */
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const dist = join(root, "dist");

rmSync(dist, { recursive: true, force: true });
await build({
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
chmodSync(join(dist, "main.js"), 0o755);
