import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { processStart } from "../native/process.js";
import { removeOldStates } from "./state.js";

test("state files go that a driver has left, not those of drivers that live or of other mounts", () => {
  const directory = mkdtempSync(join(tmpdir(), "cowfs-state-"));
  const state = { pid: process.pid, mountpoint: "/m", lowers: [], options: [], started: "" };
  const start = processStart(process.pid);
  for (const [name, processStart] of [
    ["5.1.json", "of its own"],
    ["5.2.json", "another"],
    ["5.3.json", start],
    ["6.4.json", "another"],
  ]) {
    writeFileSync(join(directory, name as string), JSON.stringify({ ...state, processStart }));
  }
  writeFileSync(join(directory, "5.5.json"), "damaged");
  removeOldStates(join(directory, "5.1.json"), 5);
  expect(readdirSync(directory).sort()).toEqual(["5.1.json", "5.3.json", "6.4.json"]);
  rmSync(directory, { recursive: true });
});
