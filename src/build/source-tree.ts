/**
 * Where COPY and ADD take files from: the context, or the tree of a stage or image. Both are anybody's: paths are followed component by component, and
 * in the end opened by the real path, in which no symbolic link stands any more. Paths are bytes, relative to the root.
 */
import { EINVAL, ENOENT, errnoName, isAbsent } from "../errno.js";
import { readListing } from "../layer/listing.js";
import { openBelow } from "../layer/long-path.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { StoreError } from "../store/error.js";
import { bytesOf, shown } from "../text.js";
import type { IgnoreRules } from "./ignore.js";
import { isPattern, nameMatcher } from "./patterns.js";

/** As the kernel: so many symbolic links are followed in one path. */
const mostLinks = 40;
const linkBuffer = Buffer.alloc(4096);

export interface TreeOptions {
  /** What it is, for messages: `the build context`. */
  readonly what: string;
  /** Paths and links that lead out of it are errors; otherwise the root is theirs, as for a process in it. */
  readonly isClosed: boolean;
}

export class SourceTree {
  private readonly root: number;
  private rules: IgnoreRules | undefined;

  /** Throws StoreError. */
  constructor(
    path: string,
    readonly options: TreeOptions,
  ) {
    this.root = native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
    if (this.root < 0) throw new StoreError(`${options.what} ${path} cannot be opened: ${errnoName(this.root)}`);
  }

  /** From now on, what these rules ignore is not there. */
  ignore(rules: IgnoreRules): void {
    this.rules = rules;
  }

  get hasExceptions(): boolean {
    return this.rules?.hasExceptions === true;
  }

  isIgnored(path: string): boolean {
    return path !== "" && this.rules?.ignores(path) === true;
  }

  /** Opens what a real path names; an empty one is the root. A descriptor that the caller closes. Throws StoreError. */
  open(path: string, flags: number): number {
    const fd = openBelow(this.root, path, flags);
    if (fd < 0)
      throw new StoreError(`${shown(path) || "."} in ${this.options.what} cannot be opened: ${errnoName(fd)}`);
    return fd;
  }

  /** The names in a directory, sorted by their bytes. Throws StoreError. */
  names(path: string): string[] {
    const fd = this.open(path, O_PATH | O_DIRECTORY);
    const names: string[] = [];
    const listed = readListing(fd, { entry: (name) => void names.push(name) });
    native.close(fd);
    if (listed < 0) throw new StoreError(`${shown(path)} in ${this.options.what} cannot be read: ${errnoName(listed)}`);
    return names.sort();
  }

  /** The attributes of what a real path names. Throws StoreError. */
  stat(path: string): Stat {
    const fd = this.open(path, O_PATH | O_NOFOLLOW);
    const stat = new Stat();
    const result = native.statx(fd, "", STATX_ALL, stat.bytes);
    native.close(fd);
    if (result < 0) throw new StoreError(`${shown(path)} in ${this.options.what} cannot be read: ${errnoName(result)}`);
    return stat;
  }

  /**
   * The real path that a path leads to, symbolic links followed, the last one, too; undefined if it leads to nothing, or to what is ignored. Throws
   * StoreError if it leads out of a closed tree.
   */
  resolve(path: string): string | undefined {
    const outside = (): StoreError =>
      new StoreError(`${shown(path)} leads out of ${this.options.what}: what is copied must lie in it`);
    const pending = path.split("/");
    let real: string[] = [];
    for (let links = 0, name = pending.shift(); name !== undefined; name = pending.shift()) {
      if (name === "" || name === ".") continue;
      if (name === "..") {
        if (real.length === 0 && this.options.isClosed) throw outside();
        real.pop();
        continue;
      }
      const next = [...real, name];
      const fd = openBelow(this.root, next.join("/"), O_PATH | O_NOFOLLOW);
      if (isAbsent(fd)) return undefined;
      if (fd < 0) throw new StoreError(`${shown(path)} in ${this.options.what} cannot be opened: ${errnoName(fd)}`);
      const length = native.readlink(fd, "", linkBuffer);
      native.close(fd);
      // What is no link has none; by descriptor that is ENOENT.
      if (length === -EINVAL || length === -ENOENT) {
        real = next;
        continue;
      }
      if (length < 0)
        throw new StoreError(`${shown(path)} in ${this.options.what} cannot be read: ${errnoName(length)}`);
      if (this.isIgnored(next.join("/"))) return undefined;
      if (++links > mostLinks) throw new StoreError(`${shown(path)}: too many symbolic links`);
      const target = linkBuffer.latin1Slice(0, length);
      if (target.startsWith("/")) {
        if (this.options.isClosed) throw outside();
        real = [];
      }
      pending.unshift(...target.split("/"));
    }
    const found = real.join("/");
    return this.isIgnored(found) && !this.shows(found) ? undefined : found;
  }

  /** Whether a directory that is ignored has something that is let through. */
  private shows(path: string): boolean {
    return this.hasExceptions && this.stat(path).isDirectory;
  }

  /** The paths, sorted, that a source of COPY or ADD names, `*`, `?` and `[…]` having their meaning; one without these is itself. Throws StoreError. */
  find(source: string): string[] {
    let found = [""];
    for (const component of source.split("/").filter((part) => part !== "")) {
      const join = (path: string, name: string): string => (path === "" ? name : `${path}/${name}`);
      if (!isPattern(component)) {
        found = found.map((path) => join(path, component));
        continue;
      }
      const matches = nameMatcher(component);
      found = found.flatMap((path) => {
        const real = this.resolve(path);
        if (real === undefined || !this.stat(real).isDirectory) return [];
        return this.names(real)
          .filter(matches)
          .map((name) => join(path, name));
      });
    }
    const isName = !source.split("/").some(isPattern);
    return isName ? found : found.filter((path) => this.resolve(path) !== undefined);
  }

  close(): void {
    native.close(this.root);
  }
}
