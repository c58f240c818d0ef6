/** Makes a plain tree from the entries of an archive, in an empty directory. Archives are anybody's: nothing they say reaches outside. */
import { EEXIST, ENOSPC, errnoName } from "../../errno.js";
import { S_IFBLK, S_IFCHR, S_IFIFO } from "../../layer/stat.js";
import { O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_WRONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { LayerDirectories } from "./layer-directories.js";
import { components, quote } from "./layer-names.js";
import type { TarEntry } from "./tar-header.js";
import { BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, LINK, SYMLINK } from "./tar-header.js";
import type { TarHandler } from "./tar-parser.js";

/** The file whose content is coming. */
interface CurrentFile {
  readonly fd: number;
  readonly path: string;
  readonly entry: TarEntry;
  written: number;
}

/** Blocks of zeros of this size become holes. */
const hole = 4096;
const zeros = Buffer.alloc(hole);

export class TreeWriter implements TarHandler {
  private readonly directories: LayerDirectories;
  /** Directories by their path; they get their attributes when nothing changes in them any more. */
  private readonly entries = new Map<string, TarEntry>();
  private current: CurrentFile | undefined;

  /** `root` is a descriptor of an empty directory, which the caller keeps open. */
  constructor(root: number) {
    this.directories = new LayerDirectories(root, () => {});
  }

  raw(): void {}

  entry(entry: TarEntry): boolean {
    const parts = components(entry.path);
    const path = parts.join("/");
    const name = parts.pop();
    if (name === undefined) {
      if (entry.type === DIRECTORY) this.entries.set("", entry);
      return false;
    }
    const { fd, path: parent } = this.directories.find(parts, true);
    const real = parent === "" ? name : `${parent}/${name}`;
    switch (entry.type) {
      case FILE:
        this.current = { fd: this.createFile(fd, name, path), path, entry, written: 0 };
        return true;
      case DIRECTORY:
        this.directory(fd, name, real, entry);
        break;
      case LINK:
        this.hardLink(parts, name, entry);
        break;
      case SYMLINK:
        this.create(fd, name, path, () => native.symlinkAs(entry.linkPath, fd, name, entry.uid, entry.gid));
        this.setAttributes(fd, name, path, entry);
        break;
      case CHARACTER:
      case BLOCK_DEVICE:
      case FIFO: {
        const kind = entry.type === CHARACTER ? S_IFCHR : entry.type === FIFO ? S_IFIFO : S_IFBLK;
        this.create(fd, name, path, () => native.mknodAs(fd, name, kind | 0o600, entry.major, entry.minor, 0, 0));
        this.setAttributes(fd, name, path, entry);
        break;
      }
      default:
        throw new StoreError(
          `${quote(entry.path)} in the archive has the type ${quote(entry.type)}, which is not known`,
        );
    }
    return false;
  }

  content(chunk: Buffer, start: number, length: number): void {
    const file = this.current as CurrentFile;
    const end = start + length;
    let from = start;
    for (let at = start; at < end; ) {
      // The file is new: what is not written reads as zeros. Pieces end where blocks of the file do.
      const piece = Math.min(hole - ((file.written + at - from) % hole), end - at);
      if (zeros.subarray(0, piece).equals(chunk.subarray(at, at + piece))) {
        this.write(file, chunk, from, at - from);
        file.written += piece;
        from = at + piece;
      }
      at += piece;
    }
    this.write(file, chunk, from, end - from);
  }

  sparse(chunk: Buffer, start: number, length: number, offset: number): void {
    const file = this.current as CurrentFile;
    file.written = offset;
    this.write(file, chunk, start, length);
  }

  private write(file: CurrentFile, chunk: Buffer, start: number, length: number): void {
    if (length === 0) return;
    const written = native.pwrite(file.fd, chunk, start, length, file.written);
    this.check(written < 0 || written === length ? written : -ENOSPC, "written", file.path);
    file.written += length;
  }

  entryEnd(): void {
    const { fd, path, entry } = this.current as CurrentFile;
    this.current = undefined;
    try {
      this.check(native.truncate(fd, entry.size), "written", path);
      this.setAttributes(fd, "", path, entry);
    } finally {
      native.close(fd);
    }
  }

  /** Everything has been taken: directories get their attributes, the deepest first. Throws StoreError. */
  finish(): void {
    for (const path of [...this.entries.keys()].sort().reverse()) {
      const { fd } = this.directories.find(path === "" ? [] : path.split("/"), false);
      this.setAttributes(fd, "", path, this.entries.get(path) as TarEntry);
    }
  }

  /** Closes what is open. Safe after a failure. */
  close(): void {
    if (this.current !== undefined) native.close(this.current.fd);
    this.current = undefined;
    this.directories.closeAll();
  }

  private createFile(fd: number, name: string, path: string): number {
    let file = -EEXIST;
    this.create(fd, name, path, () => {
      file = native.openAs(fd, name, O_WRONLY | O_CREAT | O_EXCL, 0o600, 0, 0);
      return file;
    });
    return file;
  }

  private directory(fd: number, name: string, path: string, entry: TarEntry): void {
    if (!this.entries.has(path)) {
      const made = native.mkdirAs(fd, name, 0o700, 0, 0);
      // One that was made on the way to something in it, or else what an earlier entry made.
      const there = made === -EEXIST ? native.openBeneath(fd, name, O_PATH | O_DIRECTORY) : -1;
      if (there >= 0) native.close(there);
      else if (made < 0) this.create(fd, name, path, () => native.mkdirAs(fd, name, 0o700, 0, 0));
    }
    this.entries.set(path, entry);
  }

  private hardLink(parent: readonly string[], name: string, entry: TarEntry): void {
    const target = components(entry.linkPath);
    const targetName = target.pop();
    if (targetName === undefined || entry.linkPath === entry.path) {
      throw new StoreError(`${quote(entry.path)} in the archive is a hard link to a directory, or to itself`);
    }
    // The next search may close the descriptor.
    const from = native.openBeneath(this.directories.find(target, false).fd, "", O_PATH | O_DIRECTORY);
    this.check(from, "linked", entry.path);
    try {
      const { fd } = this.directories.find(parent, true);
      this.create(fd, name, entry.path, () => native.link(from, targetName, fd, name));
    } finally {
      native.close(from);
    }
  }

  /** Creates something, in the place of what an earlier entry made there, as tar does; but for directories. */
  private create(fd: number, name: string, path: string, make: () => number): void {
    let made = make();
    if (made === -EEXIST) {
      this.check(native.unlink(fd, name, 0), "made: it is a directory already", path);
      made = make();
    }
    this.check(made, "made", path);
  }

  /** The order is the kernel's wish: a change of owner takes set-id bits and capabilities. */
  private setAttributes(fd: number, name: string, path: string, entry: TarEntry): void {
    this.check(native.chown(fd, name, entry.uid, entry.gid), `given its owner ${entry.uid}:${entry.gid}`, path);
    if (entry.type !== SYMLINK) this.check(native.chmod(fd, name, entry.mode & 0o7777), "given its mode", path);
    for (const [attribute, value] of entry.xattrs ?? []) {
      const set = native.setxattr(fd, name, attribute, Buffer.from(value, "latin1"), 0);
      this.check(set, `given its attribute ${attribute}`, path);
    }
    const { mtime, mtimeNsec } = entry;
    this.check(native.utimens(fd, name, mtime, mtimeNsec, mtime, mtimeNsec), "given its time", path);
  }

  private check(result: number, what: string, path: string): void {
    if (result < 0)
      throw new StoreError(`${quote(path || "/")} of the archive cannot be ${what}: ${errnoName(result)}`);
  }
}
