import { readFileSync, readlinkSync, realpathSync } from "node:fs";

/**
 * The arguments after the script's name, as bytes in latin1 strings. Node decodes process.argv as UTF-8, which loses the bytes of a file name
 * that is not UTF-8: then there is a U+FFFD, and the kernel is asked.
 */
export function argumentBytes(argv: readonly string[], commandLine = ownCommandLine): string[] {
  const decoded = argv.slice(2);
  if (decoded.some((word) => word.includes("\ufffd"))) {
    // The node program, its options and the script come first: count from the end.
    const words = commandLine()?.split("\0").slice(0, -1);
    if (words !== undefined && words.length >= argv.length) return words.slice(-decoded.length);
  }
  return decoded.map((word) => Buffer.from(word, "utf8").toString("latin1"));
}

/** /proc/self/cmdline: each argument ends in a NUL. Undefined where /proc is not mounted. */
function ownCommandLine(): string | undefined {
  try {
    return readFileSync("/proc/self/cmdline", "latin1");
  } catch {
    return undefined;
  }
}

/** The working directory as bytes. */
export function workingDirectory(): string {
  try {
    return readlinkSync("/proc/self/cwd", { encoding: "latin1" });
  } catch {
    return Buffer.from(process.cwd(), "utf8").toString("latin1");
  }
}

/**
 * A path made absolute, without empty and `.` components and without a slash at the end. `..` stays: what it leads to
 * depends on symbolic links, which only the kernel follows.
 */
export function absolutePath(path: string, cwd: string): string {
  const parts = (path.startsWith("/") ? path : `${cwd}/${path}`).split("/");
  return `/${parts.filter((part) => part !== "" && part !== ".").join("/")}`;
}

/**
 * The path as the kernel's mount table has it: all symbolic links resolved. Where the last component cannot be asked (it
 * does not exist, or its driver is dead), only those before it.
 */
export function resolvedPath(path: string): string {
  const slash = path.lastIndexOf("/");
  const name = path.slice(slash + 1);
  const whole = realPath(path);
  if (whole !== undefined || name === "..") return whole ?? path;
  const directory = realPath(path.slice(0, slash) || "/") ?? path.slice(0, slash);
  return `${directory === "/" ? "" : directory}/${name}`;
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync.native(Buffer.from(path, "latin1"), { encoding: "latin1" });
  } catch {
    return undefined;
  }
}
