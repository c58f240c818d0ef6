import type { Command } from "commander";

/** Declares the commands on the data root as a whole; what they do is loaded when they run. `finish` takes the exit code. */
export function addSystemCommands(_program: Command, _finish: (code: number) => void): void {}
