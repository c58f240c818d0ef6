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

/** Whether this is not the machine's first user namespace: root has no privileges beyond it then, and a new sysfs, for example, is refused. */
export function inUserNamespace(): boolean {
  try {
    return !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "latin1"));
  } catch {
    return false;
  }
}

const CAP_SYS_ADMIN = 21;

/** Whether this process may call mount(2), as far as /proc knows. */
export function mayMount(): boolean {
  try {
    const set = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
    return set === undefined || ((Number.parseInt(set.slice(-8), 16) >>> CAP_SYS_ADMIN) & 1) === 1;
  } catch {
    return true;
  }
}
