import { Argument, type Command } from "commander";
import { addInspectOptions, collect } from "../output/options.js";
import type { CheckOptions } from "./check.js";
import type { DfOptions } from "./df.js";
import type { SystemPruneOptions } from "./prune.js";

/** Declares the commands on the data root as a whole; what they do is loaded when they run. `finish` takes the exit code. */
export function addSystemCommands(program: Command, finish: (code: number) => void): void {
  const info = program
    .command("info")
    .summary("what this machine has and offers")
    .description(
      "Says what cowfs is here: version, data root, what lies in it, container runtimes, and what the kernel offers.",
    );
  addInspectOptions(info).action(async (options: { format?: string; json?: boolean }, command: Command) => {
    const { infoCommand } = await import("./info.js");
    finish(await infoCommand(command, options));
  });

  const system = program
    .command("system")
    .summary("the data root as a whole")
    .description("The data root as a whole: what it weighs, what can go, what is wrong.");

  system
    .command("df")
    .summary("what images, containers and volumes weigh")
    .description(
      "Shows what images, containers and volumes weigh, and what of that a prune would free. A layer counts once.",
    )
    .option("-v, --verbose", "each of them; of images what they share")
    .option("--format <template>", "table (default), json (a line each), a Go template, or 'table TEMPLATE'")
    .option("--json", "for machines: sizes in bytes")
    .action(async (options: DfOptions, command: Command) => {
      const { dfCommand } = await import("./df.js");
      finish(await dfCommand(command, options));
    });

  system
    .command("prune")
    .summary("remove what nothing uses")
    .description(
      "Removes stopped containers, images without a name that no container is made of, and what else is asked for.",
    )
    .option("-a, --all", "images with names, too")
    .option("--volumes", "anonymous volumes that no container uses, too")
    .option("-f, --force", "do not ask")
    .option("--filter <filter>", "only what matches: until=, label=, label!=; may be repeated", collect)
    .action(async (options: SystemPruneOptions, command: Command) => {
      const { systemPruneCommand } = await import("./prune.js");
      finish(await systemPruneCommand(command, options));
    });

  system
    .command("check")
    .summary("find and mend what a crash left")
    .description(
      "Looks for what commands that were killed have left, and for what is damaged. Others may be at work meanwhile.",
    )
    .option("--repair", "mend what can be mended; nothing that a user wrote is removed")
    .option("--json", "an array of objects, for machines")
    .action(async (options: CheckOptions, command: Command) => {
      const { checkCommand } = await import("./check.js");
      finish(await checkCommand(command, options));
    });

  program
    .command("completion")
    .summary("a completion script for a shell")
    .description("Prints a script that completes commands, options and the names of images, containers and volumes.")
    .addArgument(new Argument("<shell>", "the shell").choices(["bash", "zsh", "fish"]))
    .addHelpText(
      "after",
      `
  source <(cowfs completion bash)           this bash; for all to come into /etc/bash_completion.d/cowfs
  source <(cowfs completion zsh)            this zsh; for all to come as _cowfs into a directory of $fpath
  cowfs completion fish | source            this fish; for all to come into ~/.config/fish/completions/cowfs.fish`,
    )
    .action(async (shell: "bash" | "zsh" | "fish") => {
      const { completionCommand } = await import("../completion/command.js");
      finish(completionCommand(program, shell));
    });
}
