/** What a source of COPY or ADD consists of: which paths, and a digest of all that a copy of them would have. */
import { createHash, type Hash } from "node:crypto";
import { errnoName } from "../errno.js";
import { S_IFLNK, S_IFMT, S_IFREG, type Stat } from "../layer/stat.js";
import { O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { readAttributes } from "../store/archive/quick-manifest.js";
import { StoreError } from "../store/error.js";
import { inSteps } from "../store/interruption.js";
import { shown } from "../text.js";
import type { SourceTree } from "./source-tree.js";

export interface Content {
  /** Hexadecimal: names, types, modes, owners if they count, attributes and content; times are not in it. */
  readonly digest: string;
  readonly paths: CopiedPaths;
}

/** What is copied: paths below the source, as bytes, an empty one for itself, each with the state that it was read in. */
export type CopiedPaths = ReadonlyMap<string, string>;

const buffer = Buffer.alloc(256 * 1024);

/** Reads all of what lies at a real path of a tree. Throws StoreError, and for an interruption. */
export async function readContent(tree: SourceTree, real: string, ownersCount: boolean): Promise<Content> {
  const reader = new ContentReader(tree, ownersCount);
  await inSteps(reader.visit(real));
  return { digest: reader.digest(), paths: reader.paths };
}

/** Throws StoreError if something is not as it was read: its copy may be of another content than its digest, which the cache goes by. */
export function checkUnchanged(tree: SourceTree, real: string, paths: CopiedPaths): void {
  for (const [path, state] of paths) {
    const full = [real, path].filter((part) => part !== "").join("/");
    if (stateOf(tree.stat(full)) !== state)
      throw new StoreError(`${shown(full)} in ${tree.options.what} was changed while it was copied: build again`);
  }
}

/** Changes with the content. What else appears in a directory does not matter. */
function stateOf({ isDirectory, size, ctime, ctimeNsec }: Stat): string {
  return isDirectory ? "" : `${size} ${ctime}.${ctimeNsec}`;
}

/** A directory whose entries are being read. */
interface Level {
  readonly real: string;
  readonly path: string;
  readonly stat: Stat;
  /** Whether there is something to be copied. */
  isShown: boolean;
  readonly names: readonly string[];
  /** The first of the names that was not read yet. */
  next: number;
}

class ContentReader {
  readonly paths = new Map<string, string>();
  private readonly hash = createHash("sha256");
  /** Files with several names → the first one. */
  private readonly links = new Map<string, string>();

  constructor(
    private readonly tree: SourceTree,
    private readonly ownersCount: boolean,
  ) {}

  digest(): string {
    return this.hash.digest("hex");
  }

  /** Reads all of what lies at the path `root` of the tree: not one call in the next, since directories may lie deeper in each other than calls can. */
  *visit(root: string): Generator<void> {
    const levels: Level[] = [];
    yield* this.look(levels, root, "");
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const name = level.names[level.next++];
      if (name !== undefined) {
        const { real, path } = level;
        yield* this.look(levels, real === "" ? name : `${real}/${name}`, path === "" ? name : `${path}/${name}`);
        continue;
      }
      levels.pop();
      if (!level.isShown) continue;
      yield* this.object(level.real, level.path, level.stat);
      const above = levels.at(-1);
      if (above !== undefined) above.isShown = true;
    }
  }

  /** `path` is what the object is called below the source; a directory comes after what is in it, if anything is there to be copied. Pauses now and then. */
  private *look(levels: Level[], real: string, path: string): Generator<void> {
    const stat = this.tree.stat(real);
    const isIgnored = path !== "" && this.tree.isIgnored(real);
    if (stat.isDirectory) {
      if (isIgnored && !this.tree.hasExceptions) return;
      levels.push({ real, path, stat, isShown: !isIgnored, names: this.tree.names(real), next: 0 });
      return;
    }
    if (isIgnored) return;
    yield* this.object(real, path, stat);
    const above = levels.at(-1);
    if (above !== undefined) above.isShown = true;
  }

  private *object(real: string, path: string, stat: Stat): Generator<void> {
    yield;
    this.paths.set(path, stateOf(stat));
    const { mode, size, rdevMajor, rdevMinor, nlink } = stat;
    const [uid, gid] = this.ownersCount ? [stat.uid, stat.gid] : [0, 0];
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
    if (type === S_IFREG && first === undefined) yield* this.file(real, this.hash);
  }

  private target(fd: number, real: string): string {
    const length = native.readlink(fd, "", buffer);
    if (length < 0) throw this.failed(real, length);
    return buffer.latin1Slice(0, length);
  }

  private *file(real: string, hash: Hash): Generator<void> {
    const fd = this.tree.open(real, O_RDONLY | O_NONBLOCK);
    try {
      for (let at = 0; ; ) {
        const length = native.pread(fd, buffer, 0, buffer.length, at);
        if (length < 0) throw this.failed(real, length);
        if (length === 0) break;
        hash.update(buffer.subarray(0, length));
        at += length;
        yield;
      }
    } finally {
      native.close(fd);
    }
  }

  private failed(real: string, result: number): StoreError {
    return new StoreError(`${shown(real)} in ${this.tree.options.what} cannot be read: ${errnoName(result)}`);
  }
}
