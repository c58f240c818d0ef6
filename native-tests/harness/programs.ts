import { type Case, cases } from "./cases.js";
import { type CommandOptions, shell } from "./command.js";
import type { Merged } from "./merged.js";
import type { Kind } from "./mounts.js";

/** A shell script in a directory of the merged tree, stopping at its first failing command; what it printed. */
export function script(merged: Merged, text: string, directory = ".", options: CommandOptions = {}): Promise<string> {
  return shell(text, {
    cwd: directory === "." ? merged.root : `${merged.root}/${directory}`,
    timeout: 240_000,
    env: { ...process.env, HOME: merged.area.path, LC_ALL: "C.UTF-8", TZ: "UTC", ...environment },
    ...options,
  });
}

/** Neither the user's configuration nor the machine's is to change what the programs do. */
const environment = {
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example.org",
  GIT_COMMITTER_NAME: "c",
  GIT_COMMITTER_EMAIL: "c@example.org",
  GIT_AUTHOR_DATE: "2020-01-01T00:00:00Z",
  GIT_COMMITTER_DATE: "2020-01-01T00:00:00Z",
};

/**
 * A whole program on the merged view. It runs on cowfs alone; NATIVE_KINDS asks for the others too, to see whether it is the test or
 * the driver that is wrong.
 */
export function program(theme: string, list: readonly Case[]): void {
  const asked = process.env["NATIVE_KINDS"]?.split(",") ?? [];
  const skip: Partial<Record<Kind, string>> = {};
  for (const kind of ["native", "overlay"] as const) {
    if (!asked.includes(kind)) {
      skip[kind] = "its own checks say whether it worked; NATIVE_KINDS=native,overlay runs it there too";
    }
  }
  cases(
    theme,
    list.map((one) => ({
      timeout: 280_000,
      tree: "none",
      ...one,
      skip: { ...skip, ...one.skip },
      differs: { overlay: "checks itself", cowfs: "checks itself" },
    })),
  );
}

/** Fails a case with a message, where a comparison says so. */
export function expectEqual(merged: Merged, what: string, found: string, wanted: string): void {
  if (found !== wanted) {
    merged.failures.push(
      `${what}: found ${JSON.stringify(found.slice(0, 2_000))}, wanted ${JSON.stringify(wanted.slice(0, 2_000))}`,
    );
  }
}
