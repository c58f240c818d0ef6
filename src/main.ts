#!/usr/bin/env node
// The entry of the program. A driver, which is started by `cowfs mount`, needs nothing of the command line.
if (process.argv[2] === "--driver") {
  const { driverMain } = await import("./cli/driver.js");
  await driverMain();
} else {
  const { run } = await import("./cli/program.js");
  process.exitCode = await run(process.argv);
}

export {};
