/**
 * The union's state: layers, nodes, descriptors, copies under way. One JavaScript thread owns it and every operation on it
 * is synchronous. The verbs are in ops/; this file holds what they share: from a nodeid to the backing object and back.
 */
import { ENAMETOOLONG, ENOENT, ENOTDIR, EROFS, ESTALE, errnoName, ignore } from "../errno.js";
import type { Layer } from "../layer/layer.js";
import { hasOpaqueMarker, OPAQUE_NO, OPAQUE_XATTR_WHITEOUTS, readMarks } from "../layer/marks.js";
import { STATX_ALL, Stat } from "../layer/stat.js";
import { DT_DIR, O_DIRECTORY, O_PATH } from "../native/constants.js";
import { native } from "../native/index.js";
import { Copies } from "./copies.js";
import { finishCopy } from "./copy-file.js";
import { type DataSource, dataPlace, dataSource } from "./data-source.js";
import { Descriptors, FILE, SOURCE } from "./descriptors.js";
import { Directory, newPart, type Part } from "./directory.js";
import { DirectoryHandles } from "./handles.js";
import type { HardlinkIndex } from "./hardlink-index.js";
import { Identities } from "./identities.js";
import { InodeNumbers } from "./inode-numbers.js";
import { countSubdirectories } from "./listing.js";
import { Found } from "./merge.js";
import { MountError } from "./mount-error.js";
import { ACCESS_PATH, DATA_BELOW, DATA_UNKNOWN, NodeTable, ROOT } from "./node-table.js";
import { OpenFiles } from "./open-files.js";
import { Origins } from "./origin.js";
import { Ownership, type OwnershipOptions } from "./ownership.js";
import { shown } from "./paths.js";
import { findProtattr, noteAttributes } from "./protection.js";
import type { WorkDirectory } from "./workdir.js";

export type Log = (level: "debug" | "info" | "warn" | "error", message: string, details?: object) => void;

/** What a mounted union is made of; `openUnion` puts it together. */
export interface UnionParts {
  /** Index 0 is the upper, null for a read-only union. */
  readonly layers: readonly (Layer | null)[];
  /** Layers below those, which show nothing and only hold the data of metacopies; their indices follow. */
  readonly dataLayers: readonly Layer[];
  /** Copy-up leaves data below until it changes. */
  readonly metacopy: boolean;
  /**
   * Marks in `user.` attributes that lead elsewhere (redirects, metacopies) are followed. Where the driver may read what the
   * owner of a file may not, such a mark would be a way around permissions, so it is followed only by mounts that write such.
   */
  readonly followsUser: boolean;
  readonly work: WorkDirectory | null;
  /** Keeps hard links of lower files together over copy-up; null for a read-only union. */
  readonly index: HardlinkIndex | null;
  /** No fsync reaches the disk: the caller wants speed and throws the upper away after a crash. */
  readonly volatile: boolean;
  /** Whose objects are, where that is not what their layers say. */
  readonly ownership?: OwnershipOptions | undefined;
  readonly log: Log;
  /** Descriptors the union may hold open. */
  readonly descriptorLimit: number;
  /** Largest file, in bytes, that is copied up on the calling thread instead of by a job. */
  readonly inlineCopyLimit: number;
  /** Releases locks and leftovers at the end. */
  readonly closed: () => void;
}

/** Warnings about objects of the layers that a mount logs in its life. */
const WARNINGS_MOST = 1000;

const rootMarks = { opaque: OPAQUE_NO, redirect: null, byUser: false };

export class Union {
  /** Attributes of the object the last operation yielded, as users see them. */
  readonly stat = new Stat();
  /** Attributes that an operation needs on its way. */
  readonly aside = new Stat();
  /** Attributes of a new object while it is opened. */
  readonly created = new Stat();
  /** The last answer of `statfs`: a raw struct statfs. */
  readonly statfs = new Uint8Array(120);
  /** The last answer of `readlink`, and room for attribute values and lists. */
  readonly scratch = Buffer.alloc(68 * 1024);
  /** The job that an operation which returned PARK waits for. */
  parkedOn = 0;

  readonly table = new NodeTable();
  readonly inodes = new InodeNumbers();
  readonly identities = new Identities();
  readonly handles = new DirectoryHandles();
  readonly copies = new Copies();
  /** The files that are open through the kernel's passthrough. */
  readonly openFiles = new OpenFiles();
  /** Where the data of metacopies is, as far as somebody wanted to know. */
  readonly sources = new Map<number, DataSource>();
  readonly found = new Found();
  readonly origins: Origins;
  readonly descriptors: Descriptors;
  readonly layers: readonly (Layer | null)[];
  readonly dataLayers: readonly Layer[];
  readonly lastLayer: number;
  /** Whether copy-up makes metacopies; false once the upper has refused one. */
  metacopy: boolean;
  readonly followsUser: boolean;
  /** Device → whether its file system has the flags of chattr(1) (protection.ts). */
  readonly flagged = new Map<number, boolean>();
  /** The operation under way has changed what users see: whatever its result, it must not be run once more. */
  committed = false;
  readonly readOnly: boolean;
  readonly volatile: boolean;
  readonly log: Log;
  readonly inlineCopyLimit: number;
  /** Names held in the listings of lower parts. */
  listedNames = 0;
  readonly index: HardlinkIndex | null;
  /** Null: objects belong to whom their layers say. */
  readonly ownership: Ownership | null;
  private readonly workOrNull: WorkDirectory | null;
  private readonly closed: () => void;

  private readonly warned = new Set<string>();

  /** Where `locate` found the backing object: a name relative to a descriptor, or the descriptor itself (""). */
  atFd = -1;
  atName = "";

  constructor(parts: UnionParts) {
    this.layers = [...parts.layers, ...parts.dataLayers];
    this.dataLayers = parts.dataLayers;
    this.metacopy = parts.metacopy;
    this.followsUser = parts.followsUser;
    this.workOrNull = parts.work;
    this.index = parts.index;
    this.readOnly = parts.work === null;
    this.volatile = parts.volatile;
    this.ownership = Ownership.of(parts.ownership, (value) =>
      this.log("warn", "a malformed stored owner: the object shows its own", { value: shown(value) }),
    );
    this.log = parts.log;
    this.inlineCopyLimit = parts.inlineCopyLimit;
    this.closed = parts.closed;
    this.descriptors = new Descriptors(parts.descriptorLimit, (node, layer, fd) =>
      this.forgetDescriptor(node, layer, fd),
    );
    this.origins = new Origins(parts.layers);
    this.lastLayer = this.openRoot(parts.layers);
    this.markRoot();
  }

  /** Where owners are stored, the upper's root says so: other programs take that for a property of the layer. */
  private markRoot(): void {
    const upper = this.layers[0];
    const r = upper ? (this.ownership?.stored?.markRoot(upper.root) ?? 0) : 0;
    if (r < 0 && upper) {
      const why = errnoName(r);
      throw new MountError(`xattr_permissions: the upper ${shown(upper.path)} cannot store owners: ${why}`, upper.path);
    }
  }

  /** The work directory; only for operations that have checked `readOnly`. */
  get work(): WorkDirectory {
    if (this.workOrNull === null) throw new Error("a read-only union has no work directory");
    return this.workOrNull;
  }

  /** A job that `parkedOn` named has ended: 0 (dispatch the parked requests again), or the -errno they all get. */
  jobDone(job: number, result: number): number {
    return finishCopy(this, job, result);
  }

  /** Ends the union: everything on disk, the work directory empty, the locks released. */
  close(): void {
    this.descriptors.clear();
    this.origins.close();
    this.closed();
  }

  /** Numbers for a status report. */
  counters(): Record<string, number> {
    return {
      nodes: this.table.count,
      descriptors: this.descriptors.count,
      directoryHandles: this.handles.count,
      openFiles: this.openFiles.count,
      copiesUnderWay: this.copies.byNode.size,
      listedNames: this.listedNames,
    };
  }

  generation(node: number): number {
    return this.table.generation(node);
  }

  // ---- from a node to its backing -----------------------------------------------------------------------------------

  /** The directory behind a nodeid that the kernel named as a parent; -errno for a file, a stale id, a removed one. */
  parentOf(node: number): Directory | number {
    if (!this.table.isAlive(node)) return -ESTALE;
    const directory = this.table.directory(node);
    if (directory === undefined) return -ENOTDIR;
    return this.table.isNameless(node) && node !== ROOT ? -ENOENT : directory;
  }

  /** O_PATH descriptor of a directory's part, from the cache: valid until many others were asked for. Or -errno. */
  partFd(node: number, part: Part): number {
    if (part.fd >= 0) {
      if (node !== ROOT) this.descriptors.touch(part.fd);
      return part.fd;
    }
    let fd = this.openPart(node, part);
    if (fd < 0 && this.descriptors.makeRoom(fd)) fd = this.openPart(node, part);
    if (fd < 0) return fd;
    part.fd = fd;
    this.descriptors.keep(fd, node, part.layer);
    return fd;
  }

  /**
   * Opens this one directory only, by its path from the nearest one above that is open: a descriptor for each on the way could
   * push out of the cache the one that an operation holds beside it.
   */
  private openPart(node: number, part: Part): number {
    const { table } = this;
    const { root } = this.layers[part.layer] as Layer;
    if (part.path !== null) return native.openBeneath(root, part.path, O_PATH | O_DIRECTORY);
    const parent = table.parent(node);
    const direct = table.directory(parent)?.partIn(part.layer) ?? null;
    if (direct === null) return -ESTALE;
    let path = table.name(node);
    let at = parent;
    let above: Part | null = direct;
    while (above !== null && above.fd < 0 && above.path === null) {
      path = `${table.name(at)}/${path}`;
      at = table.parent(at);
      above = table.directory(at)?.partIn(part.layer) ?? null;
    }
    if (above === null) return -ESTALE;
    let r: number;
    if (above === direct && above.fd >= 0) r = native.open(this.partFd(parent, direct), path, O_PATH | O_DIRECTORY, 0);
    else if (above.fd >= 0) r = native.openBeneath(this.partFd(at, above), path, O_PATH | O_DIRECTORY);
    else r = native.openBeneath(root, `${above.path}/${path}`, O_PATH | O_DIRECTORY);
    if (r !== -ENAMETOOLONG) return r;
    // Too deep for one path: in two steps.
    const parentFd = this.partFd(parent, direct);
    return parentFd < 0 ? parentFd : native.open(parentFd, table.name(node), O_PATH | O_DIRECTORY, 0);
  }

  /** Descriptor of the upper part of a directory that has one. */
  upperFd(node: number): number {
    const upper = this.table.directory(node)?.upper;
    return upper ? this.partFd(node, upper) : -ENOENT;
  }

  /** Path of a directory's part from its layer's root, "" for the root itself. */
  partPath(node: number, part: Part): string {
    if (part.path !== null) return part.path;
    if (node === ROOT) return "";
    const parent = this.table.parent(node);
    const above = this.table.directory(parent)?.partIn(part.layer);
    const base = above ? this.partPath(parent, above) : "";
    return base === "" ? this.table.name(node) : `${base}/${this.table.name(node)}`;
  }

  /** Where the layers below the upper know a directory: an absolute path, as overlay.redirect holds it. */
  pathBelow(node: number): string {
    if (node === ROOT) return "";
    const redirect = this.table.directory(node)?.redirect;
    return redirect ?? `${this.pathBelow(this.table.parent(node))}/${this.table.name(node)}`;
  }

  /** Sets `atFd` and `atName` to the backing object of a node: 0 or -errno. */
  locate(node: number): number {
    const table = this.table;
    if (!table.isAlive(node)) return -ESTALE;
    const directory = table.directory(node);
    this.atName = "";
    if (table.isNameless(node) && node !== ROOT) {
      this.atFd = table.descriptor(node);
      return this.atFd < 0 ? -ESTALE : 0;
    }
    if (directory !== undefined) {
      this.atFd = this.partFd(node, directory.top);
      return Math.min(this.atFd, 0);
    }
    const entry = this.index?.of(node);
    if (entry !== undefined) {
      this.atFd = this.index?.directory ?? -1;
      this.atName = entry.name;
      return 0;
    }
    const parent = table.parent(node);
    const part = table.directory(parent)?.partIn(table.layer(node));
    if (part === undefined || part === null) return -ESTALE;
    this.atFd = this.partFd(parent, part);
    this.atName = table.name(node);
    return Math.min(this.atFd, 0);
  }

  /** Reads the attributes of a node's backing object as its layer has them into `stat`: 0 or -errno. */
  statBacking(node: number, stat: Stat): number {
    const r = this.locate(node);
    return r < 0 ? r : native.statx(this.atFd, this.atName, STATX_ALL, stat.bytes);
  }

  /** Reads the attributes of a node as users see them into `this.stat`: 0 or -errno. */
  statNode(node: number): number {
    const r = this.statBacking(node, this.stat);
    return r < 0 ? r : this.present(node);
  }

  /** Turns `this.stat` from what the layer says about a node into what users see: 0 or -errno. */
  present(node: number): number {
    const table = this.table;
    if (this.ownership !== null) {
      const r = this.ownership.show(this, node);
      if (r < 0) return r;
    }
    this.stat.setIno(table.inoLow(node), table.inoHigh(node));
    const directory = table.directory(node);
    if (directory === undefined) {
      this.stat.nlink = this.shownLinks(node, this.stat.nlink);
      return this.presentMetacopy(node);
    }
    if (table.isNameless(node) && node !== ROOT) {
      this.stat.nlink = 0;
      return 0;
    }
    if (directory.ctime !== null) this.stat.ctimeWords.set(directory.ctime);
    if (!directory.isMerged) return 0;
    const count = countSubdirectories(this, node, directory);
    if (count < 0) return count;
    this.stat.nlink = count + 2;
    return 0;
  }

  /**
   * Blocks of a metacopy are those of its data, and what copying that disturbs shows as it was. Costs a system call for each file
   * that is all hole, and once.
   */
  private presentMetacopy(node: number): number {
    const { stat, table } = this;
    let place = table.data(node);
    if (place === DATA_UNKNOWN && stat.isRegular && stat.blocks === 0 && stat.size > 0) place = dataPlace(this, node);
    if (place !== DATA_BELOW) return Math.min(place, 0);
    const before = this.copies.byNode.get(node)?.completes?.before;
    if (before !== undefined) stat.copyWrittenFrom(before, this.ownership?.stored == null);
    const source = dataSource(this, node);
    if (typeof source === "number") return source;
    stat.blocks = source.blocks;
    return 0;
  }

  /** How many links of a non-directory users see, from the number its layer says. */
  shownLinks(node: number, links: number): number {
    const { table } = this;
    // A lower object never changes; one whose name is gone has no link left that users could see.
    if (table.layer(node) !== 0) return table.isNameless(node) ? 0 : links;
    const entry = this.index?.of(node);
    return entry === undefined ? links : Math.max(links + entry.difference, 0);
  }

  // ---- rows ---------------------------------------------------------------------------------------------------------

  /** Gives a known node one more name. A pinned descriptor goes back to the cache: there is a name to open it by again. */
  regainName(node: number, parent: number, name: string): void {
    const { table } = this;
    table.addName(node, parent, name);
    this.unpin(node);
  }

  /**
   * Before the last name of a node goes: makes sure that a descriptor leads to the object, for those who have it open.
   * 0 or -errno (EMFILE: the name must stay then).
   */
  pin(node: number): number {
    const { table } = this;
    if (table.isPinned(node)) return 0;
    const held = table.descriptor(node);
    if (held >= 0) {
      this.descriptors.release(held);
      this.markPinned(node);
      return 0;
    }
    const r = this.locate(node);
    if (r < 0) return r;
    let fd = this.openPin();
    if (fd < 0 && this.descriptors.makeRoom(fd)) {
      const again = this.locate(node);
      if (again < 0) return again;
      fd = this.openPin();
    }
    if (fd < 0) return fd;
    table.setDescriptor(node, fd, ACCESS_PATH);
    this.markPinned(node);
    return 0;
  }

  private markPinned(node: number): void {
    this.table.setPinned(node, true);
    this.descriptors.pin();
  }

  /** Gives a node the descriptor of its data: into the cache, or pinned where no name is left to open it by again. */
  hold(node: number, fd: number, access: number): void {
    this.dropDescriptor(node);
    this.table.setDescriptor(node, fd, access);
    if (this.table.isNameless(node)) this.markPinned(node);
    else this.descriptors.keep(fd, node, FILE);
  }

  private openPin(): number {
    return this.atName === "" ? native.dup(this.atFd) : native.open(this.atFd, this.atName, O_PATH, 0);
  }

  /** Undoes `pin` for a node that kept its name after all, or has one again: there is a name to open it by. */
  unpin(node: number): void {
    const { table } = this;
    if (!table.isPinned(node)) return;
    table.setPinned(node, false);
    this.descriptors.unpin();
    const fd = table.descriptor(node);
    if (table.access(node) === ACCESS_PATH) {
      ignore(native.close(fd), "an O_PATH descriptor");
      table.setDescriptor(node, -1, ACCESS_PATH);
    } else {
      this.descriptors.keep(fd, node, FILE);
    }
  }

  /** A node lost the name; `pin` has been called if it was the last one. */
  loseName(node: number, parent: number, name: string): void {
    const directory = this.table.directory(node);
    if (directory !== undefined) this.dropParts(directory);
    this.table.removeName(node, parent, name);
    this.release(parent);
    this.release(node);
  }

  /** Frees a row that neither the kernel nor a child refers to, and then its parents as far as that holds for them. */
  release(node: number): void {
    const { table } = this;
    const pending = [node];
    for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
      // A parent of two names of one node stands in the list twice.
      if (one === ROOT || !table.isAlive(one) || table.hasLookups(one) || table.hasChildren(one)) continue;
      if (this.openFiles.isNeeded(one)) continue;
      const directory = table.directory(one);
      if (directory !== undefined) this.dropParts(directory);
      this.dropDescriptor(one);
      this.dropSource(one);
      this.identities.drop(one);
      this.inodes.unclaim(one, table.inoLow(one), table.inoHigh(one));
      this.copies.abandon(one);
      this.index?.forget(one);
      table.dropNames(one, (parent) => void pending.push(parent));
      table.remove(one);
      this.closeFile(one);
      const successor = this.openFiles.forget(one);
      if (successor > 0) pending.push(successor);
    }
  }

  /** Takes over a descriptor of the data that an open node had before it was copied up. */
  keepBelow(node: number, fd: number): void {
    const one = this.openFiles.get(node);
    const before = one?.below ?? -1;
    if (one !== undefined) one.below = fd;
    if (one === undefined || before >= 0) ignore(native.close(one === undefined ? fd : before), "only read");
    else this.descriptors.pin();
  }

  /** Nobody has the node open any more. */
  closeFile(node: number): void {
    const below = this.openFiles.remove(node);
    if (below < 0) return;
    this.descriptors.unpin();
    ignore(native.close(below), "only read");
  }

  /**
   * A file lies in the upper now, and its data below are still open: a new row takes over its names and all that belongs to
   * the copy, and shows the same inode number.
   */
  succeed(node: number): void {
    const { table } = this;
    const next = table.add(table.type(node), table.layer(node));
    table.setIno(next, table.inoLow(node), table.inoHigh(node));
    if (this.inodes.isClaimed(node, table.inoLow(node), table.inoHigh(node))) this.inodes.claimShown(table, next);
    table.setData(next, table.data(node));
    table.inheritProtection(next, node);
    if (!table.isNameless(node)) {
      for (const { parent, name } of table.namesOf(node)) {
        table.removeName(node, parent, name);
        table.addName(next, parent, name);
      }
    }
    const fd = table.descriptor(node);
    if (fd >= 0) {
      const access = table.access(node);
      if (table.isPinned(node)) {
        table.setPinned(node, false);
        this.descriptors.unpin();
      } else this.descriptors.release(fd);
      table.setDescriptor(node, -1, ACCESS_PATH);
      this.hold(next, fd, access);
    }
    this.identities.move(node, next);
    this.index?.move(node, next);
    this.openFiles.succeed(node, next);
  }

  /** Takes back a lookup that was counted for an answer which is not given. */
  dropLookup(node: number): void {
    if (this.table.dropLookups(node, 1) === 0) this.release(node);
  }

  /** Closes the node's own descriptor, kept or pinned. */
  dropDescriptor(node: number): void {
    const { table } = this;
    const fd = table.descriptor(node);
    if (fd < 0) return;
    table.setDescriptor(node, -1, ACCESS_PATH);
    if (!table.isPinned(node)) {
      this.descriptors.drop(fd);
      return;
    }
    table.setPinned(node, false);
    this.descriptors.unpin();
    ignore(native.close(fd), "whatever was written through it was answered already");
  }

  /** Forgets where a metacopy's data is. */
  dropSource(node: number): void {
    const source = this.sources.get(node);
    if (source === undefined) return;
    this.sources.delete(node);
    if (source.fd >= 0) this.descriptors.drop(source.fd);
  }

  /** Closes the descriptors of a directory's parts and forgets their listings. */
  dropParts(directory: Directory): void {
    for (const part of directory.parts) {
      if (part.names !== null) {
        this.listedNames -= part.names.size;
        part.names = null;
        part.listed = false;
      }
      if (part.fd < 0) continue;
      const fd = part.fd;
      part.fd = -1;
      this.descriptors.drop(fd);
    }
  }

  private forgetDescriptor(node: number, layer: number, fd: number): void {
    if (layer === FILE) {
      this.table.setDescriptor(node, -1, ACCESS_PATH);
      return;
    }
    if (layer === SOURCE) {
      const source = this.sources.get(node);
      if (source !== undefined) source.fd = -1;
      return;
    }
    const part = this.table.directory(node)?.partIn(layer);
    if (part?.fd === fd) part.fd = -1;
  }

  /**
   * Enters the merged root; returns the index of the lowest layer that shows. As overlayfs does, a layer's root is not taken
   * for opaque by its attribute (the layer may be a part of another one's tree), but by the marker file of OCI layers.
   */
  private openRoot(layers: readonly (Layer | null)[]): number {
    const parts: Part[] = [];
    for (const layer of layers) {
      if (layer === null) continue;
      // The order of the layers numbers their file systems, whatever is looked up first.
      if (native.statx(layer.root, "", STATX_ALL, this.stat.bytes) === 0) this.inodes.addFileSystem(this.stat);
      const part = newPart(layer.index, "");
      // The root's descriptors belong to the layers: they are never evicted.
      part.fd = layer.root;
      parts.push(part);
      const marker = hasOpaqueMarker(layer.root, "");
      const read = marker < 0 ? marker : readMarks(layer.root, "", true, rootMarks);
      if (read < 0)
        throw new MountError(`cannot read the root of layer ${shown(layer.path)}: ${errnoName(read)}`, layer.path);
      part.xattrWhiteouts = rootMarks.opaque === OPAQUE_XATTR_WHITEOUTS;
      if (marker === 1) break;
    }
    const directory = new Directory(parts);
    this.table.addRoot(DT_DIR, directory.top.layer);
    this.table.setDirectory(ROOT, directory);
    const r = native.statx(directory.top.fd, "", STATX_ALL, this.stat.bytes);
    if (r < 0) throw new Error(`cannot read the attributes of the topmost layer: ${errnoName(r)}`);
    this.inodes.show(this.stat);
    this.table.setIno(ROOT, this.inodes.low, this.inodes.high);
    noteAttributes(this, ROOT, this.stat);
    const marked = layers[0] ? findProtattr(this, ROOT, layers[0].root, "") : 0;
    if (marked < 0) throw new Error(`cannot read the attributes of the topmost layer: ${errnoName(marked)}`);
    return (parts.at(-1) as Part).layer;
  }

  /** -EROFS for a union without an upper, otherwise 0. */
  checkWritable(): number {
    return this.readOnly ? -EROFS : 0;
  }

  /**
   * A warning about one object that cannot be served as it is, logged once: a bad object may be asked for again and again, and a
   * layer may hold millions of them.
   */
  warn(message: string, node: number, name: string, result: number): void {
    const directory = this.describe(node);
    if (!this.isNewWarning(`${message}\0${directory}\0${name}`)) return;
    this.log("warn", message, { directory, name, error: errnoName(result) });
  }

  /** Whether a warning with this text has not been given yet and may still be. */
  isNewWarning(text: string): boolean {
    if (this.warned.has(text) || this.warned.size > WARNINGS_MOST) return false;
    this.warned.add(text);
    if (this.warned.size <= WARNINGS_MOST) return true;
    this.log("warn", `more than ${WARNINGS_MOST} warnings about objects in the layers: no more of them are logged`);
    return false;
  }

  /** The path of a node in the mount, for messages only. */
  describe(node: number): string {
    if (node === ROOT) return "/";
    const parent = this.table.parent(node);
    return this.table.isNameless(node)
      ? "(removed)"
      : `${parent === ROOT ? "" : this.describe(parent)}/${this.table.name(node)}`;
  }
}
