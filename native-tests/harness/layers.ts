/** One object of a tree to be built. Names and contents are text of one character a byte. */
export interface Entry {
  readonly type: "file" | "dir" | "link" | "fifo" | "socket" | "char" | "block" | "hard" | "many";
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** `seconds.nanoseconds`; without one it is a time long ago, different for each object. */
  readonly mtime?: string;
  readonly xattrs?: Record<string, string>;
  readonly data?: string;
  /** Bytes at offsets, holes between them. */
  readonly parts?: [number, string][];
  /** So many bytes of the pattern that the operations `fill` and `verify` know. */
  readonly fill?: number;
  readonly seed?: number;
  /** A final ftruncate. */
  readonly size?: number;
  readonly target?: string;
  /** For `many`: so many empty files, `%` in the path being the number. */
  readonly count?: number;
  readonly major?: number;
  readonly minor?: number;
}

/**
 * A tree: path → content. A text is a file with that content; a path that ends in `/` is a directory; parents come by
 * themselves. The order is the order of creation.
 */
export type Tree = Record<string, string | Omit<Entry, "type"> | Entry>;

type Extra = Omit<Entry, "type">;

export const file = (data: string, extra: Extra = {}): Entry => ({ type: "file", data, ...extra });
export const link = (target: string, extra: Extra = {}): Entry => ({ type: "link", target, ...extra });
/** Another name of an object described before. */
export const hard = (target: string): Entry => ({ type: "hard", target });
export const many = (count: number): Entry => ({ type: "many", count });
export const fifo = (extra: Extra = {}): Entry => ({ type: "fifo", ...extra });
export const socket = (extra: Extra = {}): Entry => ({ type: "socket", ...extra });
export const device = (major: number, minor: number, extra: Extra = {}): Entry => ({
  type: "char",
  major,
  minor,
  ...extra,
});
/** overlayfs's whiteout: a character device 0:0. */
export const whiteout: Entry = { type: "char", major: 0, minor: 0, mode: 0 };
/** A directory that hides those below it. */
export const opaque: Entry = { type: "dir", xattrs: { "trusted.overlay.opaque": "y" } };

/** What tools/trees.py builds from. */
export function description(tree: Tree): string {
  return JSON.stringify(
    Object.entries(tree).map(([path, value]) => {
      if (typeof value === "string") {
        return { path, type: "file", data: value };
      }
      return path.endsWith("/") ? { type: "dir", ...value, path: path.slice(0, -1) } : { type: "file", ...value, path };
    }),
  );
}
