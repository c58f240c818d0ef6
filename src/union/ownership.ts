/**
 * Whose an object is, between disk and users: stored owners (`xattr_permissions=`), id mappings, squashed ids. One object,
 * chosen at mount; a union without any of this has none, and pays a comparison with null. The kernel checks permissions by
 * what is shown, so everything that leaves the union goes through `show`, and every id that comes in through `uidOnDisk` and
 * `gidOnDisk`.
 */
import { EINVAL, ENODATA } from "../errno.js";
import type { Stat } from "../layer/stat.js";
import { DT_DIR, DT_LNK, DT_REG } from "../native/constants.js";
import { native } from "../native/index.js";
import { IdMap, type IdRange } from "./id-map.js";
import { locate } from "./locate.js";
import { ACL_ENTRY_SIZE, ACL_VERSION_SIZE, isStoredOwner, StoredOwners } from "./stored-owner.js";
import type { Union } from "./union.js";

/** What a mount says about ids; plain data. */
export interface OwnershipOptions {
  /** Empty: ids are shown as they are. */
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
  /** The one user, and the one group, that everything is shown to belong to; -1: no. */
  readonly squashUid: number;
  readonly squashGid: number;
  /** 0: an object's owner and mode are its own; 1, 2: in attributes (stored-owner.ts). */
  readonly xattrPermissions: 0 | 1 | 2;
}

const ACL_USER = 0x02;
const ACL_GROUP = 0x08;
const ACL_PREFIX = "system.posix_acl_";

const CAPABILITY = "security.capability";
/** struct vfs_ns_cap_data: the third revision has a user id behind the sets, whose namespace the capabilities hold in. */
const CAPABILITY_REVISION_3 = 3;
const CAPABILITY_ROOT_AT = 20;
const CAPABILITY_SIZE_3 = 24;

export class Ownership {
  /** Null: objects own themselves. */
  readonly stored: StoredOwners | null;
  private readonly uids: IdMap | null;
  private readonly gids: IdMap | null;

  private constructor(
    private readonly options: OwnershipOptions,
    complain: (value: string) => void,
  ) {
    this.uids = options.uids.length > 0 ? new IdMap(options.uids) : null;
    this.gids = options.gids.length > 0 ? new IdMap(options.gids) : null;
    this.stored = options.xattrPermissions === 0 ? null : new StoredOwners(options.xattrPermissions, complain);
  }

  /** The object for these options, or null if nothing is to be done. */
  static of(options: OwnershipOptions | undefined, complain: (value: string) => void): Ownership | null {
    if (options === undefined) return null;
    const { uids, gids, squashUid, squashGid, xattrPermissions } = options;
    const any = uids.length > 0 || gids.length > 0 || squashUid >= 0 || squashGid >= 0 || xattrPermissions !== 0;
    return any ? new Ownership(options, complain) : null;
  }

  /** Turns owner, mode and type in `u.stat` from what the layer says about a node into what users see: 0 or -errno. */
  show(u: Union, node: number): number {
    const { stat } = u;
    if (this.stored !== null) {
      let r = locate(u, node);
      if (r === 0) r = this.stored.apply(u.atFd, u.atName, stat);
      if (r < 0) return r;
    }
    stat.uid = this.shownUid(stat.uid);
    stat.gid = this.shownGid(stat.gid);
    return 0;
  }

  shownUid(uid: number): number {
    return this.options.squashUid >= 0 ? this.options.squashUid : (this.uids?.show(uid) ?? uid);
  }

  shownGid(gid: number): number {
    return this.options.squashGid >= 0 ? this.options.squashGid : (this.gids?.show(gid) ?? gid);
  }

  /** The id to store for one that users name, or -EOVERFLOW. Squashing changes only what is shown. */
  uidOnDisk(uid: number): number {
    return this.uids?.store(uid) ?? uid;
  }

  gidOnDisk(gid: number): number {
    return this.gids?.store(gid) ?? gid;
  }

  /** Whether users may neither see nor set the attribute. */
  hides(attribute: string): boolean {
    return this.stored !== null && isStoredOwner(attribute);
  }

  /** Whether a value of this attribute holds ids that differ between disk and users. */
  private holdsIds(attribute: string): boolean {
    if (this.uids === null && this.gids === null) return false;
    return attribute === CAPABILITY || attribute.startsWith(ACL_PREFIX);
  }

  /** Puts what users see into a value of `length` bytes, read from (fd, name) into `value`: ids, and the owner's permissions. `length` or -errno. */
  showValue(fd: number, name: string, attribute: string, value: Uint8Array, length: number): number {
    if (length <= 0 || value.length < length) return length;
    if (this.stored !== null && attribute === `${ACL_PREFIX}access`) {
      const r = this.stored.showAcl(fd, name, value.subarray(0, length));
      if (r < 0) return r;
    }
    if (!this.holdsIds(attribute)) return length;
    const view = new DataView(value.buffer, value.byteOffset, length);
    if (attribute === CAPABILITY) {
      if (!hasRootId(view)) return length;
      const root = view.getUint32(CAPABILITY_ROOT_AT, true);
      // Capabilities of a namespace that nobody can be in: there are none.
      if (this.uids !== null && !this.uids.shows(root)) return -ENODATA;
      view.setUint32(CAPABILITY_ROOT_AT, this.uids?.show(root) ?? root, true);
      return length;
    }
    const r = mapAcl(
      view,
      (uid) => this.uids?.show(uid) ?? uid,
      (gid) => this.gids?.show(gid) ?? gid,
    );
    return r < 0 ? r : length;
  }

  /**
   * The value to store for one that users set: itself, or a copy of it in `room` with the ids of the disk; or -EINVAL, as the
   * kernel says of an id that an idmapped mount does not have.
   */
  storedValue(attribute: string, value: Uint8Array, room: Uint8Array): Uint8Array | number {
    if (!this.holdsIds(attribute) || value.length > room.length) return value;
    room.set(value);
    const view = new DataView(room.buffer, room.byteOffset, value.length);
    if (attribute === CAPABILITY) {
      if (!hasRootId(view)) return value;
      const root = this.uidOnDisk(view.getUint32(CAPABILITY_ROOT_AT, true));
      if (root < 0) return -EINVAL;
      view.setUint32(CAPABILITY_ROOT_AT, root, true);
    } else {
      const r = mapAcl(
        view,
        (uid) => this.uidOnDisk(uid),
        (gid) => this.gidOnDisk(gid),
      );
      if (r < 0) return r;
    }
    return room.subarray(0, value.length);
  }
}

function hasRootId(view: DataView): boolean {
  return view.byteLength === CAPABILITY_SIZE_3 && view.getUint32(0, true) >>> 24 === CAPABILITY_REVISION_3;
}

/** Replaces the ids of an ACL; what is no ACL is left for the file system to refuse. 0, or -EINVAL for an id that has no other. */
function mapAcl(view: DataView, uid: (id: number) => number, gid: (id: number) => number): number {
  for (let at = ACL_VERSION_SIZE; at + ACL_ENTRY_SIZE <= view.byteLength; at += ACL_ENTRY_SIZE) {
    const tag = view.getUint16(at, true);
    if (tag !== ACL_USER && tag !== ACL_GROUP) continue;
    const id = (tag === ACL_USER ? uid : gid)(view.getUint32(at + 4, true));
    if (id < 0) return -EINVAL;
    view.setUint32(at + 4, id, true);
  }
  return 0;
}

/** Whether an object of this type (DT_*) is a regular file in the upper: with stored owners also what is no directory or link. */
export function isFileInUpper(u: Union, type: number): boolean {
  return type === DT_REG || (type !== DT_DIR && type !== DT_LNK && (u.ownership?.stored ?? null) !== null);
}

/** chown(2) of an object in the upper, by ids of the disk; -1 keeps one. 0 or -errno. */
export function changeOwner(u: Union, fd: number, name: string, uid: number, gid: number): number {
  const stored = u.ownership?.stored ?? null;
  return stored === null ? native.chown(fd, name, uid, gid) : stored.chown(fd, name, uid, gid);
}

/** chmod(2) of an object in the upper: 0 or -errno. */
export function changeMode(u: Union, fd: number, name: string, mode: number): number {
  const stored = u.ownership?.stored ?? null;
  return stored === null ? native.chmod(fd, name, mode) : stored.chmod(fd, name, mode);
}

/** Puts what an object stores about its owner, mode and type over `stat`, which has what its layer says: 0 or -errno. */
export function applyStored(u: Union, fd: number, name: string, stat: Stat): number {
  return u.ownership?.stored?.apply(fd, name, stat) ?? 0;
}
