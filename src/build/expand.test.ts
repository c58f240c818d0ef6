// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of a Dockerfile
import { describe, expect, it } from "vitest";
import { expand, expandText, splitWords } from "./expand.js";

const values: Readonly<Record<string, string>> = { a: "A", empty: "", two: "x y" };
const lookup = (name: string): string | undefined => values[name];
const read = (word: string, escapeChar = "\\"): string => expand(word, lookup, escapeChar);

describe("expand", () => {
  it.each([
    ["plain", "plain"],
    ["$a", "A"],
    ["${a}b", "Ab"],
    ["$ab", ""],
    ["$none", ""],
    ["x$", "x$"],
    ["$-", "$-"],
    ["${none:-y}", "y"],
    ["${empty:-y}", "y"],
    ["${empty-y}", ""],
    ["${a:-y}", "A"],
    ["${a:+y}", "y"],
    ["${empty:+y}", ""],
    ["${empty+y}", "y"],
    ["${none:+y}", ""],
    ["${none:-${a}z}", "Az"],
    ["${none:-'}'}", "}"],
    ["${a:?gone}", "A"],
    ["\\$a", "$a"],
    ["\\a", "a"],
    ["x\\", "x\\"],
    ["'$a \\x'", "$a \\x"],
    ['"$a \\x \\" \\$a \\\\"', 'A \\x " $a \\'],
    ["a\"b\"'c'", "abc"],
    ["$two", "x y"],
  ])("%s is %s", (word, expected) => {
    expect(read(word)).toBe(expected);
  });

  it("takes another escape character", () => {
    expect(read("`$a c:\\x", "`")).toBe("$a c:\\x");
  });

  it.each([
    ["${a", /} or one of/],
    ["${a:-b", /} is missing/],
    ["${}", /a name must follow/],
    ["${a#x}", /} or one of .* # stands there/],
    ["${none:?why}", /none is not set: why/],
    ["'a", /the quote ' is not closed/],
    ['"a', /the quote " is not closed/],
  ])("%s is refused", (word, message) => {
    expect(() => read(word)).toThrow(message);
  });

  it("leaves quotes of a text alone", () => {
    expect(expandText(`'$a' "\\$a" \\n`, lookup, "\\")).toBe(`'A' "$a" \\n`);
  });
});

describe("words", () => {
  it("are parted by blanks outside of quotes", () => {
    expect(splitWords(`a=1  b="x y" c='d e' f\\ g`, "\\")).toEqual(["a=1", 'b="x y"', "c='d e'", "f\\ g"]);
    expect(() => splitWords("'a", "\\")).toThrow(/not closed/);
  });
});
