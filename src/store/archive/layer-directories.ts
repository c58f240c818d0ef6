/** Finds directories of a layer that is being made of an archive, which may have symbolic links where it likes. */
import { EEXIST, ELOOP, ENOENT, ENOTDIR, errnoName } from "../../errno.js";
import { O_DIRECTORY, O_PATH } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { quote } from "./layer-names.js";

/** As many as one path of links may have, and open at once. */
const mostLinks = 40;
const mostOpen = 128;

/**
 * Directories by their path in the layer, as descriptors. Each step is one name relative to a descriptor, and no link is followed by the
 * kernel: those in the layer are resolved here, with the layer's root as the root and above which there is nothing.
 */
export class LayerDirectories {
  private readonly open = new Map<string, number>();
  private readonly link = Buffer.alloc(4096);

  /**
   * `root` is a descriptor that the caller keeps open. `made` is told the path of each directory that has to be made. `settle` is called before a directory
   * is made where nothing is yet, with its path, and before descriptors are closed: whoever makes files apart has them made then.
   */
  constructor(
    private readonly root: number,
    private readonly made: (path: string) => void,
    private readonly settle = (_path?: string): void => {},
  ) {}

  /** The directory with these components and its real path in the layer. It stays open until the next call. Throws StoreError. */
  find(parts: readonly string[], create: boolean): { fd: number; path: string } {
    const whole = parts.join("/");
    if (whole === "") return { fd: this.root, path: "" };
    const known = this.open.get(whole);
    if (known !== undefined) return { fd: known, path: whole };
    return this.walk([...parts], create, whole);
  }

  private walk(todo: string[], create: boolean, whole: string): { fd: number; path: string } {
    if (this.open.size > mostOpen) this.forget();
    let links = 0;
    let done: string[] = [];
    let fd = this.root;
    while (todo.length > 0) {
      const name = todo.shift() as string;
      if (name === "" || name === ".") continue;
      if (name === "..") done.pop();
      const path = name === ".." ? done.join("/") : [...done, name].join("/");
      const next = path === "" ? this.root : (this.open.get(path) ?? this.step(fd, name, path, create, whole));
      if (typeof next === "string") {
        links++;
        if (links > mostLinks)
          throw new StoreError(`the archive has the name ${quote(whole)}, which leads through too many symbolic links`);
        todo.unshift(...next.split("/"));
        if (next.startsWith("/")) {
          done = [];
          fd = this.root;
        }
        continue;
      }
      if (name !== "..") done.push(name);
      fd = next;
    }
    return { fd, path: done.join("/") };
  }

  /** A descriptor of the directory, or the target of the symbolic link that is there. */
  private step(fd: number, name: string, path: string, create: boolean, whole: string): number | string {
    let next = native.openBeneath(fd, name, O_PATH | O_DIRECTORY);
    if (next === -ENOENT && create) {
      this.settle(path);
      const result = native.mkdirAs(fd, name, 0o755, process.geteuid?.() ?? 0, process.getegid?.() ?? 0);
      if (result < 0 && result !== -EEXIST) throw new StoreError(`${quote(path)} cannot be made: ${errnoName(result)}`);
      if (result === 0) this.made(path);
      next = native.openBeneath(fd, name, O_PATH | O_DIRECTORY);
    }
    if (next === -ELOOP || next === -ENOTDIR) {
      const length = native.readlink(fd, name, this.link);
      if (length > 0) return this.link.latin1Slice(0, length);
    }
    if (next === -ENOENT && !create)
      throw new StoreError(`a hard link leads to ${quote(whole)}, which the archive does not have before it`);
    if (next < 0)
      throw new StoreError(
        `the archive has the name ${quote(whole)}, but ${quote(path)} is no directory (${errnoName(next)})`,
      );
    this.open.set(path, next);
    return next;
  }

  /** To be called when a directory is replaced by something else: it, and those in it, are closed; all are if none is named. */
  forget(path = ""): void {
    this.settle();
    for (const [known, fd] of this.open) {
      if (path !== "" && known !== path && !known.startsWith(`${path}/`)) continue;
      native.close(fd);
      this.open.delete(known);
    }
  }

  /** Closes all, also after a failure. */
  closeAll(): void {
    for (const fd of this.open.values()) native.close(fd);
    this.open.clear();
  }
}
