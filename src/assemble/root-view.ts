import { EEXIST, ENOTDIR, errnoName } from "../errno.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { O_DIRECTORY, O_PATH, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { StoreError } from "../store/error.js";

/** UTF-8 text as the addon takes paths. */
export function bytes(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** How much of a file such as /etc/passwd is read; an image may hold anything. */
const readLimit = 4 << 20;

/**
 * The tree of a container as a process sees it whose root it is: symbolic links of the image never lead out of it. Paths are UTF-8 text.
 */
export class RootView {
  readonly #fd: number;

  /** Throws StoreError. */
  constructor(path: string) {
    this.#fd = native.openFollow(bytes(path), O_PATH | O_DIRECTORY);
    if (this.#fd < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(this.#fd)}`);
  }

  /** A descriptor, or -errno. The last component is followed, too, unless `flags` have O_NOFOLLOW. */
  open(path: string, flags: number): number {
    return native.openInRoot(this.#fd, bytes(path), flags);
  }

  /** The same for a path in bytes (a latin1 string). */
  openBytes(path: string, flags: number): number {
    return native.openInRoot(this.#fd, path, flags);
  }

  /** The attributes of what a path leads to; undefined if it leads nowhere. */
  stat(path: string): Stat | undefined {
    const fd = this.open(path, O_PATH);
    if (fd < 0) return undefined;
    const stat = new Stat();
    const result = native.statx(fd, "", STATX_ALL, stat.bytes);
    native.close(fd);
    return result < 0 ? undefined : stat;
  }

  /**
   * The text of a regular file, or undefined where there is none. Nothing else is opened: a fifo would make this wait. Throws StoreError if it
   * cannot be read.
   */
  read(path: string): string | undefined {
    if (this.stat(path)?.isRegular !== true) return undefined;
    const fd = this.open(path, O_RDONLY);
    const buffer = Buffer.alloc(64 * 1024);
    const chunks: Buffer[] = [];
    let failure = Math.min(fd, 0);
    for (let at = 0; failure === 0 && at < readLimit; ) {
      const length = native.pread(fd, buffer, 0, buffer.length, at);
      if (length === 0) break;
      failure = Math.min(length, 0);
      chunks.push(Buffer.from(buffer.subarray(0, Math.max(length, 0))));
      at += length;
    }
    if (fd >= 0) native.close(fd);
    if (failure < 0) throw new StoreError(`${path} in the container cannot be read: ${errnoName(failure)}`);
    return Buffer.concat(chunks).toString("utf8");
  }

  /** Makes the directories of a path that are missing, whatever umask we have. Throws StoreError if something else is in the way. */
  makeDirectory(path: string, owner: { readonly uid: number; readonly gid: number } = { uid: 0, gid: 0 }): void {
    const mask = native.umask(0);
    try {
      this.makeDirectories(path, owner);
    } finally {
      native.umask(mask);
    }
  }

  private makeDirectories(path: string, { uid, gid }: { readonly uid: number; readonly gid: number }): void {
    let below = "";
    for (const name of path.split("/").filter((part) => part !== "" && part !== ".")) {
      const parent = this.open(below === "" ? "/" : below, O_PATH | O_DIRECTORY);
      below = `${below}/${name}`;
      if (this.stat(below)?.isDirectory !== true && name !== "..") {
        const made = parent < 0 ? parent : native.mkdirAs(parent, bytes(name), 0o755, uid, gid);
        if (made < 0) {
          native.close(parent);
          const why = made === -EEXIST || made === -ENOTDIR ? `${below} is no directory` : errnoName(made);
          throw new StoreError(`the directory ${path} cannot be made in the container: ${why}`);
        }
      }
      native.close(parent);
    }
  }

  close(): void {
    native.close(this.#fd);
  }
}
