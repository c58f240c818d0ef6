/** Files made by orders, here and on a thread. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { O_CREAT, O_DIRECTORY, O_PATH, O_WRONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { FileOrders } from "./file-orders.js";

const content = Buffer.from("0123456789".repeat(30_000));
const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;
const attributes = { mode: 0o640, uid, gid, mtime: -2, mtimeNsec: 500_000_000, xattrs: undefined };
const nothing = { owner: false, mode: false };

describe.each([
  ["here", false],
  ["on a thread", true],
])("orders carried out %s", (_, apart) => {
  let path: string;
  let dir: number;
  let orders: FileOrders;
  beforeEach(() => {
    path = fs.mkdtempSync(join(tmpdir(), "cowfs-orders-"));
    dir = native.openFollow(path, O_PATH | O_DIRECTORY);
    orders = new FileOrders(apart);
    orders.from(content);
  });
  afterEach(() => {
    orders.close();
    expect(native.close(dir)).toBe(0);
    fs.rmSync(path, { recursive: true });
  });

  it("make files with their content, mode and time, more than a batch has", () => {
    for (let n = 0; n < 700; n++) orders.make(dir, `file-${n}`, `d/file-${n}`, n, 10, attributes, nothing);
    orders.make(dir, "empty", "empty", 0, 0, { ...attributes, mode: 0o6777 }, { owner: true, mode: true });
    orders.settle();
    expect(fs.readdirSync(path).length).toBe(701);
    for (let n = 0; n < 700; n++) {
      expect(fs.readFileSync(join(path, `file-${n}`), "utf8")).toBe(content.toString("utf8", n, n + 10));
    }
    const stat = fs.statSync(join(path, "file-9"));
    expect([stat.mode & 0o7777, stat.mtimeMs]).toEqual([0o640, -1500]);
    expect(fs.statSync(join(path, "empty")).mode & 0o7777).toBe(0o6777);
  });

  it("write to a file that is open, in parts, and close it", () => {
    const before = fs.readdirSync("/proc/self/fd").length;
    const fd = native.openAs(dir, "big", O_WRONLY | O_CREAT, 0o600, uid, gid);
    orders.write(fd, "big", 0, 200_000, 0);
    orders.write(fd, "big", 5, 10, 300_000);
    orders.finish(fd, "big", attributes, { owner: false, mode: true });
    orders.settle();
    const made = fs.readFileSync(join(path, "big"));
    expect(made.length).toBe(300_010);
    expect(made.subarray(0, 200_000).equals(content.subarray(0, 200_000))).toBe(true);
    expect(made.toString("latin1", 300_000)).toBe("5678901234");
    expect(fs.statSync(join(path, "big")).mode & 0o7777).toBe(0o640);
    expect(fs.readdirSync("/proc/self/fd").length).toBe(before);
  });

  it("tell when their content is used no more", async () => {
    const done: number[] = [];
    orders.flush(() => done.push(0));
    expect(done).toEqual([0]);
    for (const n of [1, 2, 3]) {
      orders.from(content);
      orders.make(dir, `file-${n}`, `file-${n}`, 0, 10, attributes, nothing);
      orders.flush(() => done.push(n));
    }
    await expect.poll(() => done, { timeout: 60_000 }).toEqual([0, 1, 2, 3]);
  });

  it("that fail are told by the first of them, and files stay closed", () => {
    const before = fs.readdirSync("/proc/self/fd").length;
    fs.symlinkSync("elsewhere", join(path, "there"));
    orders.make(dir, "fine", "d/fine", 0, 10, attributes, nothing);
    orders.make(dir, "there", "d/there", 0, 10, attributes, nothing);
    const readOnly = native.open(dir, ".", O_PATH | O_DIRECTORY, 0);
    orders.write(readOnly, "d/other", 0, 10, 0);
    orders.finish(readOnly, "d/other", attributes, nothing);
    expect(() => orders.settle()).toThrow('"d/there" of a layer cannot be made: EEXIST');
    expect(() => orders.flush(() => {})).toThrow("EEXIST");
    expect(fs.readFileSync(join(path, "fine"), "latin1")).toBe("0123456789");
    expect(fs.existsSync(join(path, "elsewhere"))).toBe(false);
    expect(fs.readdirSync("/proc/self/fd").length).toBe(before);
  });
});
