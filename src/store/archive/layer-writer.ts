/** Makes the tree of a layer from the entries of its archive. Archives are anybody's: nothing they say reaches outside the tree. */
import { rmSync } from "node:fs";
import { ENOENT, EPERM } from "../../errno.js";
import { WHITEOUT_PREFIX } from "../../layer/marks.js";
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFREG } from "../../layer/stat.js";
import { AT_FDCWD, O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_WRONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { AttributeWriter, failed } from "./attribute-writer.js";
import { DirectoryStates } from "./directory-states.js";
import type { FileOrders } from "./file-orders.js";
import { FileRuns, type RunLines } from "./file-runs.js";
import { keepFile } from "./kept-file.js";
import { LayerDirectories } from "./layer-directories.js";
import { components, meaningOf, quote } from "./layer-names.js";
import { NearDirectory } from "./near-directory.js";
import { type FileTools, NewFile } from "./new-file.js";
import {
  escapePath,
  extentOfRow,
  type Hashes,
  hex64,
  pathOfRow,
  renamedRow,
  rowOf,
  sameRow,
} from "./quick-manifest.js";
import { SkeletonWriter } from "./skeleton.js";
import { BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, LINK, SYMLINK, type TarEntry } from "./tar-header.js";
import type { TarHandler } from "./tar-parser.js";

/** What became of the archive. */
export interface WrittenLayer {
  readonly size: number;
  readonly entries: number;
  /** The root of the layer is marked opaque. */
  readonly opaqueRoot: boolean;
  readonly manifest: string;
  /** Directories that no entry is about, a directory before what is in it. */
  readonly implied: readonly string[];
  /** Things in the archive that the layer does not have, for the user to know. */
  readonly warnings: readonly string[];
}

export class LayerWriter implements TarHandler {
  private readonly skeleton: SkeletonWriter;
  private readonly directories: LayerDirectories;
  private readonly attributes: AttributeWriter;
  private readonly states: DirectoryStates;
  /** The manifest's lines of everything but directories, and of files that `lines` has. */
  private readonly rows = new Map<string, string>();
  /** Of all files, each counted once. */
  private size = 0;
  /** The other names of hard-linked objects, by the name whose line of the manifest tells all. */
  private readonly otherNames = new Map<string, Set<string>>();
  /** Files of the tree by path: their number in the skeleton. */
  private readonly files = new Map<string, number>();
  /** The file whose content is coming. */
  private current: NewFile | undefined;
  private readonly fileTools: FileTools;
  private readonly near = new NearDirectory();
  private readonly runs: FileRuns;

  /**
   * `root` is the tree, an O_PATH descriptor of an empty directory; `replaced` makes a directory for files that later entries of the same name
   * replace, and gives its path.
   */
  constructor(
    root: number,
    private readonly replaced: () => string,
    private readonly hashes: Hashes,
    private readonly orders: FileOrders,
    /** Gets a line for each file that `orders` make of a run. */
    private readonly lines: RunLines,
    skeleton: (piece: Buffer) => void,
  ) {
    this.skeleton = new SkeletonWriter(skeleton);
    this.attributes = new AttributeWriter(hashes);
    this.fileTools = { hashes, attributes: this.attributes, orders };
    this.runs = new FileRuns(orders, this.skeleton, this.attributes);
    this.states = new DirectoryStates(this.attributes);
    this.directories = new LayerDirectories(
      root,
      (path) => this.states.imply(path),
      (path) => {
        if (path === undefined || this.files.has(path)) orders.settle();
      },
    );
  }

  raw(chunk: Buffer, start: number, length: number): void {
    this.skeleton.bytes(chunk, start, length);
  }

  /** What came since the last call may change now. `done` is called when its content may. Throws StoreError. */
  release(done: () => void): void {
    this.skeleton.settle();
    this.orders.flush(done);
  }

  run(chunk: Buffer, start: number): number {
    const directory = this.orders.canHash
      ? this.near.ofRun(chunk, start, (parts, create) => this.directories.find(parts, create))
      : undefined;
    if (directory === undefined) return 0;
    const names = this.runs.find(start, directory);
    const number = this.skeleton.files;
    const inside = directory.path === "" ? "" : `${directory.path}/`;
    const paths: string[] = [];
    for (const name of names) {
      const path = inside + name;
      if (this.isTaken(path)) break;
      this.files.set(path, number + paths.length);
      paths.push(path);
    }
    if (paths.length === 0) return 0;
    if (paths.length < names.length) this.runs.find(start, directory, paths.length);
    const { size, end } = this.runs.take(paths, directory);
    this.size += size;
    return end - start;
  }

  entry(entry: TarEntry): boolean {
    // Most entries lie where the one before them did. A name that begins with a point may be special.
    const slash = entry.path.lastIndexOf("/");
    const letter = entry.path.charCodeAt(slash + 1);
    if (entry.type === FILE && entry.lostAcl === undefined && letter !== 0x2e) {
      const name = entry.path.slice(slash + 1);
      const parent = this.near.of(entry.path, slash);
      if (parent !== undefined && name.length <= 255 && !name.includes("\0")) {
        return this.beginFile(parent.fd, name, parent.path === "" ? name : `${parent.path}/${name}`, entry);
      }
    }
    const parts = components(entry.path);
    const meaning = meaningOf(parts);
    if (entry.lostAcl !== undefined)
      this.attributes.warn(`${quote(entry.path)} lost its ACL ${quote(entry.lostAcl)}: somebody in it is unknown here`);
    if (meaning === "metadata") return false;
    if (parts.length === 0) {
      if (entry.type === DIRECTORY) this.states.describe("", entry);
      return false;
    }
    const name = parts[parts.length - 1] as string;
    const parent = this.directories.find(parts.slice(0, -1), true);
    // With `..` or a slash at its end a path does not say where it lies by what is before its last slash.
    const isPlain = slash > 0 && entry.path.length === slash + 1 + name.length && entry.path.endsWith(name);
    if (isPlain && (entry.type === FILE || entry.type === SYMLINK))
      this.near.set(entry.path.slice(0, slash), parts.slice(0, -1), parent);
    else this.near.forget();
    if (meaning === "opaque") {
      this.states.markOpaque(parent.path);
      return false;
    }
    if (meaning === "whiteout") {
      this.whiteout(parent.fd, parent.path, name.slice(WHITEOUT_PREFIX.length), entry);
      return false;
    }
    const path = parent.path === "" ? name : `${parent.path}/${name}`;
    switch (entry.type) {
      case FILE:
        return this.beginFile(parent.fd, name, path, entry);
      case DIRECTORY:
        this.directory(parent.fd, name, path, entry);
        this.near.setDirectory(entry.path, parts);
        return false;
      case LINK:
        this.hardLink(parts.slice(0, -1), name, path, entry);
        return false;
      case SYMLINK:
        this.symbolicLink(parent.fd, name, path, entry);
        return false;
      case CHARACTER:
      case BLOCK_DEVICE:
      case FIFO:
        this.special(parent.fd, name, path, entry);
        return false;
      default:
        throw new StoreError(
          `${quote(entry.path)} in the archive has the type ${quote(entry.type)}, which cowfs does not know`,
        );
    }
  }

  content(chunk: Buffer, start: number, length: number): void {
    (this.current as NewFile).content(chunk, start, length);
  }

  sparse(chunk: Buffer, start: number, length: number, offset: number): void {
    (this.current as NewFile).sparse(chunk, start, length, offset);
  }

  entryEnd(): void {
    const file = this.current as NewFile;
    const { path, entry } = file;
    file.end();
    this.current = undefined;
    this.size += entry.size;
    // What the archive has of a sparse file is not what the file is: the skeleton keeps it.
    if (!entry.sparse) this.files.set(path, this.skeleton.file(path, entry.size));
  }

  /** Everything is known of a file: of one that a thread makes some time after `entryEnd`, but before its name can be another's. */
  private readonly known = ({ path, entry }: NewFile, content: string, attributes: string): void => {
    this.rows.set(path, rowOf("file", path, S_IFREG, entry, String(entry.size), content, attributes));
  };

  /** Everything has been taken: directories get their attributes. Throws StoreError. */
  finish(): WrittenLayer {
    this.skeleton.end();
    this.orders.settle();
    const { count } = this.lines;
    const { lines, implied, opaqueRoot } = this.states.finish(this.directories);
    return {
      size: this.size,
      entries: this.states.count + this.rows.size + count,
      opaqueRoot,
      manifest: `${lines.join("")}${[...this.rows.values()].join("")}${this.lines.take()}`,
      implied,
      warnings: this.attributes.warnings,
    };
  }

  /** Closes what is open. Safe after a failure; orders must have been carried out. */
  close(): void {
    this.current?.close();
    this.current = undefined;
    this.directories.closeAll();
  }

  // ---- entries ----------------------------------------------------------------------------------------------------

  private beginFile(fd: number, name: string, path: string, entry: TarEntry): boolean {
    if (this.isTaken(path)) this.makeRoom(fd, name, path);
    this.current = new NewFile(fd, name, path, entry, this.fileTools, this.known);
    return true;
  }

  private directory(fd: number, name: string, path: string, entry: TarEntry): void {
    if (this.states.has(path)) {
      this.states.describe(path, entry);
      return;
    }
    // An earlier whiteout of the name hides what is below: the directory that takes its place must too.
    const wasWhiteout = this.isWhiteout(path);
    this.createAt(fd, name, path, () => native.mkdirAs(fd, name, 0o700, this.attributes.uid, this.attributes.gid));
    this.states.describe(path, entry);
    if (wasWhiteout) this.states.markOpaque(path);
  }

  private hardLink(parentParts: string[], name: string, path: string, entry: TarEntry): void {
    const target = components(entry.linkPath);
    if (target.length === 0)
      throw new StoreError(`${quote(entry.path)} in the archive is a hard link to the root of the layer`);
    const targetName = target.pop() as string;
    this.settle();
    const from = this.directories.find(target, false);
    const fromPath = from.path === "" ? targetName : `${from.path}/${targetName}`;
    if (fromPath === path && this.rows.has(path) && !this.isWhiteout(path)) return;
    // The next search may close the descriptor.
    const held = native.openBeneath(from.fd, "", O_PATH | O_DIRECTORY);
    if (held < 0) throw failed("linked", path, held);
    try {
      const { fd } = this.directories.find(parentParts, true);
      if (!this.rows.has(fromPath) || this.isWhiteout(fromPath)) {
        throw new StoreError(
          `${quote(entry.path)} in the archive is a hard link to ${quote(entry.linkPath)}, which the layer does not have before it`,
        );
      }
      this.createAt(fd, name, path, () => native.link(held, targetName, fd, name));
      // It may have become the first name just now, where `path` was that before.
      const original = this.rows.get(fromPath) as string;
      const first = original.startsWith("same ") ? extentOfRow(original) : fromPath;
      this.rows.set(path, sameRow(original, first, path));
      const others = this.otherNames.get(first);
      if (others === undefined) this.otherNames.set(first, new Set([path]));
      else others.add(path);
    } finally {
      native.close(held);
    }
  }

  private symbolicLink(fd: number, name: string, path: string, entry: TarEntry): void {
    const { linkPath } = entry;
    if (linkPath === "" || linkPath.length > 4095 || linkPath.includes("\0")) {
      throw new StoreError(`${quote(entry.path)} in the archive is a symbolic link that leads nowhere`);
    }
    this.createAt(fd, name, path, () => native.symlinkAs(linkPath, fd, name, this.attributes.uid, this.attributes.gid));
    const attributes = this.attributes.set(fd, name, path, entry, entry.mode);
    const content = hex64(this.hashes.h64Raw(Buffer.from(linkPath, "latin1")));
    this.rows.set(path, rowOf("link", path, S_IFLNK, { ...entry, mode: 0o777 }, "-", content, attributes));
  }

  private special(fd: number, name: string, path: string, entry: TarEntry): void {
    const { major, minor } = entry;
    const kind = entry.type === CHARACTER ? S_IFCHR : entry.type === FIFO ? S_IFIFO : S_IFBLK;
    if (kind === S_IFCHR && major === 0 && minor === 0) {
      throw new StoreError(
        `${quote(entry.path)} in the archive is a character device 0:0, which union file systems take for a mark of removal: an archive says .wh. for that`,
      );
    }
    this.createAt(fd, name, path, () =>
      native.mknodAs(fd, name, kind | 0o600, major, minor, this.attributes.uid, this.attributes.gid),
    );
    const attributes = this.attributes.set(fd, name, path, entry, 0o600 & ~this.attributes.umask);
    const type = kind === S_IFCHR ? "char" : kind === S_IFIFO ? "fifo" : "block";
    this.rows.set(path, rowOf(type, path, kind, entry, kind === S_IFIFO ? "-" : `${major}:${minor}`, "-", attributes));
  }

  private whiteout(fd: number, parent: string, name: string, entry: TarEntry): void {
    const path = parent === "" ? name : `${parent}/${name}`;
    // What the layer has itself hides what is below; a directory does so only if it says that.
    if (this.states.has(path)) this.states.markOpaque(path);
    if (this.isTaken(path)) return;
    let made = native.mknodAs(fd, name, S_IFCHR, 0, 0, this.attributes.uid, this.attributes.gid);
    if (made === -EPERM) {
      const file = native.openAs(
        fd,
        WHITEOUT_PREFIX + name,
        O_WRONLY | O_CREAT | O_EXCL,
        0o444,
        this.attributes.uid,
        this.attributes.gid,
      );
      made = file < 0 ? file : native.close(file);
    }
    if (made < 0) throw failed("made", entry.path, made);
    this.rows.set(path, `whiteout 0 0 0 - - - - ${escapePath(path)}\n`);
  }

  // ---- common -----------------------------------------------------------------------------------------------------

  /** All files have been made, and `rows` has a line for each. */
  private settle(): void {
    this.orders.settle();
    const lines = this.lines.take().split("\n");
    // The last one ends, too.
    lines.pop();
    for (const line of lines) this.rows.set(pathOfRow(line), `${line}\n`);
  }

  /** What `create` returns, which makes (fd, name); what was there before goes. */
  private createAt(fd: number, name: string, path: string, create: () => number): number {
    if (this.isTaken(path)) this.makeRoom(fd, name, path);
    const made = create();
    if (made < 0) throw failed("made", path, made);
    return made;
  }

  /** Whether an earlier entry is about this path, or about something in it. */
  private isTaken(path: string): boolean {
    return this.files.has(path) || this.rows.has(path) || this.states.has(path);
  }

  private isWhiteout(path: string): boolean {
    return this.rows.get(path)?.startsWith("whiteout ") === true;
  }

  /** Takes away what an earlier entry made, as tar does; its content may be needed for the archive. Descriptors of other directories stay open. */
  private makeRoom(fd: number, name: string, path: string): void {
    this.near.forget();
    this.settle();
    if (this.states.has(path)) this.takeDirectory(fd, name, path);
    else if (this.files.has(path)) this.keep(path, fd, name);
    else {
      let removed = native.unlink(fd, name, 0);
      if (removed === -ENOENT && this.isWhiteout(path)) removed = native.unlink(fd, WHITEOUT_PREFIX + name, 0);
      if (removed < 0 && removed !== -ENOENT) throw failed("replaced", path, removed);
    }
    this.unlist(path);
  }

  /** A name is gone. If it was the first of several, the next one is. */
  private unlist(path: string): void {
    const row = this.rows.get(path);
    this.rows.delete(path);
    if (row?.startsWith("same ")) this.otherNames.get(extentOfRow(row))?.delete(path);
    const [next, ...others] = this.otherNames.get(path) ?? [];
    this.otherNames.delete(path);
    if (next === undefined && row?.startsWith("file ")) this.size -= Number(extentOfRow(row));
    if (row === undefined || next === undefined) return;
    this.rows.set(next, renamedRow(row, next));
    for (const name of others) this.rows.set(name, sameRow(row, next, name));
    this.otherNames.set(next, new Set(others));
  }

  private takeDirectory(fd: number, name: string, path: string): void {
    const aside = `${this.replacedPath()}/tree`;
    const moved = native.rename(fd, name, AT_FDCWD, aside, 0);
    if (moved < 0) throw failed("replaced", path, moved);
    const below = `${path}/`;
    for (const key of [...this.files.keys()]) {
      // No part of the path is a link: it is the real one.
      if (key.startsWith(below)) this.keep(key, AT_FDCWD, `${aside}/${key.slice(below.length)}`);
    }
    for (const key of [...this.rows.keys()]) if (key.startsWith(below)) this.unlist(key);
    this.states.forget(path);
    this.directories.forget(path);
    rmSync(Buffer.from(aside, "latin1"), { recursive: true });
  }

  /** Takes a file of the layer, which is (dirfd, name) now, to where the skeleton finds it. */
  private keep(path: string, dirfd: number, name: string): void {
    const number = this.files.get(path) as number;
    const isLinked = (this.otherNames.get(path)?.size ?? 0) > 0;
    const moved = keepFile(dirfd, name, `${this.replacedPath()}/${number}`, isLinked);
    if (moved < 0) throw failed("replaced", path, moved);
    this.files.delete(path);
  }

  /** As bytes. */
  private replacedPath(): string {
    return Buffer.from(this.replaced(), "utf8").toString("latin1");
  }
}
