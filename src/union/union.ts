/**
 * The union's state: layers, nodes, descriptors, copies under way. One JavaScript thread owns it and every operation on it
 * is synchronous. The verbs are in ops/. What they share are functions over this state: where the object behind a nodeid is
 * (locate.ts), what users see of it (present.ts), which descriptors lead to it (held.ts), and the life of its row (rows.ts).
 */
import { EROFS, errnoName } from "../errno.js";
import type { Layer } from "../layer/layer.js";
import type { ProjectQuota } from "../layer/project-quota.js";
import { Stat } from "../layer/stat.js";
import { Copies } from "./copies.js";
import { finishCopy } from "./copy-file.js";
import type { DataSource } from "./data-source.js";
import { Descriptors } from "./descriptors.js";
import { Found } from "./found.js";
import { DirectoryHandles } from "./handles.js";
import type { HardlinkIndex } from "./hardlink-index.js";
import { forgetDescriptor } from "./held.js";
import { Identities } from "./identities.js";
import { InodeNumbers } from "./inode-numbers.js";
import { KeptLists } from "./kept-lists.js";
import type { Verity } from "./metacopy-mark.js";
import { NodeTable, ROOT } from "./node-table.js";
import { OpenFiles } from "./open-files.js";
import { Origins } from "./origin.js";
import { Ownership, type OwnershipOptions } from "./ownership.js";
import { shown } from "./paths.js";
import type { Quota } from "./quota.js";
import { markRoot, openRoot } from "./root.js";
import { settleAll } from "./settle.js";
import type { Unsynced } from "./unsynced.js";
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
  /** Whether the fs-verity digests in metacopies count. */
  readonly verity: Verity;
  /**
   * Marks in `user.` attributes that lead elsewhere (redirects, metacopies) are followed. Where the driver may read what the
   * owner of a file may not, such a mark would be a way around permissions, so it is followed only by mounts that write such.
   */
  readonly followsUser: boolean;
  /** Redirects are followed; otherwise whatever has one is EPERM, as in overlayfs. */
  readonly followsRedirects: boolean;
  /** A directory with lower parts can be renamed; otherwise that is EXDEV. */
  readonly writesRedirects: boolean;
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
  /** Copies that wait for the disk are made on the calling thread, too. */
  readonly waitsInline: boolean;
  /** Copies are published before they are synced, where that can be (settle.ts). */
  readonly lazy: boolean;
  readonly unsynced: Unsynced;
  /** The limit on what the upper holds, if the driver is to keep it. */
  readonly quota: Quota | null;
  /** The limit on what the upper holds, if its file system keeps it. */
  readonly project: ProjectQuota | null;
  /** Releases locks and leftovers at the end. */
  readonly closed: () => void;
}

/** Warnings about objects of the layers that a mount logs in its life. */
const WARNINGS_MOST = 1000;

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
  readonly verity: Verity;
  readonly followsUser: boolean;
  readonly followsRedirects: boolean;
  readonly writesRedirects: boolean;
  /** Device → whether its file system has the flags of chattr(1) (protection.ts). */
  readonly flagged = new Map<number, boolean>();
  /** The operation under way has changed what users see: whatever its result, it must not be run once more. */
  committed = false;
  readonly readOnly: boolean;
  readonly volatile: boolean;
  readonly log: Log;
  private readonly inlineCopyLimit: number;
  readonly waitsInline: boolean;
  /** Copies are published before they are synced; false once the upper has refused the marks for that. */
  lazy: boolean;
  /** Those that are not synced yet. */
  readonly unsynced: Unsynced;
  /** The limit on what the upper holds; null where there is none, or its file system keeps it. */
  readonly quota: Quota | null;
  readonly project: ProjectQuota | null;
  /** Mentions of names in lower parts that are kept (lower-names.ts). */
  listedNames = 0;
  readonly keptLists = new KeptLists();
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
    this.verity = parts.verity;
    this.followsUser = parts.followsUser;
    this.followsRedirects = parts.followsRedirects;
    this.writesRedirects = parts.writesRedirects;
    this.workOrNull = parts.work;
    this.index = parts.index;
    this.readOnly = parts.work === null;
    this.volatile = parts.volatile;
    this.ownership = Ownership.of(parts.ownership, (value) =>
      this.log("warn", "a malformed stored owner: the object shows its own", { value: shown(value) }),
    );
    this.log = parts.log;
    this.inlineCopyLimit = parts.inlineCopyLimit;
    this.waitsInline = parts.waitsInline;
    this.lazy = parts.lazy;
    this.unsynced = parts.unsynced;
    this.quota = parts.quota;
    this.project = parts.project;
    this.closed = parts.closed;
    this.descriptors = new Descriptors(parts.descriptorLimit, (node, layer, fd) =>
      forgetDescriptor(this, node, layer, fd),
    );
    this.origins = new Origins(parts.layers);
    this.lastLayer = openRoot(this, parts.layers);
    markRoot(this);
  }

  /** The work directory; only for operations that have checked `readOnly`. */
  get work(): WorkDirectory {
    if (this.workOrNull === null) throw new Error("a read-only union has no work directory");
    return this.workOrNull;
  }

  /** Whether a copy of `length` bytes, which `syncs` or not, is made at once instead of by a job. */
  copiesInline(length: number, syncs: boolean): boolean {
    return length <= this.inlineCopyLimit && (!syncs || this.waitsInline);
  }

  /** A job that `parkedOn` named has ended: 0 (dispatch the parked requests again), or the -errno they all get. */
  jobDone(job: number, result: number): number {
    return finishCopy(this, job, result);
  }

  /** Ends the union: everything on disk, the work directory empty, the locks released. */
  close(): void {
    settleAll(this);
    this.found.reset();
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
      unsynced: this.unsynced.count,
      listedNames: this.listedNames,
      warnings: this.warnings,
      ...(this.quota === null ? {} : { quotaLimit: this.quota.limit, quotaUsed: this.quota.used }),
    };
  }

  /** Warnings given about objects in the layers. */
  get warnings(): number {
    return this.warned.size;
  }

  generation(node: number): number {
    return this.table.generation(node);
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
