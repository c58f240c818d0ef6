import { expect, test } from "vitest";
import { needsWhole } from "./bundle.js";

const whole = (...words: string[]): boolean => needsWhole(["node", "main.js", ...words]);

test.each([
  ["mount", "--lower", "l", "--upper", "u", "m"],
  ["--launched", "mount.fuse.cowfs", "/", "overlay", "/m", "-o", "lowerdir=/l"],
  ["--driver", "/m"],
  ["umount", "-l", "/m"],
  ["mounts", "--json"],
])("mounts alone: %s %s %s %s %s", (...words) => {
  expect(whole(...words.filter((word) => word !== undefined))).toBe(false);
});

test.each([
  ["mount", "--image", "x", "m"],
  ["mount", "--lower", "l", "-fv", "a:/b", "m"],
  ["mount", "--lower", "l", "-va:/b", "m"],
  ["mount", "--mount=type=tmpfs,target=/t", "m"],
  ["mount", "--tmpfs", "/t", "m"],
  ["mount", "--volumes-from", "c", "m"],
  ["mount", "--help"],
  ["--launched", "cowfs", "/", "-h", "-o", "x"],
  ["--monitor", "id"],
  ["--layer-thread"],
  ["run", "x"],
  ["--help"],
  [],
])("everything: %s %s %s", (...words) => {
  expect(whole(...words.filter((word) => word !== undefined))).toBe(true);
});
