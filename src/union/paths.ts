/** Paths as bytes in latin1 strings. */
import { errnoName } from "../errno.js";
import { AT_FDCWD } from "../native/constants.js";
import { native } from "../native/index.js";
import { MountError } from "./mount-error.js";

const buffer = Buffer.alloc(4096);

/** The path of an open descriptor, all symbolic links resolved. */
export function realPath(fd: number, path: string): string {
  const length = native.readlink(AT_FDCWD, `/proc/self/fd/${fd}`, buffer);
  if (length < 0) {
    throw new MountError(`cannot resolve ${shown(path)}: ${errnoName(length)} (is /proc mounted?)`, path);
  }
  return buffer.latin1Slice(0, length);
}

/** Whether `path` is `directory` or lies below it; both are real paths. */
export function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

export function dirname(path: string): string {
  const slash = path.replace(/\/+$/, "").lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}

export function basename(path: string): string {
  const trimmed = path.replace(/\/+$/, "");
  return trimmed.slice(trimmed.lastIndexOf("/") + 1);
}

/** A byte string as text for people. */
export function shown(path: string): string {
  return Buffer.from(path, "latin1").toString("utf8");
}
