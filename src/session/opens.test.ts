import { describe, expect, it } from "vitest";
import { OpenFiles } from "../union/open-files.js";
import { Opens } from "./opens.js";

describe("opens are messages", () => {
  it("never with cached, always with passthrough", () => {
    for (const [io, silent] of [
      ["cached", true],
      ["passthrough", false],
    ] as const) {
      const opens = new Opens(io, new OpenFiles());
      for (let i = 0; i < 10_000; i++) opens.note(0);
      expect(opens.silent).toBe(silent);
    }
  });

  it("with auto until they have brought nothing many times, and no backing file is open", () => {
    const files = new OpenFiles();
    const opens = new Opens("auto", files);
    for (let i = 0; i < 511; i++) opens.note(0);
    expect(opens.silent).toBe(false);
    files.add(1, 7, true);
    opens.note(7);
    opens.note(0);
    expect(opens.silent).toBe(false);
    files.remove(1);
    opens.note(0);
    expect(opens.silent).toBe(true);
  });

  it("with auto for as long as one in sixteen brings a backing file", () => {
    const opens = new Opens("auto", new OpenFiles());
    for (let i = 0; i < 10_000; i++) opens.note(i % 16 === 0 ? 7 : 0);
    expect(opens.silent).toBe(false);
  });
});
