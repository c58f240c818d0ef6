/** What the directories of a layer shall be: their attributes are set when nothing changes in them any more. */
import { EPERM } from "../../errno.js";
import { trustedNames, userNames } from "../../layer/mark-names.js";
import { S_IFDIR } from "../../layer/stat.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { type Attributes, type AttributeWriter, failed } from "./attribute-writer.js";
import type { LayerDirectories } from "./layer-directories.js";
import { quote } from "./layer-names.js";
import { rowOf } from "./quick-manifest.js";

interface DirectoryState {
  readonly wanted: Attributes;
  readonly opaque: boolean;
  /** No entry of the archive is about it. */
  readonly implied: boolean;
}

/** What has become of the directories, each before what is in it. */
export interface FinishedDirectories {
  /** Lines of the manifest. */
  readonly lines: readonly string[];
  /** Those that no entry is about. */
  readonly implied: readonly string[];
  /** The root is marked as opaque. */
  readonly opaqueRoot: boolean;
}

export class DirectoryStates {
  private readonly states = new Map<string, DirectoryState>();
  private marksByUser = false;

  constructor(private readonly attributes: AttributeWriter) {
    this.imply("");
  }

  has(path: string): boolean {
    return this.states.has(path);
  }

  /** How many there are, the root not counted. */
  get count(): number {
    return this.states.size - 1;
  }

  /** A directory is there because something in it is. */
  imply(path: string): void {
    if (this.states.has(path)) return;
    const { uid, gid } = this.attributes;
    const wanted = { mode: 0o755, uid, gid, mtime: 0, mtimeNsec: 0, xattrs: undefined };
    this.states.set(path, { wanted, opaque: false, implied: true });
  }

  /** An entry of the archive is about the directory. It stays opaque if it was. */
  describe(path: string, wanted: Attributes): void {
    const { mode, uid, gid, mtime, mtimeNsec, xattrs } = wanted;
    const opaque = this.states.get(path)?.opaque === true;
    this.states.set(path, { wanted: { mode, uid, gid, mtime, mtimeNsec, xattrs }, opaque, implied: false });
  }

  /** The directory hides what lower layers have in it. */
  markOpaque(path: string): void {
    this.imply(path);
    this.states.set(path, { ...(this.states.get(path) as DirectoryState), opaque: true });
  }

  /** The directory and those in it are replaced by something else. */
  forget(path: string): void {
    for (const key of [...this.states.keys()]) if (key === path || key.startsWith(`${path}/`)) this.states.delete(key);
  }

  /** Gives each its attributes. Throws StoreError. */
  finish(directories: LayerDirectories): FinishedDirectories {
    // The deepest first: one without search permission keeps out whoever is not root.
    const paths = [...this.states.keys()].sort().reverse();
    const lines = paths.map((path) => this.finishOne(directories, path, this.states.get(path) as DirectoryState));
    return {
      lines: lines.reverse(),
      implied: paths.filter((path) => this.states.get(path)?.implied === true).reverse(),
      opaqueRoot: this.states.get("")?.opaque === true,
    };
  }

  private finishOne(directories: LayerDirectories, path: string, { wanted, opaque, implied }: DirectoryState): string {
    const { fd, path: real } = directories.find(path === "" ? [] : path.split("/"), false);
    if (real !== path) throw new StoreError(`${quote(path)} in the archive is a directory, and later a link`);
    const attributes = this.attributes.setDirectory(fd, path, wanted, () => {
      if (opaque) this.setMark(fd, path);
    });
    return rowOf(implied ? "implied" : "dir", path, S_IFDIR, wanted, "-", opaque ? "opaque" : "-", attributes);
  }

  private setMark(fd: number, path: string): void {
    let result = this.marksByUser ? -EPERM : native.setxattr(fd, "", trustedNames.opaque, yes, 0);
    if (result === -EPERM) {
      this.marksByUser = true;
      result = native.setxattr(fd, "", userNames.opaque, yes, 0);
    }
    if (result < 0) throw failed("marked as opaque", path, result);
  }
}

const yes = Buffer.from("y");
