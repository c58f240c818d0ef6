import { afterEach, expect, test, vi } from "vitest";
import { S_IFREG } from "../layer/stat.js";
import { native } from "../native/index.js";
import { readFd, write } from "./ops/data.js";
import { forget } from "./ops/forget.js";
import { mknod } from "./ops/mknod.js";
import { opendir } from "./ops/opendir.js";
import { type DirSink, readdir } from "./ops/readdir.js";
import { Bench, type LayerTree } from "./testing.js";

const cred = { uid: 0, gid: 0 };
let bench: Bench | undefined;
afterEach(() => {
  vi.restoreAllMocks();
  bench?.close();
  bench = undefined;
});

function make(lowers: LayerTree[], upper?: LayerTree): Bench {
  bench = new Bench(lowers, upper);
  return bench;
}

function content(b: Bench, node: number): string {
  const fd = readFd(b.u, node);
  if (fd < 0) return `error ${fd}`;
  const buffer = Buffer.alloc(64);
  return buffer.latin1Slice(0, native.pread(fd, buffer, 0, buffer.length, 0));
}

function put(b: Bench, node: number, text: string): number {
  return write(b.u, node, Buffer.from(text), 0, text.length, 0, false, false);
}

const file = (b: Bench, parent: number, name: string) => mknod(b.u, parent, name, S_IFREG | 0o644, 0, 0, 0, cred);

test("an entry that was copied up and forgotten is not looked up below by an older listing", () => {
  const b = make([{ "d/f": "lower", "d/s/x": "1" }], { "d/": "" });
  const d = b.node("d");
  const h = opendir(b.u, d);
  const nodes = new Map<string, number>();
  const sink: DirSink = { fits: () => true, add: (name, _t, _l, _h, _n, node) => void nodes.set(name, node) };
  expect(readdir(b.u, h, 0, true, sink)).toBe(0);
  const f = nodes.get("f") as number;
  const s = nodes.get("s") as number;
  expect(put(b, f, "UPPER")).toBe(5);
  expect(file(b, s, "new")).toBeGreaterThan(0);
  forget(b.u, b.node("d/s/new"), 2);
  forget(b.u, f, 10);
  forget(b.u, s, 10);
  expect(b.u.table.isAlive(f)).toBe(false);
  expect(b.u.table.isAlive(s)).toBe(false);
  expect(readdir(b.u, h, 0, true, sink)).toBe(0);
  expect(content(b, nodes.get("f") as number)).toBe("UPPER");
  expect(b.list("d/s")).toEqual(["new", "x"]);
});
