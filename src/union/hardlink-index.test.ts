import { expect, test, vi } from "vitest";
import { ENOSPC } from "../errno.js";
import { native } from "../native/index.js";
import { getattr } from "./ops/getattr.js";
import { content, make, put } from "./testing.js";

test("a crash before the count of links is written does not lose it", () => {
  const b = make([{ a: "lower", b: "= a", c: "= a" }]);
  const real = native.setxattr;
  vi.spyOn(native, "setxattr").mockImplementation((d, n, attr, v, f) => {
    if (attr === "trusted.overlay.nlink") throw new Error("crash");
    return real(d, n, attr, v, f);
  });
  const node = b.node("a");
  expect(() => put(b, node, "W")).toThrow("crash");
  vi.restoreAllMocks();
  b.reopen();
  expect(getattr(b.u, b.node("b"))).toBe(0);
  expect(b.u.stat.nlink).toBe(3);
});

test("a copy whose count of links cannot be written is made anew", () => {
  const b = make([{ a: "lower", b: "= a", c: "= a" }]);
  const real = native.setxattr;
  vi.spyOn(native, "setxattr").mockImplementation((d, n, attr, v, f) =>
    attr === "trusted.overlay.nlink" ? -ENOSPC : real(d, n, attr, v, f),
  );
  const node = b.node("a");
  expect(put(b, node, "W")).toBe(-ENOSPC);
  vi.restoreAllMocks();
  expect(put(b, node, "W")).toBe(1);
  expect(content(b, b.node("b"))).toBe("Wower");
});
