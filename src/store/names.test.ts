import { expect, test } from "vitest";
import { checkName, digestHex, imageName, isIdPrefix, shortId } from "./names.js";

test.each([
  ["busybox", "busybox:latest"],
  ["a/b_c:1.0", "a/b_c:1.0"],
  ["localhost:5000/x", "localhost:5000/x:latest"],
  ["registry.example:443/a/b:t", "registry.example:443/a/b:t"],
  ["docker.io/library/x", "x:latest"],
  ["index.docker.io/a/x:1", "a/x:1"],
])("the image name %s", (text, name) => {
  expect(imageName(text)).toBe(name);
});

test.each([
  "",
  "Upper",
  "a//b",
  "/a",
  "a/",
  "a:",
  "a:-x",
  "a b",
  "..",
  "a:b:c",
  "sha256:abc",
  "ab".repeat(32),
])("the image name %j is refused", (text) => {
  expect(() => imageName(text)).toThrow(/invalid/);
});

test("ids and digests", () => {
  const digest = `sha256:${"ab".repeat(32)}`;
  expect(digestHex(digest)).toBe("ab".repeat(32));
  expect(() => digestHex("sha256:../../x")).toThrow(/no sha256 digest/);
  expect(shortId(digest)).toBe("abababababab");
  expect(isIdPrefix("abc")).toBe(true);
  expect(isIdPrefix("xyz")).toBe(false);
});

test("names of containers and volumes", () => {
  checkName("db_1.x-y", "container");
  for (const name of ["a", "-ab", ".ab", "a/b", "", "ä2"])
    expect(() => checkName(name, "container")).toThrow(/allowed/);
  expect(() => checkName("/data", "volume")).toThrow(/absolute path/);
});
