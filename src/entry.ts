import { run } from "./cli/program.js";

export type Entry = typeof entry;

/** What a process does: that of a driver, a monitor or a helper which this program started, or what the command line says. True. */
export async function entry(argv: readonly string[]): Promise<boolean> {
  if (argv[2] === "--driver") {
    const { driverMain } = await import("./cli/driver.js");
    await driverMain();
  } else if (argv[2] === "--monitor") {
    const { monitorMain } = await import("./cli/container/monitor.js");
    await monitorMain();
  } else if (argv[2] === "--end-volume-uses") {
    const { endUsesMain } = await import("./cli/volume/end-uses.js");
    await endUsesMain(argv.slice(3));
  } else process.exitCode = await run(argv);
  return true;
}
