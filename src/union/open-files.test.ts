import { expect, test } from "vitest";
import { ESTALE, ignore } from "../errno.js";
import { O_RDONLY, O_RDWR } from "../native/constants.js";
import { native } from "../native/index.js";
import { forget } from "./ops/forget.js";
import { lookup } from "./ops/lookup.js";
import { openFd, open as openNode, release } from "./ops/open.js";
import { noChange, setattr } from "./ops/setattr.js";
import { unlink } from "./ops/unlink.js";
import { type Bench, type LayerTree, make } from "./testing.js";

const ROOT = 1;

/** The kernel's list of backing files: which of them are open, and which nodes it was told to look at again. */
class Kernel {
  readonly ids = new Set<number>();
  readonly stales: number[] = [];
  private next = 1;
  open(): number {
    this.ids.add(this.next);
    return this.next++;
  }
  close(id: number): void {
    expect(this.ids.delete(id)).toBe(true);
  }
  stale(node: number): void {
    this.stales.push(node);
  }
}

function makeWithKernel(lowers: LayerTree[]): { b: Bench; kernel: Kernel } {
  const b = make(lowers, {});
  const kernel = new Kernel();
  b.u.openFiles.attach(kernel);
  return { b, kernel };
}

function content(fd: number): string {
  const buffer = Buffer.alloc(64);
  return buffer.latin1Slice(0, native.pread(fd, buffer, 0, buffer.length, 0));
}

const sizeOnly = { ...noChange(), size: 1, valid: 1 << 3 };

test("a node that is open has one backing file, until the last one closes it", () => {
  const { b, kernel } = makeWithKernel([{ f: "lower" }]);
  const node = lookup(b.u, ROOT, "f");
  const id = openNode(b.u, node, O_RDONLY, null);
  expect(id).toBeGreaterThan(0);
  expect(openNode(b.u, node, O_RDONLY, null)).toBe(id);
  release(b.u, node);
  expect([...kernel.ids]).toEqual([id]);
  release(b.u, node);
  expect(kernel.ids.size).toBe(0);
  // Nobody has it open: the same node may have the upper's file now.
  expect(openNode(b.u, node, O_RDWR, null)).toBeGreaterThan(id);
  expect(b.u.openFiles.isOld(node)).toBe(false);
});

test("a writer of a lower file that is read gets another row; the old one means it, and goes with its reader", () => {
  const { b, kernel } = makeWithKernel([{ "d/f": "lower", "d/g": "= d/f" }]);
  const directory = lookup(b.u, ROOT, "d");
  const old = lookup(b.u, directory, "f");
  expect(lookup(b.u, directory, "g")).toBe(old);
  expect(openNode(b.u, old, O_RDONLY, null)).toBeGreaterThan(0);
  const shown = [b.u.table.inoLow(old), b.u.table.inoHigh(old)];
  expect(openNode(b.u, old, O_RDWR, null)).toBe(-ESTALE);
  expect(openNode(b.u, old, O_RDONLY, null)).toBe(-ESTALE);
  const next = lookup(b.u, directory, "f");
  expect(next).not.toBe(old);
  expect(lookup(b.u, directory, "g")).toBe(next);
  expect([b.u.table.inoLow(next), b.u.table.inoHigh(next)]).toEqual(shown);
  expect(b.u.stat.nlink).toBe(2);
  expect(b.u.openFiles.current(old)).toBe(next);
  expect(kernel.stales).toContain(old);
  expect([b.u.openFiles.trusts(old), b.u.openFiles.trusts(next)]).toEqual([false, false]);
  expect(openNode(b.u, next, O_RDWR, null)).toBeGreaterThan(0);
  const fd = openFd(b.u, next);
  ignore(native.pwrite(fd, Buffer.from("UPPER"), 0, 5, 0), "seen below");
  expect(content(openFd(b.u, next))).toBe("UPPER");
  expect(content(openFd(b.u, old))).toBe("lower");
  // The kernel gives the successor back, but the old row still needs it.
  release(b.u, next);
  forget(b.u, next, 2);
  expect(b.u.table.isAlive(next)).toBe(true);
  release(b.u, old);
  expect(kernel.ids.size).toBe(0);
  forget(b.u, old, 2);
  expect([b.u.table.isAlive(old), b.u.table.isAlive(next)]).toEqual([false, false]);
});

test("a truncation by name of a file that is read goes to the successor at once", () => {
  const { b } = makeWithKernel([{ f: "lower" }]);
  const old = lookup(b.u, ROOT, "f");
  expect(openNode(b.u, old, O_RDONLY, null)).toBeGreaterThan(0);
  expect(setattr(b.u, old, sizeOnly)).toBe(0);
  expect(b.u.stat.size).toBe(1);
  expect(content(openFd(b.u, old))).toBe("lower");
  expect(content(openFd(b.u, lookup(b.u, ROOT, "f")))).toBe("l");
});

test("a file without a name cannot change its backing", () => {
  const { b } = makeWithKernel([{ f: "lower" }]);
  const node = lookup(b.u, ROOT, "f");
  expect(openNode(b.u, node, O_RDONLY, null)).toBeGreaterThan(0);
  expect(unlink(b.u, ROOT, "f")).toBe(0);
  expect(openNode(b.u, node, O_RDWR, null)).toBe(-ESTALE);
  expect(b.u.table.layer(node)).toBe(1);
  expect(content(openFd(b.u, node))).toBe("lower");
});
