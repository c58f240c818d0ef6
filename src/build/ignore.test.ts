import { describe, expect, it } from "vitest";
import { IgnoreRules } from "./ignore.js";
import { nameMatcher } from "./patterns.js";

/** Which of the paths the rules ignore. */
function ignored(lines: readonly string[], ...paths: string[]): string[] {
  const rules = new IgnoreRules(lines.join("\n"), ".dockerignore");
  return paths.filter((path) => rules.ignores(path));
}

describe(".dockerignore", () => {
  it("means paths from the root, and what is below them", () => {
    expect(ignored(["a", "/b/", "./c/../d"], "a", "a/x", "sub/a", "b", "b/x/y", "d", "c")).toEqual([
      "a",
      "a/x",
      "b",
      "b/x/y",
      "d",
    ]);
  });

  it("knows * ? [ ] and \\, of which none is a slash", () => {
    expect(
      ignored(
        ["*.md", "?x", "[a-c]1", "[^a]2", "\\*y"],
        "a.md",
        "d/a.md",
        "ax",
        "x",
        "b1",
        "d1",
        "b2",
        "a2",
        "*y",
        "zy",
      ),
    ).toEqual([...["a.md", "ax", "b1", "b2", "*y"]]);
  });

  it("knows ** for any directories, or none", () => {
    expect(ignored(["**/x", "a/**/b", "c/**"], "x", "d/e/x", "d/xy", "a/b", "a/1/2/b", "ab", "c", "c/d/e")).toEqual([
      ...["x", "d/e/x", "a/b", "a/1/2/b", "c/d/e"],
    ]);
  });

  it("lets the last line that means a path decide", () => {
    expect(ignored(["*.md", "!README.md"], "a.md", "README.md")).toEqual(["a.md"]);
    expect(ignored(["!README.md", "*.md"], "README.md")).toEqual(["README.md"]);
    expect(ignored(["dir", "!dir/keep", "dir/keep/not"], "dir/x", "dir/keep", "dir/keep/y", "dir/keep/not")).toEqual([
      "dir/x",
      "dir/keep/not",
    ]);
    expect(ignored(["*", "!src"], "a", "src", "src/x")).toEqual(["a"]);
  });

  it("passes over comments, blanks and what is empty", () => {
    expect(ignored(["# a", "", "  b  ", "/", "."], "# a", "b", "c")).toEqual(["b"]);
  });

  it("says which line is wrong", () => {
    expect(() => ignored(["a", "[x"], "a")).toThrow(/^\.dockerignore:2: .* not closed/);
    expect(() => ignored(["!"], "a")).toThrow(/^\.dockerignore:1: a pattern must follow/);
    expect(() => ignored(["[b-a]"], "a")).toThrow(/from b to a/);
  });
});

describe("a name's pattern", () => {
  it("takes characters of regular expressions as they are", () => {
    expect(["a.c", "abc", "a+c", "a(c"].filter(nameMatcher("a[.+(]c"))).toEqual(["a.c", "a+c", "a(c"]);
    expect(nameMatcher("arr[[]0].txt")("arr[0].txt")).toBe(true);
    expect(nameMatcher("**")("ab")).toBe(true);
  });
});
