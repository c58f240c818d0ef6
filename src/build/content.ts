/** What a source of COPY or ADD consists of: which paths, and a digest of all that a copy of them would have. */
import { createHash, type Hash } from "node:crypto";
import { errnoName } from "../errno.js";
import { S_IFLNK, S_IFMT, S_IFREG, type Stat } from "../layer/stat.js";
import { O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { readAttributes } from "../store/archive/quick-manifest.js";
import { StoreError } from "../store/error.js";
import { shown } from "../text.js";
import type { SourceTree } from "./source-tree.js";

export interface Content {
  /** Hexadecimal: names, types, modes, owners, attributes and content; times are not in it. */
  readonly digest: string;
  /** What of a directory is copied: paths below it, as bytes. */
  readonly paths: ReadonlySet<string>;
}

const buffer = Buffer.alloc(256 * 1024);

/** Reads all of what lies at a real path of a tree. Throws StoreError. */
export function readContent(tree: SourceTree, real: string): Content {
  const reader = new ContentReader(tree);
  reader.visit(real, "");
  return { digest: reader.digest(), paths: reader.paths };
}

class ContentReader {
  readonly paths = new Set<string>();
  private readonly hash = createHash("sha256");
  /** Files with several names → the first one. */
  private readonly links = new Map<string, string>();

  constructor(private readonly tree: SourceTree) {}

  digest(): string {
    return this.hash.digest("hex");
  }

  /** Returns whether something is there to be copied. `path` is what it is called below the source. */
  visit(real: string, path: string): boolean {
    const stat = this.tree.stat(real);
    const isIgnored = path !== "" && this.tree.isIgnored(real);
    if (!stat.isDirectory) {
      if (isIgnored) return false;
      this.object(real, path, stat);
      return true;
    }
    if (isIgnored && !this.tree.hasExceptions) return false;
    let isShown = !isIgnored;
    for (const name of this.tree.names(real)) {
      const below = this.visit(real === "" ? name : `${real}/${name}`, path === "" ? name : `${path}/${name}`);
      isShown = below || isShown;
    }
    if (isShown) this.object(real, path, stat);
    return isShown;
  }

  private object(real: string, path: string, stat: Stat): void {
    this.paths.add(path);
    const { mode, uid, gid, size, rdevMajor, rdevMinor, nlink } = stat;
    const key = `${stat.devMajor}:${stat.devMinor}:${stat.inoHigh}:${stat.inoLow}`;
    const first = nlink > 1 && !stat.isDirectory ? this.links.get(key) : undefined;
    this.links.set(key, first ?? path);
    const type = mode & S_IFMT;
    const fd = this.tree.open(real, O_PATH | O_NOFOLLOW);
    try {
      // Symbolic links have none of the user's.
      const attributes = type === S_IFLNK ? undefined : readAttributes(fd, "");
      if (typeof attributes === "number") throw this.failed(real, attributes);
      const shownSize = stat.isDirectory ? 0 : size;
      const target = type === S_IFLNK ? this.target(fd, real) : "";
      const said = [
        path,
        mode,
        uid,
        gid,
        shownSize,
        rdevMajor,
        rdevMinor,
        first ?? "",
        target,
        [...(attributes ?? [])],
      ];
      this.hash.update(`${JSON.stringify(said)}\n`, "latin1");
    } finally {
      native.close(fd);
    }
    if (type === S_IFREG && first === undefined) this.file(real, this.hash);
  }

  private target(fd: number, real: string): string {
    const length = native.readlink(fd, "", buffer);
    if (length < 0) throw this.failed(real, length);
    return buffer.latin1Slice(0, length);
  }

  private file(real: string, hash: Hash): void {
    const fd = this.tree.open(real, O_RDONLY | O_NONBLOCK);
    try {
      for (let at = 0; ; ) {
        const length = native.pread(fd, buffer, 0, buffer.length, at);
        if (length < 0) throw this.failed(real, length);
        if (length === 0) break;
        hash.update(buffer.subarray(0, length));
        at += length;
      }
    } finally {
      native.close(fd);
    }
  }

  private failed(real: string, result: number): StoreError {
    return new StoreError(`${shown(real)} in ${this.tree.options.what} cannot be read: ${errnoName(result)}`);
  }
}
