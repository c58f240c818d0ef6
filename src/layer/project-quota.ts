/**
 * A limit on what an upper holds that its file system keeps: a project quota of ext4 (mounted with `prjquota`) or xfs (`pquota`).
 * Upper and work directory carry a project id that everything made in them inherits, and the id has the limit. The id is kept
 * nowhere else. It is made of the upper's inode number, so that two uppers hardly ever want the same, and the usage
 * that the file system counts for it tells whether it is anybody's.
 */
import { EBUSY, ENOENT, ENOSYS, ESRCH, EXDEV, ignore } from "../errno.js";
import { FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, O_DIRECTORY, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { readListing } from "./listing.js";
import { STATX_ALL, Stat } from "./stat.js";

/** Commands of quotactl(2) for projects. */
const PROJECTS = 2;
const Q_GETQUOTA = 0x80000700 + PROJECTS;
const Q_SETQUOTA = 0x80000800 + PROJECTS;
const Q_XGETQSTATV = 0x580800 + PROJECTS;
/** Of struct fs_quota_statv: limits on projects are enforced. */
const ENFORCED = 1 << 5;
/** Of struct if_dqblk: the limits on blocks are meant. */
const QIF_BLIMITS = 1;
const FS_XFLAG_PROJINHERIT = 0x200;
/** Ids from here on, as many as this, are taken to be those of uppers; administrators count from 1. */
const FIRST = 2 ** 30;
const attempts = 64;
const CAP_SYS_RESOURCE = 24;

const statv = new DataView(new ArrayBuffer(256));
const block = new DataView(new ArrayBuffer(72));
const fsxattr = new DataView(new ArrayBuffer(28));
const stat = new Stat();

/** The bytes behind a view. */
const raw = (view: DataView): Uint8Array => new Uint8Array(view.buffer);

export class ProjectQuota {
  /** `upper`: a descriptor of the upper, which stays the caller's. `limit`: bytes. */
  constructor(
    private readonly upper: number,
    readonly id: number,
    readonly limit: number,
  ) {}

  /** What the upper and its work directory hold, in bytes; or -errno. */
  get used(): number {
    const r = readUsage(this.upper, this.id);
    return r < 0 ? r : readNumber(block, 16);
  }

  /** The limit holds from now on: 0 or -errno. */
  enforce(): number {
    return setLimit(this.upper, this.id, this.limit);
  }

  /** Does what must be possible at the limit, too: a whiteout may need a block of its directory. Nothing else is done meanwhile. */
  without(action: () => number): number {
    const lifted = setLimit(this.upper, this.id, 0);
    if (lifted < 0) return lifted;
    const result = action();
    const set = this.enforce();
    return set < 0 && result >= 0 ? set : result;
  }
}

/**
 * Makes an upper and its work directory (descriptors, O_PATH will do) ready to be limited to `limit` bytes, by `enforce`: null where the file system keeps no such
 * limits, or the upper has content that no id of ours is on; or -errno, as `joinedProject`. From then on this process is limited like others.
 */
export function limitByProject(upper: number, work: number, limit: number): ProjectQuota | null | number {
  const found = joinedProject(upper, work);
  if (found < 0) return found;
  statv.setInt8(0, 1);
  const state = native.quotactl(upper, Q_XGETQSTATV, 0, raw(statv));
  if (state < 0 || (statv.getUint16(2, true) & ENFORCED) === 0) return null;
  let id = found;
  if (!isOurs(found)) {
    // An administrator's project, which goes on limiting it.
    if (found !== 0) return null;
    const empty = Math.min(isEmpty(upper), isEmpty(work));
    if (empty <= 0) return empty === 0 ? null : empty;
    id = claim(upper, work);
    if (id < 0) return id;
  }
  // With this capability root is not limited by the quotas of ext4.
  let r = native.dropCapability(CAP_SYS_RESOURCE);
  if (r === 0) r = setLimit(upper, id, 0);
  return r < 0 ? r : new ProjectQuota(upper, id, limit);
}

/** Takes the limit of an upper away, if it has one of ours: 0 or -errno, as `joinedProject`. Three system calls where it has none. */
export function unlimit(upper: number, work: number): number {
  const id = joinedProject(upper, work);
  if (id < 0) return id;
  return isOurs(id) ? releaseProject(upper, id) : 0;
}

/**
 * The project of an upper, be it ours or an administrator's; its work directory is made to have the same, which may have been made anew: what is made there
 * could not be moved into the upper otherwise. 0 for none, -EXDEV for a work directory with content of another one, or -errno.
 */
function joinedProject(upper: number, work: number): number {
  const id = projectOf(upper);
  if (id <= 0 || projectOf(work) === id) return id;
  const empty = isEmpty(work);
  if (empty <= 0) return empty === 0 ? -EXDEV : empty;
  const r = setProject(work, id);
  return r < 0 ? r : id;
}

/** The id by which an upper is limited, or was; 0 for none of ours, or -errno. */
export function limitingProject(upper: number): number {
  const id = projectOf(upper);
  return id < 0 || isOurs(id) ? id : 0;
}

/** Takes the limit of an upper away that is about to be removed, before that: whoever gets its id next sets one of his own. 0 or -errno. */
export function releaseLimit(upper: number): number {
  const id = projectOf(upper);
  return id < 0 || !isOurs(id) ? Math.min(id, 0) : releaseProject(upper, id);
}

/** An id has no limit any more: 0 or -errno. `anywhere`: a descriptor on its file system. */
function releaseProject(anywhere: number, id: number): number {
  const r = setLimit(anywhere, id, 0);
  // No quota is kept here (any more), or for none of this id.
  return r === -ENOSYS || r === -ESRCH ? 0 : r;
}

function isOurs(id: number): boolean {
  return id >= FIRST && id < 2 * FIRST;
}

/** Puts an id that nobody has on two empty directories: the id or -errno. */
function claim(upper: number, work: number): number {
  let r = native.statx(upper, "", STATX_ALL, stat.bytes);
  if (r < 0) return r;
  let id = FIRST + (stat.inoLow % FIRST);
  for (let attempt = 0; attempt < attempts; attempt++) {
    r = readUsage(upper, id);
    if (r === 0 && readNumber(block, 16) === 0 && readNumber(block, 40) === 0) {
      r = setProject(upper, id);
      if (r === 0) r = setProject(work, id);
      if (r === 0) r = readUsage(upper, id);
      // Otherwise somebody has claimed it at the same time.
      if (r === 0 && readNumber(block, 40) === 2) return id;
      for (const fd of [upper, work]) ignore(setProject(fd, 0), "an id without a limit does nothing");
    }
    if (r < 0) return r;
    id = FIRST + Math.floor(Math.random() * FIRST);
  }
  return -EBUSY;
}

/** 1, 0 or -errno. */
function isEmpty(fd: number): number {
  const count = readListing(fd, { entry: () => undefined });
  return count < 0 ? count : count === 0 ? 1 : 0;
}

/** The id that what is made in a directory inherits: 0 for none (and where there are no projects), or -errno. */
function projectOf(directory: number): number {
  const fd = native.open(directory, ".", O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return fd;
  const r = native.ioctl(fd, FS_IOC_FSGETXATTR, raw(fsxattr));
  ignore(native.close(fd), "only read");
  return r < 0 || (fsxattr.getUint32(0, true) & FS_XFLAG_PROJINHERIT) === 0 ? 0 : fsxattr.getUint32(12, true);
}

/** Puts an id on a directory, and on what is made in it from now on; 0 takes it away. 0 or -errno. */
function setProject(directory: number, id: number): number {
  const fd = native.open(directory, ".", O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return fd;
  let r = native.ioctl(fd, FS_IOC_FSGETXATTR, raw(fsxattr));
  if (r >= 0) {
    const flags = fsxattr.getUint32(0, true) & ~FS_XFLAG_PROJINHERIT;
    fsxattr.setUint32(0, id === 0 ? flags : flags | FS_XFLAG_PROJINHERIT, true);
    fsxattr.setUint32(12, id, true);
    r = native.ioctl(fd, FS_IOC_FSSETXATTR, raw(fsxattr));
  }
  ignore(native.close(fd), "nothing was written to it");
  return Math.min(r, 0);
}

/** Fills `block`, with zeros for an id that is not in use: 0 or -errno. */
function readUsage(anywhere: number, id: number): number {
  raw(block).fill(0);
  const r = native.quotactl(anywhere, Q_GETQUOTA, id, raw(block));
  return r === -ENOENT ? 0 : r;
}

/** `limit`: bytes, 0 for none. */
function setLimit(anywhere: number, id: number, limit: number): number {
  raw(block).fill(0);
  // The file system counts in KiB.
  const blocks = Math.ceil(limit / 1024);
  block.setUint32(0, blocks % two32, true);
  block.setUint32(4, Math.floor(blocks / two32), true);
  block.setUint32(64, QIF_BLIMITS, true);
  return native.quotactl(anywhere, Q_SETQUOTA, id, raw(block));
}

const two32 = 4294967296;

function readNumber(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * two32;
}
