/** The files of an image that somebody saved: in a tar archive, which is read where it lies, or in a directory. */
import { constants, createReadStream, fstatSync } from "node:fs";
import { errnoName, isAbsent } from "../../errno.js";
import { O_DIRECTORY, O_NONBLOCK, O_PATH, O_RDONLY } from "../../native/constants.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { interruptible } from "../interruption.js";
import { components, quote } from "./layer-names.js";
import type { FileSource } from "./read-source.js";
import { BLOCK, LINK, SYMLINK, type TarEntry } from "./tar-header.js";
import { type TarHandler, TarParser } from "./tar-parser.js";

export interface ImageFiles {
  /** What it is, for messages. */
  readonly path: string;
  /** Where a file is; undefined if there is none of that name. Throws StoreError. */
  find(name: string): FileSource | undefined;
  close(): void;
}

/** Documents, not layers: real ones have some thousand bytes. */
const largestDocument = 16 * 1024 * 1024;

/** The whole of a small file. Throws StoreError if it is missing. */
export function readDocument(files: ImageFiles, name: string): Buffer {
  const found = files.find(name);
  if (found === undefined) throw new StoreError(`${files.path} is incomplete: ${quote(name)} is missing`);
  if (found.length > largestDocument)
    throw new StoreError(`${quote(name)} in ${files.path} is too large to be a document`);
  const bytes = Buffer.alloc(found.length);
  const length = native.pread(found.fd, bytes, 0, bytes.length, found.offset);
  if (length !== bytes.length) {
    throw new StoreError(
      `${quote(name)} in ${files.path} cannot be read: ${length < 0 ? errnoName(length) : "it is cut off"}`,
    );
  }
  return bytes;
}

/** In a directory, where symbolic links lead no further than its root. */
export class DirectoryFiles implements ImageFiles {
  private readonly open: number[] = [];

  constructor(
    private readonly root: number,
    readonly path: string,
  ) {}

  find(name: string): FileSource | undefined {
    const fd = native.openInRoot(this.root, name, O_RDONLY | O_NONBLOCK);
    if (isAbsent(fd)) return undefined;
    if (fd < 0) throw new StoreError(`${quote(name)} in ${this.path} cannot be opened: ${errnoName(fd)}`);
    this.open.push(fd);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new StoreError(`${quote(name)} in ${this.path} is no regular file`);
    return { fd, offset: 0, length: stat.size };
  }

  close(): void {
    for (const fd of [...this.open, this.root]) native.close(fd);
  }
}

/** In a tar archive that is not compressed. */
export class TarFiles implements ImageFiles {
  private readonly entries: Map<string, FileSource | string>;

  /** Reads all headers of the archive behind `fd`, which `close` closes. Throws StoreError. */
  constructor(
    private readonly fd: number,
    readonly path: string,
    size: number,
  ) {
    this.entries = indexOf(fd, size, path);
  }

  find(name: string): FileSource | undefined {
    let found = this.entries.get(components(name).join("/"));
    // Layers that several images share may be links.
    for (let links = 0; typeof found === "string" && links < 8; links++) found = this.entries.get(found);
    return typeof found === "string" ? undefined : found;
  }

  close(): void {
    native.close(this.fd);
  }
}

/** Where each file of an archive is, or for a link the path it leads to. Content is skipped, not read. */
function indexOf(fd: number, size: number, path: string): Map<string, FileSource | string> {
  const entries = new Map<string, FileSource | string>();
  let at = 0;
  const handler: TarHandler = {
    entry: (entry: TarEntry) => {
      const parts = components(entry.path);
      const name = parts.join("/");
      if (entry.sparse) {
        throw new StoreError(
          `${JSON.stringify(entry.path)} is stored as a sparse file, which what an image consists of must not be: make ${path} without --sparse`,
        );
      }
      if (entry.type === LINK) entries.set(name, components(entry.linkPath).join("/"));
      else if (entry.type === SYMLINK)
        entries.set(name, components(`${parts.slice(0, -1).join("/")}/${entry.linkPath}`).join("/"));
      else if (entry.type === "0") entries.set(name, { fd, offset: at + BLOCK, length: entry.size });
      return false;
    },
    content: () => {},
    sparse: () => {},
    entryEnd: () => {},
    raw: () => {},
  };
  const parser = new TarParser(handler);
  const block = Buffer.alloc(BLOCK);
  while (at < size && !parser.ended) {
    const length = native.pread(fd, block, 0, BLOCK, at);
    if (length < 0) throw new StoreError(`${path} cannot be read: ${errnoName(length)}`);
    if (length === 0) break;
    try {
      parser.push(length === BLOCK ? block : block.subarray(0, length));
    } catch (cause) {
      if (!(cause instanceof StoreError) || at > 0) throw cause;
      throw new StoreError(`${path} is neither a tar archive nor a directory`, { cause });
    }
    at += length + parser.skip();
  }
  if (at > size) throw new StoreError(`${path} is cut off`);
  parser.end();
  return entries;
}

/** What a user named, or the standard input if that is undefined: a file, a pipe or a directory. The caller closes it. Throws StoreError. */
export function openInput(path: string | undefined): { fd: number; isDirectory: boolean } {
  if (path !== undefined) return openUserPath(path);
  const fd = native.dup(0);
  if (fd < 0) throw new StoreError(`the standard input cannot be read: ${errnoName(fd)}`);
  return { fd, isDirectory: false };
}

/** What comes through a pipe, until an interruption. */
export function readPipe(fd: number): AsyncIterable<Buffer> {
  return interruptible(createReadStream("", { fd, autoClose: false, highWaterMark: 256 * 1024 }));
}

function openUserPath(path: string): { fd: number; isDirectory: boolean } {
  const bytes = Buffer.from(path, "utf8").toString("latin1");
  const fd = native.openFollow(bytes, O_RDONLY | constants.O_NONBLOCK);
  if (isAbsent(fd)) throw new StoreError(`${path} cannot be opened: no such file or directory`);
  if (fd < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(fd)}`);
  const isDirectory = fstatSync(fd).isDirectory();
  if (!isDirectory) return { fd, isDirectory };
  native.close(fd);
  const directory = native.openFollow(bytes, O_PATH | O_DIRECTORY);
  if (directory < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(directory)}`);
  return { fd: directory, isDirectory };
}
