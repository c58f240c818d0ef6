import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkSources } from "./check-imports.mjs";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "cowfs-check-"));
  write("src/native/index.ts", "export function close(fd: number): number { return fd; }\n");
  write("src/errno.ts", "export function ignore(_result: number, _why: string): void {}\n");
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function findings(path: string, text: string): string[] {
  write(path, text);
  return checkSources(root).map(({ file, line, message }) => `${file}:${line}: ${message}`);
}

test("an import that points up is reported with its line", () => {
  write("src/session/session.ts", "export const x = 1;\n");
  expect(findings("src/union/a.ts", '\nimport { x } from "../session/session.js";\nexport const y = x;\n')).toEqual([
    "src/union/a.ts:2: union must not import session (../session/session.js): imports point down only",
  ]);
});

test("a dynamic import counts, and the union does not know its own operations", () => {
  write("src/union/ops/b.ts", "export const x = 1;\n");
  expect(findings("src/union/a.ts", 'export const y = () => import("./ops/b.js");\n')[0]).toContain(
    "union must not import union/ops",
  );
});

test("imports that point down are fine", () => {
  write("src/layer/a.ts", 'import { close } from "../native/index.js";\nexport const x = close(1);\n');
  expect(findings("src/union/ops/b.ts", 'import { x } from "../../layer/a.js";\nexport const y = x;\n')).toEqual([]);
});

test("protocol touches no file system", () => {
  expect(
    findings("src/protocol/a.ts", 'import { readFileSync } from "node:fs";\nexport const x = readFileSync;\n')[0],
  ).toContain("must not import node:fs");
});

const call = 'import { close } from "../native/index.js";\nimport { ignore } from "../errno.js";\n';

test.each([
  ["close(1);"],
  ["void close(1);"],
  ["Date.now() > 1 && close(1);"],
  ["Date.now() > 1 ? close(1) : 0;"],
  ["[1].forEach((fd) => close(fd));"],
])("a dropped result is reported: %s", (statement) => {
  expect(
    findings("src/layer/a.ts", `${call}export function f(): void {\n${statement}\n}\nexport { ignore };\n`),
  ).toEqual(["src/layer/a.ts:4: the result of close() is dropped: bind it or use ignore(…)"]);
});

test.each([
  ['ignore(close(1), "the descriptor is gone anyway");'],
  ["let n = 0; n = close(1); n++; [n].push(n);"],
  ["if (close(1) < 0) throw new Error();"],
])("a used result is not: %s", (statement) => {
  expect(
    findings("src/layer/a.ts", `${call}export function f(): void {\n${statement}\n}\nexport { ignore };\n`),
  ).toEqual([]);
});

test("the command line may drop results, but not causes", () => {
  const text = `${call}close(1);\ntry { close(2); } catch (error) { throw new Error(String(error)); }\nexport { ignore };\n`;
  expect(findings("src/cli/a.ts", text)).toEqual([
    "src/cli/a.ts:4: an exception thrown in a catch clause must name its { cause }",
  ]);
  expect(findings("src/cli/a.ts", text.replace("String(error))", '"no", { cause: error })'))).toEqual([]);
});

test.each([
  "1n",
  "BigInt(1)",
  "Buffer.alloc(8).readBigUInt64LE()",
  "0 as unknown as bigint",
])("no BigInt: %s", (expression) => {
  expect(findings("src/union/a.ts", `export const x = ${expression};\n`)[0]).toContain("src/union/a.ts:1: BigInt");
});
