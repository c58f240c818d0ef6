import { Argument, type Command } from "commander";
import { addInspectOptions } from "../output/options.js";

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
    finish(infoCommand(command, options));
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
