import type { Command } from "commander";
import { addIncomingCommands } from "./incoming.js";
import { addStoredImageCommands } from "./stored-commands.js";

/** Declares the commands on images; what they do is loaded when they run. `finish` takes the exit code. */
export function addImageCommands(program: Command, finish: (code: number) => void): void {
  const image = program
    .command("image")
    .summary("images and their layers")
    .description("Images: layers and how they are run.");
  addIncomingCommands(image, finish);
  addStoredImageCommands(image, finish);
}
