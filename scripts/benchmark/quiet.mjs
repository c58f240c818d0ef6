/** Keeps measurements apart from other users of the machine who drop the kernel's caches: the kernel counts the drops. */
import { readFileSync, writeFileSync } from "node:fs";

const attempts = 5;
const quietSeconds = 2;
const patienceSeconds = 60;

let ours = 0;

/** Times that caches were dropped since the machine was started, by others. */
function dropsOfOthers() {
  const count = /^drop_slab (\d+)$/m.exec(readFileSync("/proc/vmstat", "utf8"));
  return count === null ? 0 : Number(count[1]) - ours;
}

/** Drops page cache, dentries and inodes. */
export function dropCaches() {
  writeFileSync("/proc/sys/vm/drop_caches", "3");
  ours++;
}

function sleep(seconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
}

/** Runs `act` until nobody dropped the caches meanwhile; gives up after a few attempts and takes what there is. */
export function undisturbed(act, say) {
  for (let attempt = 1; ; attempt++) {
    const before = dropsOfOthers();
    const result = act();
    if (dropsOfOthers() === before) return result;
    if (attempt === attempts) {
      say("somebody else drops the kernel's caches all the time: this measurement is of little use");
      return result;
    }
    say("somebody else dropped the kernel's caches: again, when it is quiet");
    const end = Date.now() + patienceSeconds * 1000;
    for (let seen = -1; seen !== dropsOfOthers() && Date.now() < end; sleep(quietSeconds)) seen = dropsOfOthers();
  }
}
