import { expect, test } from "vitest";
import { DetachKeys, usualKeys } from "./detach-keys.js";

/** What comes of pieces that are typed; `!` is the end. */
function typed(list: string, ...pieces: string[]): string {
  const keys = new DetachKeys(list);
  let text = "";
  for (const piece of pieces) {
    const passed = keys.push(Buffer.from(piece, "latin1"));
    if (passed === undefined) return `${text}!`;
    text += passed.toString("latin1");
  }
  return text;
}

test("the keys end it, in one piece or several; others are handed on, also when they begin alike", () => {
  expect(typed(usualKeys, "ab\x10\x11c")).toBe("!");
  expect(typed(usualKeys, "ab", "\x10", "\x11")).toBe("ab!");
  expect(typed(usualKeys, "\x10", "x", "\x10\x10", "y")).toBe("\x10x\x10\x10y");
  expect(typed(usualKeys, "\x10\x10", "\x11")).toBe("\x10!");
  expect(typed("a,a,b", "a", "a", "a", "c", "aab")).toBe("aaac!");
  expect(typed("x", "abc\x10\x11")).toBe("abc\x10\x11");
  expect(typed("ctrl-[,ctrl-\\,~", "\x1b\x1c", "~")).toBe("!");
});

test("keys that are none", () => {
  for (const list of ["", "ctrl-", "ctrl-1", "ab", "a,,b"])
    expect(() => new DetachKeys(list)).toThrow(/takes characters/);
});
