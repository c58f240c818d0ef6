/** Compares a layer's tree with the manifest that was written when it came. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { errnoName, isAbsent } from "../errno.js";
import { readListing } from "../layer/listing.js";
import { WHITEOUT_PREFIX } from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { O_DIRECTORY, O_NOATIME, O_PATH, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { openLayerArchive } from "./archive/layer-archive.js";
import {
  extentOf,
  formatTime,
  type Hashes,
  hashAttributes,
  hex64,
  isOpaque,
  loadHashes,
  type ManifestRow,
  parseRow,
  readAttributes,
  TYPES,
  unescapePath,
} from "./archive/quick-manifest.js";
import { type DataRoot, reason } from "./data-root.js";
import { StoreError } from "./error.js";
import { layerDirectory, readLayer } from "./layers.js";

/** One thing that is not as it should be; the path is bytes. */
export interface LayerDifference {
  readonly path: string;
  readonly what: string;
}

/** Checks every object of a layer. Throws StoreError if there is no such layer, or its manifest cannot be read. */
export async function verifyLayer(root: DataRoot, diffId: string): Promise<LayerDifference[]> {
  readLayer(root, diffId);
  const directory = layerDirectory(root, diffId);
  const rows = await readManifest(join(directory, "manifest"));
  const tree = join(directory, "tree");
  const fd = native.openFollow(Buffer.from(tree, "utf8").toString("latin1"), O_PATH | O_DIRECTORY);
  if (fd < 0) return [{ path: "", what: `its tree cannot be opened: ${errnoName(fd)}` }];
  const verifier = new Verifier(rows, await loadHashes());
  try {
    verifier.tree(fd);
  } finally {
    native.close(fd);
  }
  return verifier.result();
}

/** Whether the archive of a layer can still be given as it came: its digest, computed anew, is the diff ID. */
export async function verifyArchive(root: DataRoot, diffId: string): Promise<LayerDifference[]> {
  const digest = createHash("sha256");
  try {
    for await (const piece of openLayerArchive(root, diffId)) digest.update(piece as Buffer);
  } catch (error) {
    return [{ path: "", what: `its archive cannot be made again: ${reason(error)}` }];
  }
  const found = `sha256:${digest.digest("hex")}`;
  return found === diffId ? [] : [{ path: "", what: `its archive has the digest ${found}` }];
}

async function readManifest(path: string): Promise<Map<string, ManifestRow>> {
  const rows = new Map<string, ManifestRow>();
  try {
    const lines = createInterface({ input: createReadStream(path, { encoding: "latin1" }), crlfDelay: 0 });
    for await (const line of lines) {
      const row = parseRow(line);
      if (row === undefined)
        throw new StoreError(`${path} is damaged: ${JSON.stringify(line.slice(0, 60))} is no line of it`);
      rows.set(row.path, row);
    }
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    throw new StoreError(`${path} cannot be read: ${reason(cause)}`, { cause });
  }
  return rows;
}

/** A directory that is being looked at. */
interface Level {
  readonly fd: number;
  readonly path: string;
  names: readonly string[];
  /** The first of the names that was not looked at yet. */
  next: number;
}

class Verifier {
  private readonly stat = new Stat();
  private readonly differences: LayerDifference[] = [];
  private readonly seen = new Set<string>();
  /** Inode numbers of files with several names, by path. */
  private readonly inodes = new Map<string, string>();
  private readonly same: ManifestRow[] = [];
  private readonly buffer = Buffer.allocUnsafeSlow(1024 * 1024);

  constructor(
    private readonly rows: ReadonlyMap<string, ManifestRow>,
    private readonly hashes: Hashes,
  ) {}

  /** Looks at all that is below the directory `root`: not one call in the next, since directories may lie deeper in each other than calls can. */
  tree(root: number): void {
    const levels: Level[] = [];
    const enter = (fd: number, path: string): void => {
      const level: Level = { fd, path, names: [], next: 0 };
      levels.push(level);
      if (!this.readable(native.statx(fd, "", STATX_ALL, this.stat.bytes), path)) return;
      this.compare(fd, "", path);
      const names: string[] = [];
      if (this.readable(readListing(fd, { entry: (name) => void names.push(name) }), path)) level.names = names.sort();
    };
    const leave = (): void => {
      const level = levels.pop();
      // The root is the caller's.
      if (level !== undefined && levels.length > 0) native.close(level.fd);
    };
    enter(root, "");
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const name = level.names[level.next++];
      if (name === undefined) {
        leave();
        continue;
      }
      const { fd, path } = level;
      const full = path === "" ? name : `${path}/${name}`;
      if (!this.readable(native.statx(fd, name, STATX_ALL, this.stat.bytes), full)) continue;
      if (!this.stat.isDirectory) {
        this.compare(fd, name, full);
        continue;
      }
      const next = native.openBeneath(fd, name, O_PATH | O_DIRECTORY);
      if (this.readable(next, full)) enter(next, full);
    }
  }

  result(): LayerDifference[] {
    for (const { path, extent } of this.same) {
      const first = unescapePath(extent);
      const inode = this.inodes.get(path);
      if (this.seen.has(path) && (inode === undefined || inode !== this.inodes.get(first)))
        this.differ(path, "is no hard link of its first name any more");
    }
    for (const path of this.rows.keys()) if (!this.seen.has(path)) this.differ(path, "is missing");
    return this.differences.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  }

  private compare(fd: number, name: string, path: string): void {
    const { stat } = this;
    const shownAs = this.rowPath(name, path);
    const row = this.rows.get(shownAs);
    this.seen.add(shownAs);
    if (stat.nlink > 1 && !stat.isDirectory) this.inodes.set(path, `${stat.inoHigh}:${stat.inoLow}`);
    if (row === undefined) this.differ(path, "should not be there");
    else if (row.type === "whiteout") {
      if (!stat.isWhiteoutDevice && shownAs === path) this.differ(path, "is no whiteout any more");
    } else if (row.type === "same") this.same.push(row);
    else if (row.type === "implied") {
      if (!stat.isDirectory) this.differ(path, "is no directory");
      else this.compareOpaque(fd, path, row);
    } else this.compareObject(fd, name, path, row);
  }

  private compareObject(fd: number, name: string, path: string, row: ManifestRow): void {
    const { stat } = this;
    if (row.type !== TYPES[stat.type]) {
      this.differ(path, `is of type ${TYPES[stat.type] ?? "socket"}, not ${row.type}`);
      return;
    }
    if (row.mode !== stat.mode) this.differ(path, `has mode ${octal(stat.mode)}, not ${octal(row.mode)}`);
    if (row.uid !== stat.uid || row.gid !== stat.gid) {
      this.differ(path, `belongs to ${stat.uid}:${stat.gid}, not ${row.uid}:${row.gid}`);
    }
    const extent = extentOf(stat);
    if (row.extent !== extent)
      this.differ(path, `has ${stat.isRegular ? "size" : "number"} ${extent}, not ${row.extent}`);
    const time = formatTime(stat.mtime, stat.mtimeNsec);
    if (row.time !== time) this.differ(path, `was modified at ${date(time)}, not ${date(row.time)}`);
    const attributes = readAttributes(fd, name);
    if (typeof attributes === "number")
      this.differ(path, `has attributes that cannot be read: ${errnoName(attributes)}`);
    else if (row.attributes !== hashAttributes(this.hashes, attributes))
      this.differ(path, "has other extended attributes");
    if (stat.isDirectory) this.compareOpaque(fd, path, row);
    else if (stat.isSymlink) this.compareLink(fd, name, path, row);
    else if (stat.isRegular && row.extent === extent) this.compareContent(fd, name, path, row);
  }

  private compareOpaque(fd: number, path: string, row: ManifestRow): void {
    if (isOpaque(fd) === (row.content === "opaque")) return;
    this.differ(path, row.content === "opaque" ? "is opaque no more" : "is opaque");
  }

  /** What the manifest calls an object: a whiteout that is a `.wh.` file has the name that it hides. */
  private rowPath(name: string, path: string): string {
    if (!name.startsWith(WHITEOUT_PREFIX) || this.rows.has(path)) return path;
    const hidden = path.slice(0, path.length - name.length) + name.slice(WHITEOUT_PREFIX.length);
    return this.rows.get(hidden)?.type === "whiteout" ? hidden : path;
  }

  private compareLink(fd: number, name: string, path: string, row: ManifestRow): void {
    const length = native.readlink(fd, name, this.buffer);
    if (!this.readable(length, path)) return;
    if (hex64(this.hashes.h64Raw(this.buffer.subarray(0, length))) !== row.content)
      this.differ(path, "leads elsewhere");
  }

  private compareContent(fd: number, name: string, path: string, row: ManifestRow): void {
    let file = native.open(fd, name, O_RDONLY | O_NOATIME, 0);
    if (file === -1) file = native.open(fd, name, O_RDONLY, 0);
    if (!this.readable(file, path)) return;
    const hash = this.hashes.create64();
    let at = 0;
    for (;;) {
      const length = native.pread(file, this.buffer, 0, this.buffer.length, at);
      if (!this.readable(length, path) || length === 0) break;
      hash.update(this.buffer.subarray(0, length));
      at += length;
    }
    native.close(file);
    if (hex64(hash.digest()) !== row.content) this.differ(path, "has other content");
  }

  private readable(result: number, path: string): boolean {
    if (result >= 0) return true;
    this.seen.add(path);
    this.differ(path, isAbsent(result) ? "is missing" : `cannot be read: ${errnoName(result)}`);
    return false;
  }

  private differ(path: string, what: string): void {
    this.differences.push({ path, what });
  }
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}

function date(time: string): string {
  const [seconds, nsec] = time.split(".");
  const moment = new Date(Number(seconds) * 1000);
  return Number.isNaN(moment.getTime()) ? time : `${moment.toISOString().slice(0, 19)}.${nsec}Z`;
}
