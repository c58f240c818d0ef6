import type { Command } from "commander";
import { print } from "../exit.js";
import { bashScript } from "./bash.js";
import { declarations } from "./declaration.js";
import { fishScript } from "./fish.js";
import { zshScript } from "./zsh.js";

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };

export const shells = Object.keys(scripts);

/** `cowfs completion SHELL`: a script that knows all that the program declares. */
export function completionCommand(program: Command, shell: keyof typeof scripts): number {
  print(scripts[shell](declarations(program)));
  return 0;
}
