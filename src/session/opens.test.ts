import { beforeEach, describe, expect, it } from "vitest";
import { OpenFiles } from "../union/open-files.js";
import type { Notifier } from "./notify.js";
import { Opens } from "./opens.js";

let asked: number[] = [];
const notifier: Notifier = {
  invalInode: () => 0,
  invalEntry: () => 0,
  delete: () => 0,
  prune: (nodes) => {
    asked = [...nodes];
    return 0;
  },
};

beforeEach(() => {
  asked = [];
});

function vain(opens: Opens, count: number): void {
  for (let i = 0; i < count; i++) opens.note(0);
}

describe("opens are messages", () => {
  it("never with cached, always with passthrough", () => {
    for (const [io, silent] of [
      ["cached", true],
      ["passthrough", false],
    ] as const) {
      const opens = new Opens(io, new OpenFiles(), notifier);
      vain(opens, 10_000);
      expect(opens.silent).toBe(silent);
    }
  });

  it("with auto until they have brought nothing many times", () => {
    const opens = new Opens("auto", new OpenFiles(), notifier);
    vain(opens, 511);
    expect(opens.silent).toBe(false);
    vain(opens, 1);
    expect(opens.silent).toBe(true);
  });

  it("with auto as long as a file is known that had a backing, since that may still be mapped; the kernel is asked to forget it", () => {
    const files = new OpenFiles();
    const opens = new Opens("auto", files, notifier);
    files.add(5, 7, true);
    opens.note(7);
    files.remove(5);
    vain(opens, 511);
    expect(asked).toEqual([]);
    vain(opens, 1);
    expect(asked).toEqual([5]);
    expect(opens.silent).toBe(false);
    files.forget(5);
    vain(opens, 1);
    expect(opens.silent).toBe(true);
  });

  it("with auto while a lower file is open with a backing; a mapping of it that is left does no harm", () => {
    const files = new OpenFiles();
    const opens = new Opens("auto", files, notifier);
    files.add(5, 7, false);
    opens.note(7);
    vain(opens, 600);
    expect(opens.silent).toBe(false);
    expect(files.remove(5)).toBe(-1);
    vain(opens, 1);
    expect(opens.silent).toBe(true);
  });

  it("with auto while a row has a successor; the kernel is asked to forget it", () => {
    const files = new OpenFiles();
    const opens = new Opens("auto", files, notifier);
    files.succeed(5, 6);
    vain(opens, 512);
    expect(asked).toEqual([5]);
    expect(opens.silent).toBe(false);
    expect(files.forget(5)).toBe(6);
    vain(opens, 1);
    expect(opens.silent).toBe(true);
  });

  it("with auto for as long as one in sixteen brings a backing file", () => {
    const opens = new Opens("auto", new OpenFiles(), notifier);
    for (let i = 0; i < 10_000; i++) opens.note(i % 16 === 0 ? 7 : 0);
    expect(opens.silent).toBe(false);
  });
});
