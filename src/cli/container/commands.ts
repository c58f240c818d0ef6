import { type Command, Option } from "commander";
import { orderly } from "../orderly.js";
import { addInspectOptions, addListOptions, collect } from "../output/options.js";
import { rootOf } from "../root-option.js";
import type { AttachWords } from "./attach.js";
import type { CommitWords } from "./commit.js";
import type { CopyWords } from "./cp.js";
import type { ExecWords } from "./exec.js";
import type { LogsWords } from "./logs.js";
import type { PsOptions } from "./ps.js";
import type { RemoveWords } from "./remove.js";
import type { RunWords, StartWords } from "./run.js";

/** Declares the commands on containers; what they do is loaded when they run. `finish` takes the exit code. */
export function addContainerCommands(program: Command, finish: (code: number) => void): void {
  addRunning(program, finish);
  addLooking(program, finish);
}

/** The options that `create` and `run` share. */
function addCreateOptions(command: Command): Command {
  return command
    .helpOption("--help", "print this help")
    .passThroughOptions()
    .argument("<image>", "a name, or an id")
    .argument("[command...]", "in place of the image's own command")
    .option("--name <name>", "what to call the container (default: made up)")
    .option("--rm", "remove it, and its anonymous volumes, when it has ended")
    .option("-i, --interactive", "its standard input stays open")
    .option("-t, --tty", "give it a terminal")
    .option("-e, --env <variable>", "NAME=VALUE, or NAME for the value here; may be repeated", collect)
    .option("--env-file <file>", "lines of NAME=VALUE or NAME; may be repeated", collect)
    .option("-w, --workdir <path>", "working directory in the container")
    .option("-u, --user <user>", "user[:group], names or numbers of the container")
    .option("--entrypoint <program>", "in place of the image's entry point; '' for none")
    .option("--read-only", "the root is read-only; volumes are as they say")
    .option("-h, --hostname <name>", "host name (default: the short id)")
    .option("-l, --label <label>", "KEY=VALUE or KEY; may be repeated", collect)
    .option("--stop-signal <signal>", "what asks it to end (default: the image's, or TERM)")
    .option("-v, --volume <spec>", "[VOLUME|PATH:]TARGET[:MODES]; may be repeated", collect)
    .option("--mount <spec>", "type=bind|volume|tmpfs|image,source=…,target=…; may be repeated", collect)
    .option("--tmpfs <spec>", "TARGET[:OPTIONS]; may be repeated", collect)
    .option("--volumes-from <container>", "its volumes and binds, [:ro|rw]; may be repeated", collect)
    .option("--driver <driver>", "cowfs, overlay2, btrfs or vfs (default: COWFS_DRIVER, or the first that works)")
    .option("--volume-driver <name>", "who keeps the volumes of -v and of the image that are made: local, or a plugin")
    .option("--storage-opt <option>", "size=BYTES: the most that its writable layer may hold, as in size=10G", collect)
    .option("--init", "a small init (catatonit, tini) is the first process: it hands signals on, and takes in orphans")
    .addOption(
      new Option(
        "--network <network>",
        "host: that of the machine (default); none: only a loopback of its own",
      ).choices(["host", "none"]),
    )
    .option("--runtime <runtime>", "auto (default), crun, runc, unshare, or a path");
}

function addRunning(program: Command, finish: (code: number) => void): void {
  addCreateOptions(program.command("create"))
    .summary("make a container")
    .description("Makes a container of an image: a writable layer over it, which lives until rm. Prints its id.")
    .action(async (image: string, command: string[], options: RunWords, self: Command) => {
      const { createCommand } = await import("./create.js");
      finish(await orderly(() => createCommand(rootOf(self), image, command, options)));
    });

  addCreateOptions(program.command("run"))
    .option("-d, --detach", "do not wait for its end; prints its id")
    .summary("make a container and start it")
    .description("Makes a container, runs its program on the merged view, and ends with its exit code.")
    .addHelpText(
      "after",
      "\nExit codes: that of the program (128 and more: a signal), 125 cowfs failed, 126 it cannot be executed, 127 not found.",
    )
    .action(async (image: string, command: string[], options: RunWords, self: Command) => {
      const { runCommand } = await import("./run.js");
      finish(await runCommand(rootOf(self), image, command, options));
    });

  program
    .command("start")
    .summary("start containers that have ended, or never ran")
    .argument("<container...>", "names or ids")
    .option("-a, --attach", "show its output, and end with its exit code")
    .option("-i, --interactive", "its standard input is this one")
    .option("--driver <driver>", "go on with another storage driver: cowfs or overlay2")
    .action(async (names: string[], options: StartWords, self: Command) => {
      const { startCommand } = await import("./run.js");
      finish(await startCommand(rootOf(self), names, options));
    });

  program
    .command("exec")
    .summary("run a program in a container that runs")
    .passThroughOptions()
    .argument("<container>", "its name or id")
    .argument("<command...>", "a program of the container, and its arguments")
    .option("-i, --interactive", "its standard input is this one")
    .option("-t, --tty", "give it a terminal")
    .option("-d, --detach", "do not wait for its end")
    .option("-e, --env <variable>", "NAME=VALUE, or NAME for the value here; may be repeated", collect)
    .option("--env-file <file>", "lines of NAME=VALUE or NAME; may be repeated", collect)
    .option("-w, --workdir <path>", "working directory in the container")
    .option("-u, --user <user>", "user[:group], names or numbers of the container")
    .action(async (name: string, command: string[], options: ExecWords, self: Command) => {
      const { execCommand } = await import("./exec.js");
      finish(await execCommand(rootOf(self), name, command, options));
    });

  program
    .command("attach")
    .summary("be a detached container's terminal, or its standard streams")
    .description(
      "Shows what a container that runs detached writes from now on, hands it what comes in here if it was started with -i, and ends with its exit code. On a terminal ctrl-p ctrl-q leaves it.",
    )
    .argument("<container>", "its name or id")
    .option("--no-stdin", "it gets no input")
    .option("--sig-proxy [boolean]", "signals are the container's if it has no terminal (default: true)")
    .option("--detach-keys <keys>", "what leaves it, as in ctrl-x,x (default: ctrl-p,ctrl-q)")
    .action(async (name: string, options: AttachWords, self: Command) => {
      const { attachCommand } = await import("./attach.js");
      finish(await attachCommand(rootOf(self), name, options));
    });

  program
    .command("stop")
    .summary("end containers: ask, wait, kill")
    .argument("<container...>", "names or ids")
    .option("-t, --time <seconds>", "how long each may take (default: 10)")
    .action(async (names: string[], options: { time?: string }, self: Command) => {
      const { stopCommand } = await import("./stop.js");
      finish(await stopCommand(rootOf(self), names, options));
    });

  program
    .command("restart")
    .summary("end containers, and start them again")
    .argument("<container...>", "names or ids")
    .option("-t, --time <seconds>", "how long each may take to end (default: 10)")
    .action(async (names: string[], options: { time?: string }, self: Command) => {
      const { restartCommand } = await import("./stop.js");
      finish(await restartCommand(rootOf(self), names, options));
    });

  program
    .command("kill")
    .summary("send a signal to containers")
    .argument("<container...>", "names or ids")
    .option("-s, --signal <signal>", "a name or number (default: KILL)")
    .action(async (names: string[], options: { signal?: string }, self: Command) => {
      const { killCommand } = await import("./stop.js");
      finish(await killCommand(rootOf(self), names, options));
    });

  program
    .command("wait")
    .summary("wait until containers have ended; prints their exit codes")
    .argument("<container...>", "names or ids")
    .action(async (names: string[], _options: object, self: Command) => {
      const { waitCommand } = await import("./stop.js");
      finish(await waitCommand(rootOf(self), names));
    });

  program
    .command("rm")
    .summary("remove containers, with what they wrote")
    .argument("<container...>", "names or ids")
    .option("-f, --force", "also those that run, which are killed; what is not there is no error")
    .option("-v, --volumes", "their anonymous volumes, too")
    .action(async (names: string[], options: RemoveWords, self: Command) => {
      const { removeCommand } = await import("./remove.js");
      finish(await removeCommand(rootOf(self), names, options));
    });

  program
    .command("rename")
    .summary("give a container another name")
    .argument("<container>", "its name or id")
    .argument("<name>", "the new name")
    .action(async (name: string, newName: string, _options: object, self: Command) => {
      const { renameCommand } = await import("./remove.js");
      finish(await renameCommand(rootOf(self), name, newName));
    });
}

function addLooking(program: Command, finish: (code: number) => void): void {
  program
    .command("logs")
    .summary("what a detached container has written")
    .argument("<container>", "its name or id")
    .option("-f, --follow", "go on until the container ends")
    .option("-n, --tail <lines>", "only the last lines, or all (default)")
    .option("-t, --timestamps", "when each line came")
    .option("--since <time>", "only what came since then: 10m, 24h, 2026-01-31T12:00:00Z, or seconds since 1970")
    .option("--until <time>", "only what had come by then")
    .action(async (name: string, options: LogsWords, self: Command) => {
      const { logsCommand } = await import("./logs.js");
      finish(await logsCommand(rootOf(self), name, options));
    });

  addListOptions(program.command("ps"), [
    "ancestor",
    "before",
    "exited",
    "id",
    "label",
    "name",
    "since",
    "status",
    "volume",
  ])
    .summary("list containers")
    .option("-a, --all", "also those that do not run")
    .option("-s, --size", "what their writable layers hold")
    .addOption(new Option("-n, --last <count>", "the newest, whatever their state"))
    .option("-l, --latest", "the newest one, whatever its state")
    .action(async (options: PsOptions, self: Command) => {
      const { psCommand } = await import("./ps.js");
      finish(await psCommand(rootOf(self), options));
    });

  addInspectOptions(program.command("inspect"))
    .summary("all about containers")
    .argument("<container...>", "names or ids")
    .option("-s, --size", "what their writable layers hold")
    .action(async (names: string[], options: { format?: string; json?: boolean; size?: boolean }, self: Command) => {
      const { inspectCommand } = await import("./inspect.js");
      finish(await inspectCommand(rootOf(self), names, options));
    });

  program
    .command("diff")
    .summary("what a container has changed: A added, C changed, D deleted")
    .argument("<container>", "its name or id")
    .option("--json", "an array of objects, for machines")
    .action(async (name: string, options: { json?: boolean }, self: Command) => {
      const { diffCommand } = await import("./diff.js");
      finish(await diffCommand(rootOf(self), name, options));
    });

  program
    .command("commit")
    .summary("make an image of a container")
    .description("The container's writable layer becomes a layer of a new image, whose id is printed.")
    .argument("<container>", "its name or id")
    .argument("[image]", "NAME[:TAG] of the image")
    .option("-m, --message <text>", "a comment in the history")
    .option("-a, --author <name>", "who made it")
    .option("-c, --change <instruction>", "CMD, ENTRYPOINT, ENV, … as in a Dockerfile; may be repeated", collect)
    .option("-p, --pause [boolean]", "its processes stand still meanwhile (default: true)")
    .option("--no-pause", "they go on")
    .action(async (name: string, image: string | undefined, options: CommitWords, self: Command) => {
      const { commitCommand } = await import("./commit.js");
      finish(await orderly(() => commitCommand(rootOf(self), name, image, options)));
    });

  program
    .command("export")
    .summary("the tree of a container as a tar archive")
    .argument("<container>", "its name or id")
    .option("-o, --output <file>", "write it there (default: the standard output)")
    .action(async (name: string, options: { output?: string }, self: Command) => {
      const { exportCommand } = await import("./export.js");
      finish(await orderly(() => exportCommand(rootOf(self), name, options)));
    });

  program
    .command("cp")
    .summary("copy between a container and the host")
    .description(
      "Copies a file or directory, as cp -r does: into a directory that is there, or as a new name. DIRECTORY/. is what is in it; - is a tar archive, read from or written to the standard streams.",
    )
    .argument("<source>", "CONTAINER:PATH, a path of the host, or -")
    .argument("<target>", "a path of the host, CONTAINER:PATH, or -")
    .option("-a, --archive", "keep owners (default: the copies are root's there, yours here)")
    .option("-L, --follow-link", "copy what a symbolic link leads to")
    .action(async (from: string, to: string, options: CopyWords, self: Command) => {
      const { copyCommand } = await import("./cp.js");
      finish(await orderly(() => copyCommand(rootOf(self), from, to, options)));
    });
}
