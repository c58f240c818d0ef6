/** What is refused rather than served or destroyed. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { EIO } from "../errno.js";
import { readFd, writeFd } from "./ops/data.js";
import { Bench, make } from "./testing.js";

test("a metacopy, whose data another layer holds, is EIO and not zeros", () => {
  const b = make([{ f: "", "d/x": "" }]);
  b.change(() => {
    const file = join(b.lowers[0] as string, "f");
    execFileSync("truncate", ["-s", "5000", file]);
    execFileSync("setfattr", ["-n", "trusted.overlay.metacopy", file]);
  });
  const node = b.node("f");
  expect(readFd(b.u, node)).toBe(-EIO);
  expect(writeFd(b.u, node)).toBe(-EIO);
  expect(b.messages.join("\n")).toContain("metacopy");
});

test("a work directory that holds somebody's files is refused, and they stay", () => {
  const b = new Bench([{ f: "" }]);
  const mine = join(b.work, "work", "mine");
  expect(() =>
    b.change(() => {
      mkdirSync(join(b.work, "src"));
      writeFileSync(mine, "work of years");
    }),
  ).toThrow(/is not empty, it holds src/);
  expect(readFileSync(mine, "utf8")).toBe("work of years");
});
