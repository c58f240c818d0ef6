import { expect, test } from "vitest";
import { absolutePath, argumentBytes, resolvedPath } from "./arguments.js";
import { commandWords } from "./command-words.js";
import { withHint } from "./docker-words.js";
import { oneLine, systemReason } from "./exit.js";
import { path, surrogateText } from "./mounts.js";

test.each([
  ["a sub-command", ["mount", "--lower", "a"], ["mount", "--lower", "a"]],
  [
    "mount.fuse3",
    ["overlay", "/m", "-o", "lowerdir=/l"],
    ["mount", "--as-helper", "overlay", "/m", "-o", "lowerdir=/l"],
  ],
  ["podman", ["-o", "lowerdir=/l", "/m"], ["mount", "--as-helper", "-o", "lowerdir=/l", "/m"]],
  ["an attached value", ["-f", "-olowerdir=/l", "/m"], ["mount", "--as-helper", "-f", "-olowerdir=/l", "/m"]],
  [
    "a source named as a command",
    ["umount", "/m", "-o", "lowerdir=/l"],
    ["mount", "--as-helper", "umount", "/m", "-o", "lowerdir=/l"],
  ],
  ["a source named mount", ["mount", "/m", "-o", "lowerdir=/l"], ["mount", "/m", "-o", "lowerdir=/l"]],
  ["podman info", ["--version"], ["--version"]],
  ["-h", ["-h"], ["-h"]],
  ["another root", ["--root", "/r", "info", "-o", "x"], ["--root", "/r", "info", "-o", "x"]],
  ["a wrong command", ["frobnicate"], ["frobnicate"]],
  ["nothing", [], []],
])("the command of %s", (_, args, words) => {
  expect(commandWords(args, "cowfs")).toEqual(words);
});

test("as a helper of mount(8)", () => {
  expect(commandWords(["src", "/m", "-s", "-o", "lowerdir=/l"], "mount.fuse.cowfs")).toEqual([
    "mount",
    "--as-helper",
    "src",
    "/m",
    "-s",
    "-o",
    "lowerdir=/l",
  ]);
  expect(commandWords(["src", "/m", "-fnv", "-o", "lowerdir=/l"], "mount.cowfs")).toBeNull();
});

test("arguments are bytes", () => {
  const argv = ["/usr/bin/node", "/x/main.js", "mount", "\ufffd"];
  expect(argumentBytes(argv, () => "node\0--flag\0main.js\0mount\0\xff\0")).toEqual(["mount", "\xff"]);
  expect(argumentBytes(["node", "main.js", "\ufffd", ""], () => "node\0main.js\0\xfe\0\0")).toEqual(["\xfe", ""]);
  expect(argumentBytes(["node", "main.js", "\u00e9", ""])).toEqual(["\xc3\xa9", ""]);
  expect(argumentBytes(["node", "main.js"])).toEqual([]);
});

test("absolute paths", () => {
  expect(absolutePath("a/./b//", "/cwd")).toBe("/cwd/a/b");
  expect(absolutePath("/", "/cwd")).toBe("/");
  expect(absolutePath("../x", "/")).toBe("/../x");
});

test("paths that are not text", () => {
  // Two whole sequences, then one cut short, an overlong one, a surrogate, and what is above Unicode.
  const bytes = "/\xc3\xa9\xf0\x9f\x90\xae/\xe9/\xe2\x82/\xc0\xaf/\xed\xa0\x80/\xf5/\n\x7f";
  expect(path(bytes)).toBe("/\u00e9\u{1f42e}/\\xe9/\\xe2\\x82/\\xc0\\xaf/\\xed\\xa0\\x80/\\xf5/\\x0a\\x7f");
  const text = surrogateText(bytes);
  expect(JSON.stringify(text)).toBe(
    '"/\u00e9\u{1f42e}/\\udce9/\\udce2\\udc82/\\udcc0\\udcaf/\\udced\\udca0\\udc80/\\udcf5/\\n\x7f"',
  );
  const back = [...text].map((c) =>
    /[\udc80-\udcff]/.test(c) ? Buffer.from([c.charCodeAt(0) - 0xdc00]) : Buffer.from(c),
  );
  expect(Buffer.concat(back).toString("latin1")).toBe(bytes);
});

test("a path that does not exist is resolved as far as it does", () => {
  expect(resolvedPath("/not-there")).toBe("/not-there");
  expect(resolvedPath("/proc/self/cwd/not-there")).toBe(`${process.cwd()}/not-there`);
  expect(resolvedPath("/not-there/nor-this")).toBe("/not-there/nor-this");
});

test("messages are one line, and name a path once", () => {
  expect(oneLine("unknown command 'mont'\n(Did you mean mount?)\n")).toBe(
    "unknown command 'mont' (Did you mean mount?)",
  );
  expect(systemReason(new Error("ENOENT: no such file or directory, open '/a, b/x'"))).toBe(
    "ENOENT: no such file or directory",
  );
  expect(systemReason(new Error("EISDIR: illegal operation, read"))).toBe("EISDIR: illegal operation");
});

test.each([
  ["cowfs: unknown command 'rmi' (Did you mean rm?)", "cowfs: unknown command 'rmi': it is cowfs image rm"],
  ["cowfs: unknown option '--memory=1g'", "cowfs: unknown option '--memory=1g': no limits are set"],
  ["cowfs: unknown command 'toString'", "cowfs: unknown command 'toString'"],
  ["cowfs: unknown command 'mont' (Did you mean mount?)", "cowfs: unknown command 'mont' (Did you mean mount?)"],
])("what is another word elsewhere: %s", (message, hinted) => {
  expect(withHint(message)).toBe(hinted);
});
