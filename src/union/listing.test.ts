import { expect, test } from "vitest";
import { S_IFREG } from "../layer/stat.js";
import { forget } from "./ops/forget.js";
import { mknod } from "./ops/mknod.js";
import { opendir } from "./ops/opendir.js";
import { type DirSink, readdir } from "./ops/readdir.js";
import { type Bench, content, make, put } from "./testing.js";

const cred = { uid: 0, gid: 0 };
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
