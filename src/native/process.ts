import { readFileSync } from "node:fs";

/**
 * When a process began, in clock ticks since boot: field 22 of /proc/PID/stat. With it a pid means one process for good. Undefined if
 * there is no such process, or only its entry for a parent that has not looked.
 */
export function processStart(pid: number): string | undefined {
  try {
    // The second field, the name in parentheses, may itself hold spaces and parentheses.
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
