import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { attempt, command, type Ended } from "./command.js";
import { mountAt } from "./namespace.js";

/** The kinds of file system the same case runs on; `native` is the merged content as a plain directory. */
export type Kind = "native" | "overlay" | "cowfs";

const known: readonly Kind[] = ["native", "overlay", "cowfs"];

/** Chosen by NATIVE_KINDS (for example `native,overlay` where there is no driver yet); all of them otherwise. */
export const kinds: readonly Kind[] = (process.env["NATIVE_KINDS"]?.split(",") ?? known).filter((kind): kind is Kind =>
  known.some((name) => name === kind),
);

/** The built program; COWFS_TEST_PROGRAM names another build, to test that one. */
export const cowfsProgram =
  process.env["COWFS_TEST_PROGRAM"] ?? fileURLToPath(new URL("../../build/cowfs", import.meta.url));

/** What the program starts Node with; it works by itself, too. */
export const mainScript = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

/** Options that every cowfs mount of a run gets, to run all cases under another policy: COWFS_TEST_OPTIONS="-o xino=on". */
const extraOptions = process.env["COWFS_TEST_OPTIONS"]?.split(" ").filter((word) => word !== "") ?? [];

/** The I/O policy (`--io`) of every cowfs mount of the cases that choose none themselves. */
export const ioPolicy = process.env["COWFS_TEST_IO"];
if (ioPolicy !== undefined) {
  extraOptions.push("--io", ioPolicy);
}

/** What is to be merged. Paths are absolute; lowers come top first. */
export interface Stack {
  readonly lowers: readonly string[];
  readonly upper?: string;
  readonly work?: string;
}

/** Runs the cowfs program to its end; a daemon that keeps a descriptor of the caller is a time-out. */
export function cowfs(args: readonly string[], options: { cwd?: string; timeout?: number } = {}): Promise<Ended> {
  return attempt(cowfsProgram, args, { timeout: 20_000, ...options });
}

const escapeColon = (path: string): string => path.replaceAll("\\", "\\\\").replaceAll(":", "\\:");

/** Mounts a stack at an existing directory. @throws if that fails, or says anything, or returns before the mount is there */
export async function mountStack(kind: Kind, stack: Stack, at: string, options: readonly string[] = []): Promise<void> {
  const { lowers, upper, work } = stack;
  if (kind === "overlay") {
    const list = lowers.map(escapeColon);
    // The kernel wants two lower layers where there is no upper.
    const words = [
      `lowerdir=${upper === undefined && list.length === 1 ? [...list, `${at}.none`].join(":") : list.join(":")}`,
    ];
    if (upper !== undefined) {
      words.push(`upperdir=${upper}`, `workdir=${work}`);
    }
    words.push("redirect_dir=on", "index=on", "metacopy=on", "xino=auto", ...options);
    if (upper === undefined && list.length === 1) {
      await command("mkdir", ["-p", `${at}.none`]);
    }
    await command("mount", ["-t", "overlay", "-o", words.join(","), "overlay", at]);
    return;
  }
  if (!existsSync(cowfsProgram)) {
    throw new Error(`${cowfsProgram} is missing: run scripts/build first`);
  }
  const args = ["mount", "--lower", lowers.map(escapeColon).join(":")];
  if (upper !== undefined) {
    args.push("--upper", upper);
  }
  if (work !== undefined) {
    args.push("--work", work);
  }
  const { status, stdout, stderr } = await cowfs([...args, ...extraOptions, ...options, at]);
  if (status !== 0 || stdout !== "" || stderr !== "") {
    throw new Error(`cowfs ${args.join(" ")}: status ${status}, should be silent\n${stdout}${stderr}`);
  }
  if (mountAt(at)?.type.startsWith("fuse") !== true) {
    throw new Error(`cowfs mount returned but nothing is mounted at ${at}`);
  }
}

/** Ends a FUSE connection by force, so that everything that waits for its driver goes on with an error. */
async function abortConnection(at: string): Promise<void> {
  const mount = mountAt(at);
  if (mount?.type.startsWith("fuse") !== true) {
    return;
  }
  if (!existsSync("/sys/fs/fuse/connections/.") || mountAt("/sys/fs/fuse/connections") === undefined) {
    await attempt("mount", ["-t", "fusectl", "none", "/sys/fs/fuse/connections"]);
  }
  const minor = mount.device.split(":")[1];
  const control = `/sys/fs/fuse/connections/${minor}/abort`;
  if (existsSync(control)) {
    writeFileSync(control, "1");
  }
}

/** Takes a mount away by force, whatever hangs in it. */
export async function forceUnmount(at: string): Promise<void> {
  await abortConnection(at);
  await attempt("umount", ["-l", at]);
}

/** Unmounts as a user would. @throws if it is busy for long, or something is still mounted */
export async function unmount(at: string): Promise<void> {
  for (let left = 20; ; left--) {
    // A time-out here is a driver that does not answer: end it, so that what waits for it can go on.
    const { status, stderr } = await attempt("umount", [at], { timeout: 30_000 }).catch(async (error: unknown) => {
      await forceUnmount(at);
      throw error;
    });
    if (status === 0) {
      break;
    }
    if (left === 0 || !stderr.includes("busy")) {
      await forceUnmount(at);
      throw new Error(`umount ${at}: ${stderr}`);
    }
    // A process that was just killed gives up its descriptors a moment later.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  if (mountAt(at) !== undefined) {
    throw new Error(`${at} is still mounted after umount`);
  }
}

/** Waits until a process is gone. */
export async function processEnd(pid: number, milliseconds: number): Promise<boolean> {
  for (let waited = 0; existsSync(`/proc/${pid}`); waited += 20) {
    // A zombie has ended; whether its parent looks is not the test's matter.
    if (/^State:\s+Z/m.test(statusOf(pid))) {
      return true;
    }
    if (waited > milliseconds) {
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "latin1");
  } catch {
    return "";
  }
}

/**
 * Makes the kernel forget names, attributes and pages that it could read again. Dirty pages stay: a test that wants them gone
 * syncs its file first (a sync of everything would wait for all that the machine has to write).
 */
export function dropCaches(): void {
  writeFileSync("/proc/sys/vm/drop_caches", "3");
}
