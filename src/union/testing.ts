/** For unit tests: a union of directories made from a compact description, without a mount. */
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished, vi } from "vitest";
import { errnoName } from "../errno.js";
import { S_IFCHR } from "../layer/stat.js";
import { AT_FDCWD } from "../native/constants.js";
import { native } from "../native/index.js";
import type { Verity } from "./metacopy-mark.js";
import { ROOT } from "./node-table.js";
import { openUnion } from "./open.js";
import { readFd, write } from "./ops/data.js";
import { getattr } from "./ops/getattr.js";
import { lookup } from "./ops/lookup.js";
import { opendir } from "./ops/opendir.js";
import { type DirSink, readdir } from "./ops/readdir.js";
import { releasedir } from "./ops/releasedir.js";
import type { OwnershipOptions } from "./ownership.js";
import type { Union } from "./union.js";
import type { WhiteoutFormat } from "./workdir.js";

/**
 * One layer: path → content. A path ending in `/` is a directory; content `whiteout` makes a device 0:0, `xattr whiteout` a whiteout by attribute, `-> target` a
 * symbolic link, `= path` a hard link, `metacopy SIZE [REDIRECT]` a file without data, `opaque` and `redirect PATH` (for a directory) set overlayfs's attributes, anything else is a file's text.
 */
export type LayerTree = Record<string, string>;

function metacopy(path: string, [, size, redirect]: string[]): void {
  writeFileSync(path, "");
  truncateSync(path, Number(size));
  mark(path, "metacopy", "");
  if (redirect !== undefined) mark(path, "redirect", redirect);
  mark(dirname(path), "impure", "y");
}

function whiteoutDevice(path: string): void {
  const r = native.mknodAs(AT_FDCWD, path, S_IFCHR, 0, 0, 0, 0);
  if (r < 0) throw new Error(`${path}: ${errnoName(r)}`);
}

function xattrWhiteout(path: string): void {
  writeFileSync(path, "");
  mark(path, "whiteout", "");
  mark(dirname(path), "opaque", "x");
}

/** Takes the data of an upper file that is marked as unsynced away. */
export function loseData(path: string): void {
  if (!lstatSync(path).isFile()) return;
  const marked = ["cowfs.pending", "metacopy"].every(
    (name) => native.getxattr(AT_FDCWD, path, `trusted.overlay.${name}`, new Uint8Array(0)) >= 0,
  );
  const { size } = lstatSync(path);
  if (marked) truncateSync(path, 0);
  if (marked) truncateSync(path, size);
}

/** Sets one of overlayfs's attributes. */
export function mark(path: string, name: string, value: string): void {
  const r = native.setxattr(AT_FDCWD, path, `trusted.overlay.${name}`, Buffer.from(value, "latin1"), 0);
  if (r < 0) throw new Error(`${path}: trusted.overlay.${name}: ${errnoName(r)}`);
}

/** What is read from the file `node`, at most 64 KiB, as bytes; `error N` for -errno. */
export function content(b: Bench, node: number): string {
  const fd = readFd(b.u, node);
  if (fd < 0) return `error ${fd}`;
  const buffer = Buffer.alloc(65536);
  return buffer.latin1Slice(0, native.pread(fd, buffer, 0, buffer.length, 0));
}

/** Writes to the file `node`: the bytes written, or -errno. */
export function put(b: Bench, node: number, text: string, offset = 0): number {
  return write(b.u, node, Buffer.from(text), 0, text.length, offset, null, false);
}

/** A bench for the test that runs; when that ends, its mocks end and the bench is closed. */
export function make(...args: ConstructorParameters<typeof Bench>): Bench {
  const bench = new Bench(...args);
  onTestFinished(() => {
    vi.restoreAllMocks();
    bench.close();
  });
  return bench;
}

export const cat = (b: Bench, path: string): string => content(b, b.node(path));

export class Bench {
  readonly root = mkdtempSync(join(tmpdir(), "cowfs-union-"));
  readonly lowers: string[];
  readonly upper = join(this.root, "upper");
  readonly work = join(this.root, "work");
  u: Union;
  readonly messages: string[] = [];
  private boot = "b00";

  /** `data`: how many of the last lowers only hold data. */
  constructor(
    lowers: LayerTree[],
    upper?: LayerTree,
    readonly options: {
      whiteout?: WhiteoutFormat;
      data?: number;
      inlineCopyLimit?: number;
      metacopy?: boolean;
      verity?: Verity;
      ownership?: OwnershipOptions;
      lazy?: boolean;
      size?: number;
    } = {},
  ) {
    this.lowers = lowers.map((tree, i) => this.tree(`lower${i + 1}`, tree));
    mkdirSync(join(this.root, "mnt"));
    if (upper !== undefined) this.tree("upper", upper);
    this.u = this.open();
  }

  private tree(name: string, tree: LayerTree): string {
    const top = join(this.root, name);
    mkdirSync(top);
    for (const [path, content] of Object.entries(tree)) {
      const full = join(top, path);
      mkdirSync(path.endsWith("/") ? full : dirname(full), { recursive: true });
      if (content === "whiteout") whiteoutDevice(full);
      else if (content === "xattr whiteout") xattrWhiteout(full);
      else if (content === "opaque") mark(full, "opaque", "y");
      else if (content.startsWith("redirect ")) mark(full, "redirect", content.slice(9));
      else if (content.startsWith("metacopy ")) metacopy(full, content.split(" "));
      else if (content.startsWith("= ")) linkSync(join(top, content.slice(2)), full);
      else if (content.startsWith("-> ")) symlinkSync(content.slice(3), full);
      else if (!path.endsWith("/")) writeFileSync(full, content);
    }
    return top;
  }

  private open(): Union {
    const { data = 0, ...options } = this.options;
    return openUnion({
      ...options,
      lowers: this.lowers.slice(0, this.lowers.length - data),
      dataLowers: this.lowers.slice(this.lowers.length - data),
      upper: this.upper,
      work: this.work,
      mountpoint: join(this.root, "mnt"),
      volatile: false,
      boot: this.boot,
      log: (_level, message) => void this.messages.push(message),
    });
  }

  /** Closes the union and opens it again: nothing but what is on disk is left. */
  reopen(): void {
    this.u.close();
    this.u = this.open();
  }

  /** The driver is killed: what the disk lacks, the page cache has. */
  kill(): void {
    this.u.unsynced.abandon();
    this.reopen();
  }

  /** The machine crashes: of copies that are not synced, no data is on the disk. */
  crash(): void {
    this.u.unsynced.abandon();
    this.change(() => {
      for (const path of readdirSync(this.upper, { recursive: true, encoding: "latin1" }))
        loseData(join(this.upper, path));
      this.boot = this.boot === "b00" ? "b01" : "b00";
    });
  }

  /** Changes the layers while no union uses them. */
  change(what: () => void): void {
    this.u.close();
    what();
    this.u = this.open();
  }

  /** The nodeid of a path, or -errno; lookups are counted and kept. */
  node(path: string): number {
    let node = ROOT;
    for (const name of path.split("/").filter((one) => one !== "")) {
      node = lookup(this.u, node, name);
      if (node < 0) return node;
    }
    return node;
  }

  /** The node's shown inode number as text. */
  ino(path: string): string {
    const r = getattr(this.u, this.node(path));
    return r < 0 ? String(r) : `${this.u.stat.inoHigh}:${this.u.stat.inoLow}`;
  }

  /** Names in a directory, sorted. */
  list(path: string): string[] | number {
    const names: string[] = [];
    const sink: DirSink = { fits: () => true, add: (name) => void names.push(name) };
    const handle = opendir(this.u, this.node(path));
    if (handle < 0) return handle;
    const r = readdir(this.u, handle, 0, false, sink);
    releasedir(this.u, handle);
    return r < 0 ? r : names.filter((name) => name !== "." && name !== "..").sort();
  }

  close(): void {
    this.u.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}
