import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeDirectories } from "./make-directories.js";

test("directories are made, once", () => {
  const at = mkdtempSync(join(tmpdir(), "cowfs-make-"));
  try {
    makeDirectories(join(at, "a/b/c"), 0o700);
    makeDirectories(join(at, "a/b/c"), 0o755);
    expect(statSync(join(at, "a/b/c")).mode & 0o777).toBe(0o700);
  } finally {
    rmSync(at, { recursive: true });
  }
});

test("where nothing can be made it ends", () => {
  expect(() => makeDirectories("/proc/none/of/these", 0o755)).toThrow("ENOENT");
});
