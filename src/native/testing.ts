/** A temporary directory for each test of the addon's system calls, and the descriptors opened in it. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { ignore } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { AT_FDCWD, O_DIRECTORY, O_PATH } from "./constants.js";
import { native } from "./index.js";

export const none = new Uint8Array(0);
export const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
export const text = (data: Uint8Array, length: number): string =>
  Buffer.from(data.subarray(0, length)).toString("latin1");

/** The directory of the running test, and its O_PATH descriptor. */
export let path: string;
export let dir: number;
let opened: number[];

/** A result that must be a success; descriptors that come this way are closed after the test. */
export function ok(result: number): number {
  expect(result).toBeGreaterThanOrEqual(0);
  return result;
}
export function fd(result: number): number {
  opened.push(ok(result));
  return result;
}
export function stat(dirfd: number, name: string): Stat {
  const out = new Stat();
  expect(native.statx(dirfd, name, STATX_ALL, out.bytes)).toBe(0);
  return out;
}
export const openPath = (name: string): number => fd(native.open(dir, name, O_PATH, 0));

/** Makes a directory for each test of the file that calls this. */
export function eachInDirectory(): void {
  beforeEach(() => {
    path = fs.mkdtempSync(join(tmpdir(), "cowfs-native-"));
    opened = [];
    dir = fd(native.open(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0));
  });
  afterEach(() => {
    for (const each of opened) ignore(native.close(each), "a test may have closed it");
    fs.rmSync(path, { recursive: true, force: true });
  });
}
