import type { Command } from "commander";
import { addContainerCommands } from "./container/commands.js";
import { addImageCommands } from "./image/commands.js";
import { addSystemCommands } from "./system/commands.js";
import { addVolumeCommands } from "./volume/commands.js";

/** Adds all commands that work on the data root. `finish` takes the exit code of the one that runs. */
export function addStoreCommands(program: Command, finish: (code: number) => void): void {
  addImageCommands(program, finish);
  addContainerCommands(program, finish);
  addVolumeCommands(program, finish);
  addSystemCommands(program, finish);
}
