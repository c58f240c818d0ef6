/** What the kernel asks of the driver, counted by the driver. */
import { waitFor } from "./drivers.mjs";

/** The requests by opcode that came between two statuses. */
export function messagesBetween(before, after) {
  const counts = {};
  for (const [opcode, { requests }] of Object.entries(after.requests)) {
    const came = requests - (before.requests[opcode]?.requests ?? 0);
    if (came > 0) counts[opcode] = came;
  }
  return counts;
}

/** Waits until a driver has nothing to do: forgets and releases come after the call that caused them. */
export function settle(driver) {
  const total = () => Object.values(driver.status().requests).reduce((sum, { requests }) => sum + requests, 0);
  let before = -1;
  waitFor("the driver should come to rest", () => {
    const now = total();
    const quiet = now === before;
    before = now;
    return quiet;
  });
}
