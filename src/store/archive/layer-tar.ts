/**
 * The tar archive of a tree: the same tree gives the same bytes. Names are in the order of their bytes, a directory before what is in it; times have their
 * nanoseconds; the second name of a file is a hard link to the first; sockets are left out, as tar does.
 */
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { errnoName, isAbsent } from "../../errno.js";
import { type EntrySink, readListing } from "../../layer/listing.js";
import { openBelow } from "../../layer/long-path.js";
import {
  classifyMarkedName,
  type DirectoryMarks,
  HAS_METACOPY,
  isNoAttribute,
  NAME_GONE,
  NAME_PLAIN,
  NAME_WHITEOUT,
  OPAQUE_MARKER,
  readMarks,
  readObjectMarks,
  readPlain,
  readXattrWhiteout,
  WHITEOUT_PREFIX,
} from "../../layer/marks.js";
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK, STATX_ALL, Stat } from "../../layer/stat.js";
import { O_DIRECTORY, O_NOATIME, O_NOFOLLOW, O_PATH, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { interruption } from "../interruption.js";
import { archivedAttribute, quote } from "./layer-names.js";
import { checkName, noDevice, noName, splitPath } from "./layer-tar-names.js";
import {
  BLOCK_DEVICE,
  CHARACTER,
  DIRECTORY,
  encodeHeader,
  endOfArchive,
  FIFO,
  FILE,
  LINK,
  ofRoot,
  padding,
  SYMLINK,
  type TarHeader,
} from "./tar-header.js";

/** What a tree is: an upper or layer, whose whiteouts and opaque directories are written as `.wh.` names, or a plain tree. */
export type ArchiveMarks = "overlay" | "none";

export interface LayerTarOptions {
  readonly marks: ArchiveMarks;
  /**
   * For an upper: where it is mounted together with its lower layers. What the upper has only in part, files without their data and directories
   * under another name than below, is read there. Without it such objects are refused.
   */
  readonly merged?: string;
  /** Names that the layers below lack or have as another file: absolute, each a hard link to another name (`first`) of the tree. */
  readonly linked?: readonly { readonly path: string; readonly first: string }[];
  /** Times that are later than this one are written as this one, in seconds since 1970. */
  readonly latest?: number | undefined;
}

/** Writes the archive of the directory `tree` to a stream, and ends that. Throws StoreError for what cannot be read or said. */
export async function writeLayerTar(tree: string, writable: Writable, options: LayerTarOptions): Promise<void> {
  await pipeline(Readable.from(layerTarChunks(tree, options)), writable, { signal: interruption });
}

/** Pieces of an archive, each a new buffer. */
const pieceSize = 512 * 1024;

/** The archive of the directory `tree`, in pieces. Throws StoreError. */
export function* layerTarChunks(
  tree: string,
  { marks, merged, linked = [], latest }: LayerTarOptions,
): Generator<Buffer> {
  const root = openTree(tree);
  const whole = merged === undefined ? -1 : openTree(merged);
  try {
    const archiver = new Archiver(tree, whole, latest ?? Number.POSITIVE_INFINITY);
    yield* archiver.all(root, marks === "overlay");
    for (const { path, first } of linked) yield* archiver.link(root, path.slice(1), first.slice(1));
    yield* archiver.end();
  } finally {
    native.close(root);
    if (whole >= 0) native.close(whole);
  }
}

/** Something that a plain tree has, or has no more. */
export interface TreeChange {
  /** D: it is gone. */
  readonly kind: "A" | "C" | "D";
  /** Absolute, below the tree; bytes in a latin1 string. */
  readonly path: string;
}

/**
 * The archive of a layer that makes these changes, in pieces: the objects as the plain tree `tree` has them, each without what is below it, and whiteouts.
 * A directory comes before what is in it. Throws StoreError.
 */
export function* changesTarChunks(tree: string, changes: Iterable<TreeChange>): Generator<Buffer> {
  const root = openTree(tree);
  try {
    const archiver = new Archiver(tree, -1, Number.POSITIVE_INFINITY);
    yield* archiver.only(root, "");
    for (const { kind, path } of changes) {
      if (kind === "D") yield* archiver.gone(path.slice(1));
      else yield* archiver.only(root, path.slice(1));
    }
    yield* archiver.end();
  } finally {
    native.close(root);
  }
}

function openTree(path: string): number {
  const fd = native.openFollow(Buffer.from(path, "utf8").toString("latin1"), O_PATH | O_DIRECTORY);
  if (fd < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(fd)}`);
  return fd;
}

/** A directory that is being written. */
interface Level {
  readonly fd: number;
  readonly path: string;
  readonly isLayer: boolean;
  xattrWhiteouts: boolean;
  names: readonly string[];
  /** The first of the names that was not written yet. */
  next: number;
}

/** The root is the caller's. */
function leave(levels: Level[], root: number): void {
  const level = levels.pop();
  if (level !== undefined && level.fd !== root) native.close(level.fd);
}

class Archiver {
  private readonly stat = new Stat();
  private readonly names = Buffer.alloc(64 * 1024);
  private readonly value = Buffer.alloc(64 * 1024);
  /** Files with several links, by device and inode: the path of their first name. */
  private readonly links = new Map<string, string>();
  private piece = Buffer.allocUnsafeSlow(pieceSize);
  private used = 0;

  constructor(
    private readonly tree: string,
    /** The merged view, or -1. */
    private readonly merged: number,
    private readonly latest: number,
  ) {}

  /** The directory behind `root`, and all in it: not one call in the next, since directories may lie deeper in each other than calls can. */
  *all(root: number, isLayer: boolean): Generator<Buffer> {
    const levels: Level[] = [];
    try {
      yield* this.enter(levels, root, "", isLayer);
      for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
        const name = level.names[level.next++];
        if (name === undefined) leave(levels, root);
        else yield* this.entry(levels, level, name);
      }
    } finally {
      while (levels.length > 0) leave(levels, root);
    }
  }

  /** The directory behind `fd`, known as `path` in the archive; what is in it comes next. */
  private *enter(levels: Level[], fd: number, path: string, isLayer: boolean): Generator<Buffer> {
    const level: Level = { fd, path, isLayer, xattrWhiteouts: false, names: [], next: 0 };
    levels.push(level);
    this.check(native.statx(fd, "", STATX_ALL, this.stat.bytes), path);
    yield* this.add(
      encodeHeader(this.header(path === "" ? "./" : `${path}/`, DIRECTORY), this.attributes(fd, "", path, isLayer)),
    );
    if (isLayer) {
      const marks: DirectoryMarks = { opaque: false, xattrWhiteouts: false, redirect: null, byUser: false };
      this.check(readMarks(fd, "", false, marks), path);
      if (marks.redirect !== null) this.redirect(levels, path);
      else level.xattrWhiteouts = marks.xattrWhiteouts;
      if (marks.opaque || marks.redirect !== null) yield* this.add(this.whiteout(path, OPAQUE_MARKER));
    }
    const at = levels.at(-1) as Level;
    const names: string[] = [];
    const sink: EntrySink = { entry: (name) => void names.push(name) };
    this.check(readListing(at.fd, sink), path);
    at.names = names.sort();
  }

  /** The object `path` of a plain tree, without what is in it. */
  *only(root: number, path: string): Generator<Buffer> {
    const [parent, name] = splitPath(path);
    checkName(name, path);
    const fd = openBelow(root, parent, O_PATH | O_DIRECTORY);
    this.check(fd, path);
    try {
      this.check(native.statx(fd, name, STATX_ALL, this.stat.bytes), path);
      if (this.stat.isWhiteoutDevice) throw noDevice(path);
      if (!this.stat.isDirectory) yield* this.object(fd, name, path, false);
      else {
        const header = this.header(path === "" ? "./" : `${path}/`, DIRECTORY);
        yield* this.add(encodeHeader(header, this.attributes(fd, name, path, false)));
      }
    } finally {
      native.close(fd);
    }
  }

  /** One more name of a file that is in the archive. */
  *link(root: number, path: string, first: string): Generator<Buffer> {
    const fd = openBelow(root, first, O_PATH | O_NOFOLLOW);
    this.check(fd, first);
    this.check(native.statx(fd, "", STATX_ALL, this.stat.bytes), first);
    native.close(fd);
    yield* this.add(encodeHeader({ ...this.header(path, LINK), linkPath: first }));
  }

  /** Says that the layers below have nothing at `path`. */
  *gone(path: string): Generator<Buffer> {
    const [parent, name] = splitPath(path);
    checkName(name, path);
    yield* this.add(this.whiteout(parent, WHITEOUT_PREFIX + name));
  }

  /** What a directory has under a name; of a directory, what is in it comes next. */
  private *entry(levels: Level[], { fd, path, isLayer, xattrWhiteouts }: Level, name: string): Generator<Buffer> {
    const { stat } = this;
    const full = path === "" ? name : `${path}/${name}`;
    this.check(native.statx(fd, name, STATX_ALL, stat.bytes), full);
    if (isLayer) {
      const gone = this.whiteoutAt(fd, name, full, xattrWhiteouts);
      if (gone === null) return;
      if (gone !== undefined) {
        yield* this.add(this.whiteout(path, WHITEOUT_PREFIX + gone));
        return;
      }
    }
    if (!stat.isDirectory) {
      yield* this.object(fd, name, full, isLayer);
      return;
    }
    const next = native.openBeneath(fd, name, O_PATH | O_DIRECTORY);
    this.check(next, full);
    yield* this.enter(levels, next, full, isLayer);
  }

  *end(): Generator<Buffer> {
    yield* this.add(endOfArchive);
    if (this.used > 0) yield this.piece.subarray(0, this.used);
  }

  /** The name that the object (fd, name), which `stat` describes, hides; null if it is a mark of another kind, undefined if it is none. */
  private whiteoutAt(fd: number, name: string, path: string, xattrWhiteouts: boolean): string | null | undefined {
    const { stat } = this;
    if (stat.isWhiteoutDevice) {
      if (this.check(readPlain(fd, name), path) === 0) return name;
      throw noDevice(path);
    }
    if (xattrWhiteouts && stat.isRegular && stat.size === 0 && this.check(readXattrWhiteout(fd, name), path) === 1)
      return name;
    if (!name.startsWith(WHITEOUT_PREFIX)) return undefined;
    const kind = this.check(classifyMarkedName(fd, name, stat), path);
    if (kind === NAME_WHITEOUT) return name.slice(WHITEOUT_PREFIX.length);
    if (kind === NAME_GONE) return name;
    if (kind !== NAME_PLAIN) return null;
    throw noName(path);
  }

  /**
   * Everything of a directory whose lower parts have another name is in the archive, and nothing of what lies below its name: what is in it is read
   * in the merged view.
   */
  private redirect(levels: Level[], path: string): void {
    if (this.merged < 0) {
      throw new StoreError(
        `${quote(path)} in ${this.tree} was renamed, and is complete only in the mount: it cannot be read from the layer alone`,
      );
    }
    const fd = openBelow(this.merged, path, O_PATH | O_DIRECTORY);
    this.check(fd, path);
    levels.push({ fd, path, isLayer: false, xattrWhiteouts: false, names: [], next: 0 });
  }

  /** Anything but a directory; `stat` describes it. */
  private *object(fd: number, name: string, path: string, isLayer: boolean): Generator<Buffer> {
    const { stat } = this;
    if (stat.type === S_IFSOCK) return;
    if (stat.nlink > 1) {
      const key = `${stat.devMajor}:${stat.devMinor}:${stat.inoHigh}:${stat.inoLow}`;
      const first = this.links.get(key);
      if (first !== undefined) {
        yield* this.add(encodeHeader({ ...this.header(path, LINK), linkPath: first }));
        return;
      }
      this.links.set(key, path);
    }
    if (stat.isRegular) {
      yield* this.file(fd, name, path, isLayer);
      return;
    }
    const header = this.header(path, specialTypes.get(stat.type) ?? SYMLINK);
    if (stat.isSymlink) {
      const length = this.check(native.readlink(fd, name, this.value), path);
      header.linkPath = this.value.latin1Slice(0, length);
      header.mode = 0o777;
    } else if (stat.type !== S_IFIFO) {
      header.major = stat.rdevMajor;
      header.minor = stat.rdevMinor;
    }
    yield* this.add(encodeHeader(header, this.attributes(fd, name, path, isLayer)));
  }

  private *file(fd: number, name: string, path: string, isLayer: boolean): Generator<Buffer> {
    const { size } = this.stat;
    const head = encodeHeader({ ...this.header(path, FILE), size }, this.attributes(fd, name, path, isLayer));
    let input: number;
    if (isLayer && (this.check(readObjectMarks(fd, name), path) & HAS_METACOPY) !== 0) {
      if (this.merged < 0) {
        throw new StoreError(
          `${quote(path)} in ${this.tree} has its data in a layer below: it cannot be read from the layer alone`,
        );
      }
      input = openBelow(this.merged, path, O_RDONLY);
    } else {
      input = native.open(fd, name, O_RDONLY | O_NOATIME, 0);
      if (input === -1) input = native.open(fd, name, O_RDONLY, 0);
    }
    this.check(input, path);
    try {
      yield* this.add(head);
      for (let at = 0; at < size; ) {
        if (this.used === pieceSize) yield this.turn();
        const room = Math.min(pieceSize - this.used, size - at);
        const length = this.check(native.pread(input, this.piece, this.used, room, at), path);
        if (length === 0) throw new StoreError(`${quote(path)} in ${this.tree} became shorter while it was read`);
        this.used += length;
        at += length;
      }
      yield* this.add(padding(size));
    } finally {
      native.close(input);
    }
  }

  private header(path: string, type: string): TarHeader {
    const { mode, uid, gid } = this.stat;
    const isLate = this.stat.mtime >= this.latest;
    const mtime = isLate ? this.latest : this.stat.mtime;
    const mtimeNsec = isLate ? 0 : this.stat.mtimeNsec;
    return { path, type, mode: mode & 0o7777, uid, gid, size: 0, mtime, mtimeNsec, linkPath: "", major: 0, minor: 0 };
  }

  private whiteout(directory: string, name: string): Buffer {
    const path = directory === "" ? name : `${directory}/${name}`;
    return encodeHeader({ ...ofRoot, path, type: FILE, mode: 0o600, size: 0 });
  }

  /** The pax records of the attributes of an object; three system calls for each attribute less than two. */
  private attributes(fd: number, name: string, path: string, isLayer: boolean): Map<string, string> {
    const records = new Map<string, string>();
    const listed = native.listxattr(fd, name, this.names);
    if (isNoAttribute(listed)) return records;
    const length = this.check(listed, path);
    if (length === 0) return records;
    for (const attribute of this.names
      .latin1Slice(0, length - 1)
      .split("\0")
      .sort()) {
      if (ofMachine.has(attribute)) continue;
      const archived = isLayer ? archivedAttribute(attribute) : attribute;
      if (archived === undefined) continue;
      const size = native.getxattr(fd, name, attribute, this.value);
      // Somebody may have removed it meanwhile; an object that is itself gone is found by the next call.
      if (isNoAttribute(size)) continue;
      records.set(`SCHILY.xattr.${archived}`, this.value.latin1Slice(0, this.check(size, path)));
    }
    return records;
  }

  private *add(bytes: Buffer): Generator<Buffer> {
    for (let at = 0; at < bytes.length; ) {
      if (this.used === pieceSize) yield this.turn();
      const copied = bytes.copy(this.piece, this.used, at);
      this.used += copied;
      at += copied;
    }
  }

  private turn(): Buffer {
    const full = this.piece;
    this.piece = Buffer.allocUnsafeSlow(pieceSize);
    this.used = 0;
    return full;
  }

  /** A result that is no failure. */
  private check(result: number, path: string): number {
    if (result >= 0) return result;
    const why = isAbsent(result) ? "it is gone: something changes the directory" : errnoName(result);
    throw new StoreError(`${quote(path === "" ? "/" : path)} in ${this.tree} cannot be read: ${why}`);
  }
}

const specialTypes = new Map([
  [S_IFCHR, CHARACTER],
  [S_IFBLK, BLOCK_DEVICE],
  [S_IFIFO, FIFO],
]);

/** Attributes that the policy of the machine gives, not the user. */
export const ofMachine = new Set(["security.selinux", "security.ima", "security.evm"]);
