/** Makes the tree of a layer from the entries of its archive. Archives are anybody's: nothing they say reaches outside the tree. */
import { readFileSync, rmSync } from "node:fs";
import { EEXIST, EINVAL, ENODATA, ENOENT, EOPNOTSUPP, EPERM, errnoName } from "../../errno.js";
import { trustedNames, userNames } from "../../layer/mark-names.js";
import { WHITEOUT_PREFIX } from "../../layer/marks.js";
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFREG } from "../../layer/stat.js";
import { O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_WRONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { LayerDirectories } from "./layer-directories.js";
import { components, meaningOf, quote, storedAttribute } from "./layer-names.js";
import {
  escapePath,
  formatRow,
  formatTime,
  type Hashes,
  hashAttributes,
  hex64,
  readAttributes,
} from "./quick-manifest.js";
import { SkeletonWriter } from "./skeleton.js";
import { BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, LINK, SYMLINK, type TarEntry } from "./tar-header.js";
import type { TarHandler } from "./tar-parser.js";

/** A directory: its attributes are set when nothing changes in it any more. */
interface DirectoryState {
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  mtimeNsec: number;
  attributes: Map<string, string> | undefined;
  opaque: boolean;
  /** No entry of the archive is about it. */
  implied: boolean;
}

/** The file whose content is coming. */
interface CurrentFile {
  readonly fd: number;
  readonly path: string;
  readonly entry: TarEntry;
  /** Unless the content comes in one piece. */
  stream: ReturnType<Hashes["create64"]> | undefined;
  hash: bigint;
  written: number;
}

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

const mostWarnings = 20;

export class LayerWriter implements TarHandler {
  private readonly skeleton: SkeletonWriter;
  /** Bits that the process takes out of the mode of what it makes. */
  private readonly umask: number;
  private readonly directories: LayerDirectories;
  private readonly states = new Map<string, DirectoryState>();
  /** The manifest's lines of everything but directories. */
  private readonly rows = new Map<string, string>();
  /** Files of the tree by path: size, and number in the skeleton. */
  private readonly files = new Map<string, { readonly size: number; readonly number: number }>();
  private readonly uid = process.geteuid?.() ?? 0;
  private readonly gid = process.getegid?.() ?? 0;
  private readonly warnings: string[] = [];
  private current: CurrentFile | undefined;
  /** The directory part of the last entry's path, as the archive writes it, and that directory while it is sure to be open. */
  private near = "";
  private nearParent: { readonly fd: number; readonly path: string } | undefined;
  private attributesByUser = false;

  /**
   * `root` is the tree, an O_PATH descriptor of an empty directory; `replaced` makes a directory for files that later entries of the same name
   * replace, and gives its path.
   */
  constructor(
    root: number,
    private readonly replaced: () => string,
    private readonly hashes: Hashes,
    skeleton: (piece: Buffer) => void,
  ) {
    this.umask = currentUmask();
    this.skeleton = new SkeletonWriter(skeleton);
    this.directories = new LayerDirectories(root, (path) => this.implied(path));
    this.implied("");
  }

  raw(chunk: Buffer, start: number, length: number): void {
    this.skeleton.bytes(chunk, start, length);
  }

  entry(entry: TarEntry): boolean {
    // Most entries lie where the one before them did. A name that begins with a point may be special.
    const slash = entry.path.lastIndexOf("/");
    const letter = entry.path.charCodeAt(slash + 1);
    if (
      entry.type === FILE &&
      entry.lostAcl === undefined &&
      slash === this.near.length &&
      letter !== 0x2e &&
      entry.path.startsWith(this.near)
    ) {
      const name = entry.path.slice(slash + 1);
      const parent = this.nearParent;
      if (parent !== undefined && name.length <= 255 && !name.includes("\0")) {
        return this.beginFile(parent.fd, name, parent.path === "" ? name : `${parent.path}/${name}`, entry);
      }
    }
    const parts = components(entry.path);
    const meaning = meaningOf(parts);
    if (entry.lostAcl !== undefined)
      this.warn(`${quote(entry.path)} lost its ACL ${quote(entry.lostAcl)}: somebody in it is unknown here`);
    if (meaning === "metadata") return false;
    if (parts.length === 0) {
      if (entry.type === DIRECTORY) this.setDirectory("", entry);
      return false;
    }
    const name = parts[parts.length - 1] as string;
    const parent = this.directories.find(parts.slice(0, -1), true);
    this.nearParent = entry.type === FILE && slash > 0 ? parent : undefined;
    this.near = entry.path.slice(0, Math.max(slash, 0));
    if (meaning === "opaque") {
      this.state(parent.path).opaque = true;
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
    const file = this.current as CurrentFile;
    const result = native.pwrite(file.fd, chunk, start, length, file.written);
    if (result !== length) throw this.failed("written", file.path, result < 0 ? result : -28);
    file.written += length;
    const piece = chunk.subarray(start, start + length);
    if (length === file.entry.size) file.hash = this.hashes.h64Raw(piece);
    else {
      file.stream ??= this.hashes.create64();
      file.stream.update(piece);
    }
  }

  entryEnd(): void {
    const file = this.current as CurrentFile;
    this.current = undefined;
    const { fd, path, entry } = file;
    const hash = file.stream?.digest() ?? file.hash;
    const attributes = this.setAttributes(fd, "", path, entry, entry.mode & ~this.umask & 0o777);
    const closed = native.close(fd);
    if (closed < 0) throw this.failed("written", path, closed);
    this.rows.set(path, this.row("file", path, S_IFREG, entry, String(entry.size), hex64(hash), attributes));
  }

  /** Everything has been taken: directories get their attributes. Throws StoreError. */
  finish(): WrittenLayer {
    this.skeleton.end();
    // The deepest first: one without search permission keeps out whoever is not root.
    const paths = [...this.states.keys()].sort().reverse();
    const lines: string[] = [];
    for (const path of paths) lines.push(this.finishDirectory(path, this.states.get(path) as DirectoryState));
    const manifest = `${lines.reverse().join("")}${[...this.rows.values()].join("")}`;
    let size = 0;
    for (const file of this.files.values()) size += file.size;
    const implied = paths.filter((path) => this.states.get(path)?.implied === true).reverse();
    const opaqueRoot = this.states.get("")?.opaque === true;
    return {
      size,
      entries: this.states.size - 1 + this.rows.size,
      opaqueRoot,
      manifest,
      implied,
      warnings: this.warnings,
    };
  }

  /** Closes what is open. Safe after a failure. */
  close(): void {
    if (this.current !== undefined) native.close(this.current.fd);
    this.current = undefined;
    this.directories.forget();
  }

  // ---- entries ----------------------------------------------------------------------------------------------------

  private beginFile(fd: number, name: string, path: string, entry: TarEntry): boolean {
    const flags = O_WRONLY | O_CREAT | O_EXCL;
    const mode = entry.mode & 0o777;
    let file = native.openAs(fd, name, flags, mode, this.uid, this.gid);
    if (file === -EEXIST) {
      this.makeRoom(fd, name, path);
      file = native.openAs(fd, name, flags, mode, this.uid, this.gid);
    }
    if (file < 0) throw this.failed("made", path, file);
    const number = this.skeleton.file(path, entry.size);
    this.files.set(path, { size: entry.size, number });
    this.current = { fd: file, path, entry, stream: undefined, hash: emptyHash, written: 0 };
    return true;
  }

  private directory(fd: number, name: string, path: string, entry: TarEntry): void {
    const known = this.states.get(path);
    if (known === undefined) {
      let made = native.mkdirAs(fd, name, 0o700, this.uid, this.gid);
      if (made === -EEXIST) {
        const wasWhiteout = this.rows.get(path)?.startsWith("whiteout ") === true;
        this.makeRoom(fd, name, path);
        made = native.mkdirAs(fd, name, 0o700, this.uid, this.gid);
        if (wasWhiteout) this.opaqueSoon.add(path);
      }
      if (made < 0) throw this.failed("made", path, made);
    }
    this.setDirectory(path, entry);
  }

  private setDirectory(path: string, entry: TarEntry): void {
    const { mode, uid, gid, mtime, mtimeNsec } = entry;
    const opaque = this.states.get(path)?.opaque === true || this.opaqueSoon.delete(path);
    this.states.set(path, { mode, uid, gid, mtime, mtimeNsec, attributes: entry.xattrs, opaque, implied: false });
  }
  private readonly opaqueSoon = new Set<string>();

  private hardLink(parentParts: string[], name: string, path: string, entry: TarEntry): void {
    const target = components(entry.linkPath);
    if (target.length === 0)
      throw new StoreError(`${quote(entry.path)} in the archive is a hard link to the root of the layer`);
    const targetName = target.pop() as string;
    const from = this.directories.find(target, false);
    const fromPath = from.path === "" ? targetName : `${from.path}/${targetName}`;
    if (fromPath === path) return;
    // The next search may close the descriptor.
    const held = native.openBeneath(from.fd, "", O_PATH | O_DIRECTORY);
    if (held < 0) throw this.failed("linked", path, held);
    try {
      const { fd } = this.directories.find(parentParts, true);
      const original = this.rows.get(fromPath);
      if (original === undefined || original.startsWith("whiteout ")) {
        throw new StoreError(
          `${quote(entry.path)} in the archive is a hard link to ${quote(entry.linkPath)}, which the layer does not have before it`,
        );
      }
      let linked = native.link(held, targetName, fd, name);
      if (linked === -EEXIST) {
        this.makeRoom(fd, name, path);
        linked = native.link(held, targetName, fd, name);
      }
      if (linked < 0) throw this.failed("linked", path, linked);
      this.rows.set(path, original.startsWith("same ") ? renamed(original, path) : sameAs(original, fromPath, path));
    } finally {
      native.close(held);
    }
  }

  private symbolicLink(fd: number, name: string, path: string, entry: TarEntry): void {
    const { linkPath } = entry;
    if (linkPath === "" || linkPath.length > 4095 || linkPath.includes("\0")) {
      throw new StoreError(`${quote(entry.path)} in the archive is a symbolic link that leads nowhere`);
    }
    this.createAt(fd, name, path, () => native.symlinkAs(linkPath, fd, name, this.uid, this.gid));
    const attributes = this.setAttributes(fd, name, path, entry, entry.mode);
    const content = hex64(this.hashes.h64Raw(Buffer.from(linkPath, "latin1")));
    this.rows.set(path, this.row("link", path, 0o120000, { ...entry, mode: 0o777 }, "-", content, attributes));
  }

  private special(fd: number, name: string, path: string, entry: TarEntry): void {
    const { major, minor } = entry;
    const kind = entry.type === CHARACTER ? S_IFCHR : entry.type === FIFO ? S_IFIFO : S_IFBLK;
    if (kind === S_IFCHR && major === 0 && minor === 0) {
      throw new StoreError(
        `${quote(entry.path)} in the archive is a character device 0:0, which union file systems take for a mark of removal: an archive says .wh. for that`,
      );
    }
    this.createAt(fd, name, path, () => native.mknodAs(fd, name, kind | 0o600, major, minor, this.uid, this.gid));
    const attributes = this.setAttributes(fd, name, path, entry, 0o600 & ~this.umask);
    const type = kind === S_IFCHR ? "char" : kind === S_IFIFO ? "fifo" : "block";
    this.rows.set(
      path,
      this.row(type, path, kind, entry, kind === S_IFIFO ? "-" : `${major}:${minor}`, "-", attributes),
    );
  }

  private whiteout(fd: number, parent: string, name: string, entry: TarEntry): void {
    const path = parent === "" ? name : `${parent}/${name}`;
    const state = this.states.get(path);
    // What the layer has itself hides what is below; a directory does so only if it says that.
    if (state !== undefined) state.opaque = true;
    if (state !== undefined || this.rows.has(path)) return;
    let made = native.mknodAs(fd, name, S_IFCHR, 0, 0, this.uid, this.gid);
    if (made === -EPERM) {
      const file = native.openAs(fd, WHITEOUT_PREFIX + name, O_WRONLY | O_CREAT | O_EXCL, 0o444, this.uid, this.gid);
      made = file < 0 ? file : native.close(file);
    }
    if (made < 0) throw this.failed("made", entry.path, made);
    this.rows.set(path, `whiteout 0 0 0 - - - - ${escapePath(path)}\n`);
  }

  // ---- common -----------------------------------------------------------------------------------------------------

  private createAt(fd: number, name: string, path: string, create: () => number): void {
    let made = create();
    if (made === -EEXIST) {
      this.makeRoom(fd, name, path);
      made = create();
    }
    if (made < 0) throw this.failed("made", path, made);
  }

  /** Takes away what an earlier entry made, as tar does; its content may be needed for the archive. */
  private makeRoom(fd: number, name: string, path: string): void {
    this.nearParent = undefined;
    if (this.states.has(path)) {
      const below = `${path}/`;
      for (const key of [...this.files.keys()]) if (key.startsWith(below)) this.keep(key);
      for (const key of [...this.rows.keys()]) if (key.startsWith(below)) this.rows.delete(key);
      for (const key of [...this.states.keys()]) if (key === path || key.startsWith(below)) this.states.delete(key);
      this.directories.forget();
      const parent = this.directories.find(path.split("/").slice(0, -1), false);
      rmSync(Buffer.from(`/proc/self/fd/${parent.fd}/${name}`, "latin1"), { recursive: true });
      return;
    }
    if (this.files.has(path)) this.keep(path);
    else {
      const removed = native.unlink(fd, name, 0);
      if (removed < 0 && removed !== -ENOENT) throw this.failed("replaced", path, removed);
    }
    this.rows.delete(path);
  }

  /** Moves a file out of the tree, to where the skeleton finds it. */
  private keep(path: string): void {
    const parts = path.split("/");
    const name = parts.pop() as string;
    const { number } = this.files.get(path) as { number: number };
    const parent = this.directories.find(parts, false);
    const target = Buffer.from(`${this.replaced()}/${number}`, "utf8").toString("latin1");
    const moved = native.rename(parent.fd, name, -100, target, 0);
    if (moved < 0) throw this.failed("replaced", path, moved);
    this.files.delete(path);
  }

  private implied(path: string): void {
    if (this.states.has(path)) return;
    this.states.set(path, {
      mode: 0o755,
      uid: this.uid,
      gid: this.gid,
      mtime: 0,
      mtimeNsec: 0,
      attributes: undefined,
      opaque: false,
      implied: true,
    });
  }

  private state(path: string): DirectoryState {
    this.implied(path);
    return this.states.get(path) as DirectoryState;
  }

  private row(
    type: string,
    path: string,
    kind: number,
    { mode, uid, gid, mtime, mtimeNsec }: Pick<TarEntry, "mode" | "uid" | "gid" | "mtime" | "mtimeNsec">,
    extent: string,
    content: string,
    attributes: string,
  ): string {
    const time = formatTime(mtime, mtimeNsec);
    return formatRow({ type, mode: kind | mode, uid, gid, extent, time, content, attributes, path });
  }

  /** Owner, mode, attributes and times of a new object; the hash of the attributes it has now. The order is the kernel's wish: a change of owner takes set-id bits and capabilities. */
  private setAttributes(fd: number, name: string, path: string, entry: TarEntry, mode: number): string {
    const { uid, gid } = entry;
    if (uid !== this.uid || gid !== this.gid) {
      const result = native.chown(fd, name, uid, gid);
      if (result < 0) throw this.refusedOwner(path, uid, gid, result);
    }
    if (mode !== entry.mode) {
      const result = native.chmod(fd, name, entry.mode);
      if (result < 0) throw this.failed("given its mode", path, result);
    }
    if (entry.xattrs !== undefined) this.setXattrs(fd, name, path, entry.xattrs);
    const result = native.utimens(fd, name, entry.mtime, entry.mtimeNsec, entry.mtime, entry.mtimeNsec);
    if (result < 0) throw this.failed("given its time", path, result);
    return entry.xattrs === undefined ? "-" : this.hashOfAttributes(fd, name, path);
  }

  /** Of what the file system made of them: an ACL that says no more than the mode is none. */
  private hashOfAttributes(fd: number, name: string, path: string): string {
    const attributes = readAttributes(fd, name);
    if (typeof attributes === "number") throw this.failed("asked for its attributes", path, attributes);
    return hashAttributes(this.hashes, attributes);
  }

  private setXattrs(fd: number, name: string, path: string, attributes: Map<string, string>): void {
    for (const [attribute, value] of attributes) {
      const stored = storedAttribute(attribute);
      if (stored === undefined) {
        this.warn(`${quote(path)} lost its attribute ${attribute}, which would be taken for a mark`);
        continue;
      }
      const result = native.setxattr(fd, name, stored, Buffer.from(value, "latin1"), 0);
      if (result === 0) continue;
      if (result === -EOPNOTSUPP || result === -EPERM || result === -EINVAL || result === -ENODATA) {
        this.warn(`${quote(path)} lost its attribute ${attribute}: ${errnoName(result)}`);
      } else throw this.failed(`given its attribute ${attribute}`, path, result);
    }
  }

  private finishDirectory(path: string, state: DirectoryState): string {
    const { fd, path: real } = this.directories.find(path === "" ? [] : path.split("/"), false);
    if (real !== path) throw new StoreError(`${quote(path)} in the archive is a directory, and later a link`);
    if (state.uid !== this.uid || state.gid !== this.gid) {
      const result = native.chown(fd, "", state.uid, state.gid);
      if (result < 0) throw this.refusedOwner(path, state.uid, state.gid, result);
    }
    if (state.attributes !== undefined) this.setXattrs(fd, "", path, state.attributes);
    if (state.opaque) this.setOpaque(fd, path);
    let result = native.chmod(fd, "", state.mode);
    if (result < 0) throw this.failed("given its mode", path, result);
    result = native.utimens(fd, "", state.mtime, state.mtimeNsec, state.mtime, state.mtimeNsec);
    if (result < 0) throw this.failed("given its time", path, result);
    const content = state.opaque ? "opaque" : "-";
    const attributes = state.attributes === undefined ? "-" : this.hashOfAttributes(fd, "", path);
    return this.row(state.implied ? "implied" : "dir", path, 0o040000, state, "-", content, attributes);
  }

  private setOpaque(fd: number, path: string): void {
    let result = this.attributesByUser ? -EPERM : native.setxattr(fd, "", trustedNames.opaque, yes, 0);
    if (result === -EPERM) {
      this.attributesByUser = true;
      result = native.setxattr(fd, "", userNames.opaque, yes, 0);
    }
    if (result < 0) throw this.failed("marked as opaque", path, result);
  }

  private warn(message: string): void {
    if (this.warnings.length < mostWarnings) this.warnings.push(message);
  }

  private refusedOwner(path: string, uid: number, gid: number, result: number): StoreError {
    const hint =
      result === -EPERM || result === -EINVAL ? "; it needs root, or a user namespace that has these ids" : "";
    return new StoreError(`${quote(path)} cannot be given its owner ${uid}:${gid}: ${errnoName(result)}${hint}`);
  }

  private failed(what: string, path: string, result: number): StoreError {
    return new StoreError(`${quote(path)} of a layer cannot be ${what}: ${errnoName(result)}`);
  }
}

const yes = Buffer.from("y");
/** XXH64 of nothing. */
const emptyHash = 0xef46db3751d8e999n;

/** The line of another name of the object that the line `original` is about. */
function sameAs(original: string, first: string, path: string): string {
  const fields = original.trimEnd().split(" ");
  return formatRow({
    type: "same",
    mode: Number.parseInt(fields[1] as string, 8),
    uid: 0,
    gid: 0,
    extent: escapePath(first),
    time: "-",
    content: "-",
    attributes: "-",
    path,
  });
}

function renamed(same: string, path: string): string {
  return `${same.slice(0, same.lastIndexOf(" "))} ${escapePath(path)}\n`;
}

/** The process's umask(2), which can only be asked for by changing it, for all threads. */
function currentUmask(): number {
  const status = readFileSync("/proc/self/status", "latin1");
  const digits = /^Umask:\s*([0-7]+)$/m.exec(status)?.[1];
  // Where it is not told, every mode is set.
  return digits === undefined ? 0o777 : Number.parseInt(digits, 8);
}
