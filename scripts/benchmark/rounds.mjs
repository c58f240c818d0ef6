/** The rounds: every workload on every driver in turn, freshly mounted. */
import { run } from "./drivers.mjs";
import { messagesBetween, settle } from "./messages.mjs";
import { Place } from "./place.mjs";
import { undisturbed } from "./quiet.mjs";

/** One measurement: milliseconds. With `messages`, also counts what the driver was asked meanwhile. */
function measure(workload, place, messages) {
  const { driver } = place;
  driver.clear();
  place.mount();
  workload.prepare?.(place);
  if (!workload.prepare) run("sync", ["-f", driver.place]);
  const counting = messages !== undefined && driver.counts && workload.name !== "mount";
  if (counting) settle(driver);
  const before = counting ? driver.status() : undefined;
  const elapsed = workload.measure(place);
  if (counting) {
    settle(driver);
    messages[driver.name] = messagesBetween(before, driver.status());
  }
  if (driver.name === "native") workload.clean?.(place);
  driver.clear();
  return elapsed;
}

/**
 * Runs the rounds. Returns `results` (by workload and driver, a list of milliseconds), `messages` (by workload and driver,
 * counts by opcode in the first round), `fileCounts` (by workload) and `failures`. A driver that fails at a
 * workload is left out of it from then on.
 */
export function runRounds(workloads, drivers, setting, rounds, say) {
  const results = Object.fromEntries(workloads.map(({ name }) => [name, {}]));
  const messages = Object.fromEntries(workloads.map(({ name }) => [name, {}]));
  const fileCounts = {};
  const failures = [];
  const hasFailed = (workload, driver) =>
    failures.some((failure) => failure.workload === workload.name && failure.driver === driver.name);
  const attempt = (workload, driver, round) => {
    const place = new Place(driver, setting);
    fileCounts[workload.name] = workload.files?.(place);
    const counts = round === 0 ? messages[workload.name] : undefined;
    const times = results[workload.name];
    times[driver.name] ??= [];
    times[driver.name].push(undisturbed(() => measure(workload, place, counts), say));
  };
  for (let round = 0; round < rounds; round++) {
    for (const workload of workloads) {
      say(`round ${round + 1} of ${rounds}: ${workload.name}`);
      for (let k = 0; k < drivers.length; k++) {
        // Each round starts with another driver: none always comes after the same one.
        const driver = drivers[(k + round) % drivers.length];
        if (workload.skip?.includes(driver.name) || hasFailed(workload, driver)) continue;
        try {
          attempt(workload, driver, round);
        } catch (error) {
          failures.push({ workload: workload.name, driver: driver.name, message: error.message });
          say(`${workload.name} on ${driver.name} failed: ${error.message}`);
          driver.abandon();
        }
      }
    }
  }
  return { results, messages, fileCounts, failures };
}
