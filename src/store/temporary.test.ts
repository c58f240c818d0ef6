import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openDataRoot } from "./data-root.js";
import { abandonedTemporaries, makeTemporary } from "./temporary.js";

test("a temporary goes with a tree whose paths are longer than the kernel takes", async () => {
  const area = mkdtempSync(join(tmpdir(), "cowfs-temporary-"));
  onTestFinished(() => rmSync(area, { recursive: true, force: true }));
  const root = openDataRoot(area);
  const temporary = await makeTemporary(root, "test");
  const name = "n".repeat(200);
  const script = `i=0; while [ $i -lt 40 ]; do mkdir ${name} && cd -P ./${name} || exit 1; i=$((i + 1)); done; echo x > file`;
  execFileSync("bash", ["-c", script], { cwd: temporary.path });
  expect(await abandonedTemporaries(root)).toEqual([]);
  temporary.dispose();
  expect(existsSync(temporary.path)).toBe(false);
  expect(readdirSync(root.locks).filter((lock) => lock.startsWith("tmp-"))).toEqual([]);
});
