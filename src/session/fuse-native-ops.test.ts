/** The operations of the transport fuse-native, called as the package calls them, without a mount. */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { EPERM } from "../errno.js";
import { S_IFREG } from "../layer/stat.js";
import { O_APPEND, O_RDONLY, O_RDWR } from "../native/constants.js";
import { Bench, cat } from "../union/testing.js";
import { PackageOperations } from "./fuse-native-ops.js";

let bench: Bench;
afterEach(() => {
  spawnSync("chattr", ["-R", "-f", "-ia", bench.root]);
  bench.close();
});

/** Calls an operation: its result, or what it yields if that is a number. */
function packageCalls(b: Bench): (name: string, ...args: unknown[]) => number {
  const operations = new PackageOperations(b.u);
  return (name, ...args) => {
    let result = 1;
    const call = operations[name as keyof PackageOperations] as (...all: unknown[]) => void;
    call.call(operations, ...args, (error: number, value?: unknown) => {
      result = error === 0 && typeof value === "number" ? value : error;
    });
    return result;
  };
}

test("what is immutable or may only grow is so here too", () => {
  const b = new Bench([{ f: "lower", other: "other", "dir/x": "x", grows: "lower" }], {});
  bench = b;
  b.change(() => {
    for (const [flag, path] of [
      ["+i", "f"],
      ["+a", "grows"],
      ["+i", "dir"],
    ] as const) {
      execFileSync("chattr", [flag, join(b.lowers[0] as string, path)]);
    }
  });
  const call = packageCalls(b);
  const data = Buffer.from("more");
  expect(call("open", "/f", O_RDWR)).toBe(-EPERM);
  expect(call("open", "/grows", O_RDWR)).toBe(-EPERM);
  expect(readdirSync(b.upper)).toEqual([]);
  for (const [name, ...args] of [
    ["truncate", "/f", 0],
    ["truncate", "/grows", 0],
    ["chmod", "/f", 0o600],
    ["chown", "/grows", 1, 1],
    ["utimens", "/f", 1, 1],
    ["unlink", "/f"],
    ["unlink", "/dir/x"],
    ["rename", "/f", "/g"],
    ["rename", "/other", "/f"],
    ["link", "/f", "/g"],
    ["setxattr", "/f", "user.a", data, 0, 0],
    ["mkdir", "/dir/n", 0o755],
    ["create", "/dir/n", 0o644],
    ["symlink", "t", "/dir/n"],
    ["mknod", "/dir/n", S_IFREG | 0o644, 0],
    ["write", "/f", 0, data, 4, 0],
    ["write", "/grows", 0, data, 4, 0],
  ] as const) {
    expect(call(name, ...args), `${name} ${args.join(" ")}`).toBe(-EPERM);
  }
  const handle = call("open", "/grows", O_RDWR | O_APPEND);
  expect(handle).toBeGreaterThan(0);
  expect(call("write", "/grows", handle, data, 4, 5)).toBe(4);
  expect(call("write", "/grows", handle, data, 4, 5)).toBe(-EPERM);
  expect(call("release", "/grows", handle)).toBe(0);
  expect(cat(b, "grows")).toBe("lowermore");
  expect(call("open", "/f", O_RDONLY)).toBeGreaterThan(0);
});
