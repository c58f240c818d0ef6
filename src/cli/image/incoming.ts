import type { Command } from "commander";
import { orderly } from "../orderly.js";
import { collect } from "../output/options.js";
import type { BuildWords } from "./build.js";

/** What `--progress` says of itself. */
export const progressHelp = "on stderr: auto (default), plain, tty, json (an object for each event), none";

/** Declares the commands that bring images in, and the one that checks what came. */
export function addIncomingCommands(image: Command, finish: (code: number) => void): void {
  image
    .command("load")
    .summary("load images from an archive")
    .description(
      "Loads the images of an archive (docker-archive or OCI, also compressed), of an OCI layout in a directory, or of what comes on the standard input. Everything is verified by its digests; layers that are there already are not read.",
    )
    .argument("[path]", "an archive or a directory (default: the standard input)")
    .option("-i, --input <path>", "the same")
    .option("--platform <platform>", "which one to load if there are several: linux/amd64, linux/arm64/v8, …")
    .option("-q, --quiet", "no progress")
    .option("--progress <form>", progressHelp)
    .option("--json", "what was loaded, for machines")
    .action(async (path: string | undefined, options: LoadWords, command: Command) => {
      const { loadCommand } = await import("./load.js");
      finish(await orderly(() => loadCommand(command, path, options)));
    });

  image
    .command("import")
    .summary("make an image of a tar archive or a directory")
    .description(
      "Makes an image of a plain tree: a tar archive (also compressed), a directory, or - for the standard input. With --base it becomes one more layer on another image; without a tree, only the configuration changes.",
    )
    .argument("[source]", "a tar archive, a directory or -")
    .argument("[name]", "what to call the image: NAME[:TAG]")
    .option("-b, --base <image>", "the image to build on")
    .option(
      "-c, --change <instruction>",
      "change the configuration: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, SHELL, STOPSIGNAL, USER, VOLUME or WORKDIR, as in a Dockerfile; may be repeated",
      collect,
    )
    .option("-m, --message <text>", "what made the layer, for the history")
    .option("-t, --tag <name>", "the same as the second argument, for when there is no tree; may be repeated", collect)
    .option("--platform <platform>", "what it runs on (default: this machine, or as the base)")
    .option("-q, --quiet", "no progress")
    .option("--progress <form>", progressHelp)
    .option("--json", "what was made, for machines")
    .action(async (source: string | undefined, name: string | undefined, options: ImportWords, command: Command) => {
      const { importCommand } = await import("./import.js");
      finish(await orderly(() => importCommand(command, source, name, options)));
    });

  image
    .command("build")
    .summary("build an image from a Dockerfile")
    .description(
      "Builds an image from a Dockerfile and the files of a directory, its context. Each instruction that changes files makes a layer; steps that were made before are taken from the cache. Prints the id.",
    )
    .argument("<context>", "the directory whose files COPY and ADD find")
    .option("-f, --file <path>", "the Dockerfile, - for the standard input (default: CONTEXT/Dockerfile)")
    .option("-t, --tag <name>", "what to call the image: NAME[:TAG]; may be repeated", collect)
    .option("--build-arg <argument>", "NAME=VALUE for an ARG, or NAME for its value here; may be repeated", collect)
    .option("--target <stage>", "the stage to build, by name or number (default: the last one)")
    .option("--no-cache", "make every step anew")
    .option("--progress <how>", "plain (lines), tty (redrawn) or auto (default: tty on a terminal)")
    .option("--iidfile <path>", "also write the id to a file")
    .option("-q, --quiet", "no progress; what a program said only if it fails")
    .option("--json", "what was made, for machines")
    .action(async (context: string, options: BuildWords, command: Command) => {
      const { buildCommand } = await import("./build.js");
      finish(await buildCommand(command, context, options));
    });

  image
    .command("verify")
    .summary("check layers on disk")
    .description(
      "Compares the layers of images with what they were when they came: every object, its attributes and a hash of its content. Each difference is a line; exit code 1 if there is any.",
    )
    .argument("[image...]", "names or ids")
    .option("-a, --all", "all layers, also those of no image")
    .option("--digests", "also whether the archives of layers can be given again with their SHA-256 digests: slower")
    .option("-q, --quiet", "only differences")
    .option("--json", "the result for machines")
    .action(async (images: string[], options: VerifyWords, command: Command) => {
      const { verifyCommand } = await import("./verify.js");
      finish(await verifyCommand(command, images, options));
    });
}

export interface LoadWords {
  readonly input?: string;
  readonly platform?: string;
  readonly quiet?: boolean;
  readonly progress?: string;
  readonly json?: boolean;
}

export interface ImportWords {
  readonly base?: string;
  readonly change?: string[];
  readonly message?: string;
  readonly tag?: string[];
  readonly platform?: string;
  readonly progress?: string;
  readonly quiet?: boolean;
  readonly json?: boolean;
}

export interface VerifyWords {
  readonly all?: boolean;
  readonly digests?: boolean;
  readonly quiet?: boolean;
  readonly json?: boolean;
}
