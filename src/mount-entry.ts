import { commandOf, launched } from "./cli/command-words.js";
import { CommandError, complain, EXIT_FAILURE, messageOf } from "./cli/exit.js";
import { plainMount } from "./cli/mount-flags.js";

/**
 * What a process does that is to mount, or to be the driver of a mount: as src/entry.ts does it, without all that a mount by itself has no
 * use for. False if the command line says something else, or is wrong: nothing has been done then.
 */
export async function entry(argv: readonly string[]): Promise<boolean> {
  if (argv[2] === "--driver") {
    const { driverMain } = await import("./cli/driver.js");
    await driverMain();
  }
  try {
    const words = commandOf(argv);
    const mount = words === null ? null : plainMount(words);
    if (mount === undefined) return false;
    if (mount !== null) {
      const { mountCommand } = await import("./cli/mount.js");
      process.exitCode = await mountCommand(mount, argv[2] === launched);
    }
  } catch (error) {
    complain(messageOf(error));
    process.exitCode = error instanceof CommandError ? error.exitCode : EXIT_FAILURE;
  }
  return true;
}
