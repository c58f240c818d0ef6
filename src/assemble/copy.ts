import { ELOOP, ENOTDIR, errnoName, isAbsent } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { copyObject, type MergeOptions } from "../store/copy-tree.js";
import { StoreError } from "../store/error.js";
import { shown } from "../text.js";

/** As the kernel: so many symbolic links are followed in one path. */
const mostLinks = 40;

/** Where paths lead: the host, or the tree of a container, which no path leaves. Paths are bytes in latin1 strings, absolute. */
export interface CopyPlace {
  /** A descriptor, or -errno. */
  open(path: string, flags: number): number;
  /** A path for messages. */
  name(path: string): string;
  /** Throws StoreError if nothing may be made in a directory. */
  mustBeWritable?(directory: number): void;
}

export const hostPlace: CopyPlace = {
  open: (path, flags) => native.openFollow(path, flags),
  name: (path) => shown(path),
};

/** What is copied: an object behind a descriptor that the caller closes. */
export interface CopySource {
  /** O_PATH. */
  readonly fd: number;
  /** What it is called in a directory that it is copied into. */
  readonly name: string;
  readonly isDirectory: boolean;
  /** `PATH/.`: what is in the directory, not itself. */
  readonly contents: boolean;
}

function split(path: string): { parent: string; name: string } {
  const trimmed = path.replace(/\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  return { parent: trimmed.slice(0, slash) || "/", name: trimmed.slice(slash + 1) };
}

function failed(place: CopyPlace, path: string, why: string, cause?: number): StoreError {
  return new StoreError(`${place.name(path)}: ${why}${cause === undefined ? "" : `: ${errnoName(cause)}`}`);
}

function mustOpen(place: CopyPlace, path: string, flags: number): number {
  const fd = place.open(path, flags);
  if (fd === -ENOTDIR) throw failed(place, path, "it is no directory");
  if (isAbsent(fd)) throw failed(place, path, "no such file or directory");
  if (fd < 0) throw failed(place, path, "cannot be opened", fd);
  return fd;
}

function statOf(place: CopyPlace, path: string, fd: number): Stat {
  const stat = new Stat();
  const result = native.statx(fd, "", STATX_ALL, stat.bytes);
  if (result < 0) throw failed(place, path, "cannot be looked at", result);
  return stat;
}

/** Opens what is to be copied. A symbolic link is copied itself, unless `follow`, or a slash stands behind its name. Throws StoreError. */
export function openSource(place: CopyPlace, path: string, follow: boolean): CopySource {
  const contents = /(^|\/)\.$/.test(path);
  const mustBeDirectory = contents || path.endsWith("/");
  const fd = mustOpen(place, path, O_PATH | (follow || mustBeDirectory ? 0 : O_NOFOLLOW));
  const { isDirectory } = statOf(place, path, fd);
  if (mustBeDirectory && !isDirectory) {
    native.close(fd);
    throw failed(place, path, "it is no directory");
  }
  const { name } = split(path.replace(/\/\.$/, ""));
  // The root, `.` and `..` have no name to be called by.
  const isNameless = name === "" || name === "." || name === "..";
  return { fd, name: isNameless ? "" : name, isDirectory, contents: contents || isNameless };
}

/** A name of a directory that is to become a copy; the empty name is the directory itself. */
interface CopyTarget {
  readonly directory: number;
  readonly name: string;
}

/**
 * By Docker's rules: into a directory that is there, under its own name, unless only its contents are copied; over a file that is there; or as
 * a new name in a directory that is there. Throws StoreError.
 */
function openTarget(place: CopyPlace, path: string, source: CopySource): CopyTarget {
  const found = place.open(path, O_PATH);
  if (found >= 0) {
    const { isDirectory } = statOf(place, path, found);
    if (isDirectory) {
      const inside = source.isDirectory && source.contents;
      return { directory: found, name: inside ? "" : source.name };
    }
    native.close(found);
    if (source.isDirectory) throw failed(place, path, "a directory cannot be copied over a file");
    if (path.endsWith("/")) throw failed(place, path, "it is no directory");
  } else if (!isAbsent(found)) throw failed(place, path, "cannot be opened", found);
  else if (path.endsWith("/") && !source.isDirectory) throw failed(place, path, "no such directory");
  return behindLinks(place, path);
}

/** The directory and name that a path means in the end: a symbolic link stands for what it leads to, also if that is missing. */
function behindLinks(place: CopyPlace, path: string): CopyTarget {
  const target = Buffer.alloc(4096);
  let at = path;
  for (let links = 0; links <= mostLinks; links++) {
    const { parent, name } = split(at);
    const directory = mustOpen(place, parent, O_PATH | O_DIRECTORY);
    const length = native.readlink(directory, name, target);
    if (length < 0) return { directory, name };
    native.close(directory);
    const where = target.latin1Slice(0, length);
    at = where.startsWith("/") ? where : `${parent}/${where}`;
  }
  throw failed(place, path, "cannot be opened", -ELOOP);
}

/** Copies an object to a path of a place. Throws StoreError; what was copied by then stays. */
export async function copyTo(place: CopyPlace, path: string, source: CopySource, options: MergeOptions): Promise<void> {
  const { directory, name } = openTarget(place, path, source);
  try {
    place.mustBeWritable?.(directory);
    try {
      await copyObject(source.fd, "", directory, name, options);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      throw failed(place, path, `the copy failed at ${error.message}`);
    }
  } finally {
    native.close(directory);
  }
}

/** Opens a directory that an archive is unpacked into. Throws StoreError. */
export function openDirectory(place: CopyPlace, path: string): number {
  const fd = mustOpen(place, path, O_PATH);
  try {
    if (!statOf(place, path, fd).isDirectory) throw failed(place, path, "it is no directory");
    place.mustBeWritable?.(fd);
    return fd;
  } catch (error) {
    native.close(fd);
    throw error;
  }
}
