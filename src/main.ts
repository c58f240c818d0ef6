#!/usr/bin/env node
/**
 * The entry of the program: loads the bundle with the code that V8 made of it when it was built, which spares compiling.
 * V8 refuses that code where it comes from another version or other flags, and compiles as ever.
 */
import { readFileSync } from "node:fs";
import { Script } from "node:vm";
import { type Bundle, bundleFor } from "./bundle.js";
import type { Entry } from "./entry.js";

/** The file names of the bundles, which hold digests of their content: V8 tells code and source apart by their lengths alone. */
declare const COWFS_BUNDLES: Readonly<Record<Bundle, string>>;

/** False if another bundle is needed. */
function start(bundle: Bundle): Promise<boolean> {
  const path = `${__dirname}/${COWFS_BUNDLES[bundle]}`;
  let cachedData: Buffer | undefined;
  try {
    cachedData = readFileSync(`${path}.cache`);
  } catch {
    // Compiling takes longer, that is all.
  }
  // esbuild writes ASCII, but for comments: bytes need no decoding.
  const script = new Script(readFileSync(path, "latin1"), { filename: path, ...(cachedData && { cachedData }) });
  const load = script.runInThisContext() as (require: NodeJS.Require, __filename: string) => { entry: Entry };
  return load(require, path).entry(process.argv);
}

void start(bundleFor(process.argv)).then((done) => done || start("program"));
