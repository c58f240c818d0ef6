import { run } from "./cli/program.js";

export type Entry = typeof entry;

/** What a process does: that of a driver which `main.js mount` started, or what the command line says. */
export async function entry(argv: readonly string[]): Promise<void> {
  if (argv[2] === "--driver") {
    const { driverMain } = await import("./cli/driver.js");
    await driverMain();
  } else process.exitCode = await run(argv);
}
