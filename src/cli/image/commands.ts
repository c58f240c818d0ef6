import type { Command } from "commander";

/** Declares the commands on images; what they do is loaded when they run. `finish` takes the exit code. */
export function addImageCommands(_program: Command, _finish: (code: number) => void): void {}
