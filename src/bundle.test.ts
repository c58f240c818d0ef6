import { expect, test } from "vitest";
import { type Bundle, bundleFor } from "./bundle.js";

const bundle = (...words: string[]): Bundle => bundleFor(["node", "main.js", ...words]);

test.each([
  ["mount", "--lower", "l", "--upper", "u", "m"],
  ["--launched", "mount.fuse.cowfs", "/", "overlay", "/m", "-o", "lowerdir=/l"],
  ["--driver", "/m"],
])("mounts alone: %s %s %s %s %s", (...words) => {
  expect(bundle(...words.filter((word) => word !== undefined))).toBe("mount");
});

test.each([
  ["umount", "-l", "/m"],
  ["unmount", "/m"],
  ["mounts", "--json"],
])("what ends and lists mounts: %s %s", (...words) => {
  expect(bundle(...words.filter((word) => word !== undefined))).toBe("mounts");
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
  ["run", "x"],
  ["--help"],
  [],
])("everything: %s %s %s", (...words) => {
  expect(bundle(...words.filter((word) => word !== undefined))).toBe("program");
});

test("a thread that builds layers has its own", () => {
  expect(bundle("--layer-thread")).toBe("layer-thread");
});
