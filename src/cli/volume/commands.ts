import type { Command } from "commander";

/** Declares the commands on volumes; what they do is loaded when they run. `finish` takes the exit code. */
export function addVolumeCommands(_program: Command, _finish: (code: number) => void): void {}
