/** The copies of COPY and ADD, made in the tree of a stage: by descriptors, and within its root, whatever links stand in it. */
import { writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { type CopyPlace, copyTo } from "../assemble/copy.js";
import { RootView } from "../assemble/root-view.js";
import { resolveUser } from "../assemble/users.js";
import { errnoName } from "../errno.js";
import { O_DIRECTORY, O_PATH, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { copyAttributes, copyObject, type MergeOptions } from "../store/copy-tree.js";
import { StoreError } from "../store/error.js";
import { bytesOf, shown } from "../text.js";
import { unpack } from "./archives.js";
import { checkUnchanged } from "./content.js";
import type { Copy, Source } from "./copy-step.js";
import type { SourceTree } from "./source-tree.js";
import type { Bench, Workshop } from "./workshop.js";

/** Makes the copies in the tree of a bench, which it mounts. Throws StoreError. */
export async function copyInto(workshop: Workshop, bench: Bench, copy: Copy, tree: SourceTree): Promise<void> {
  await workshop.mounter.mount(bench.union);
  const view = new RootView(bench.merged);
  try {
    const copier = new Copier(workshop, view, copy, tree);
    for (const source of copy.sources) await copier.copy(source);
    for (const source of copy.sources) if (source.kind !== "inline") checkUnchanged(tree, source.real, source.paths);
  } finally {
    view.close();
  }
}

class Copier {
  private readonly options: MergeOptions;
  /** Whose directories are that are made on the way. */
  private readonly owner: { readonly uid: number; readonly gid: number };
  private readonly place: CopyPlace;

  constructor(
    private readonly workshop: Workshop,
    private readonly view: RootView,
    private readonly to: Copy,
    private readonly tree: SourceTree,
  ) {
    const given = to.chown === undefined ? undefined : ownerOf(view, to.chown);
    this.owner = given ?? { uid: 0, gid: 0 };
    const owner = given ?? (to.keepsOwners ? undefined : this.owner);
    this.options = { ...(owner && { owner }), ...(to.mode !== undefined && { mode: to.mode }) };
    this.place = { open: (path, flags) => view.openBytes(path, flags), name: (path) => shown(path) };
  }

  async copy(source: Source): Promise<void> {
    if (source.kind === "archive") await this.archive(source.real);
    else if (source.kind === "inline") await this.inline(source.name, source.text);
    else await this.object(source.real, source);
  }

  private async object(real: string, { name, isDirectory, paths }: Extract<Source, { kind: "object" }>): Promise<void> {
    const fd = this.tree.open(real, O_PATH);
    try {
      if (isDirectory) await this.directory(fd, { ...this.options, includes: (path) => paths.has(path) });
      else await this.file(fd, name);
    } finally {
      native.close(fd);
    }
  }

  /** Copies what is in a directory. The destination gets the directory's attributes if it was not there. */
  private async directory(fd: number, options: MergeOptions): Promise<void> {
    const { destination } = this.to;
    const isNew = this.view.stat(destination) === undefined;
    this.view.makeDirectory(destination, this.owner);
    const target = this.view.open(destination, O_PATH | O_DIRECTORY);
    if (target < 0) throw new StoreError(`${destination}: a directory cannot be copied there: ${errnoName(target)}`);
    try {
      await copyObject(fd, "", target, "", options);
      if (isNew) copyAttributes(fd, target, undefined, options);
    } finally {
      native.close(target);
    }
  }

  private async file(fd: number, name: string): Promise<void> {
    const { destination, isDirectory } = this.to;
    this.view.makeDirectory(isDirectory ? destination : posix.dirname(destination), this.owner);
    await copyTo(this.place, bytesOf(destination), { fd, name, isDirectory: false, contents: false }, this.options);
  }

  private async inline(name: string, text: string): Promise<void> {
    const path = join(this.workshop.directory(), "text");
    writeFileSync(path, text, { mode: 0o644 });
    const fd = native.openFollow(bytesOf(path), O_PATH);
    if (fd < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(fd)}`);
    try {
      await this.file(fd, bytesOf(name));
    } finally {
      native.close(fd);
    }
  }

  private async archive(real: string): Promise<void> {
    const path = this.workshop.directory();
    const fd = this.tree.open(real, O_RDONLY);
    try {
      await unpack({ fd, offset: 0, length: this.tree.stat(real).size }, path);
    } catch (cause) {
      if (!(cause instanceof StoreError)) throw cause;
      throw new StoreError(`${shown(real)}: ${cause.message}`, { cause });
    } finally {
      native.close(fd);
    }
    const unpacked = native.openFollow(bytesOf(path), O_PATH | O_DIRECTORY);
    if (unpacked < 0) throw new StoreError(`${path} cannot be opened: ${errnoName(unpacked)}`);
    try {
      this.view.makeDirectory(this.to.destination, this.owner);
      // An archive says whose its files are. What comes to /lib of an image may have to come to /usr/lib.
      const owner = this.to.chown === undefined ? {} : { owner: this.owner };
      await this.directory(unpacked, { ...owner, followsLinks: true });
    } finally {
      native.close(unpacked);
    }
  }
}

/** `USER[:GROUP]` as the stage's own files know them; a number alone is the group's, too. Throws StoreError. */
function ownerOf(view: RootView, text: string): { uid: number; gid: number } {
  const { uid, gid } = resolveUser(view, /^\d+$/.test(text) ? `${text}:${text}` : text);
  return { uid, gid };
}
