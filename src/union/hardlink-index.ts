/**
 * Hard links of lower files stay links when one of them is copied up. The copy goes into WORK/index under a name made of the
 * lower file's handle (overlayfs's `index=on`), and a lower name whose file has an entry there shows that entry. The entry is
 * itself a link, and lower names that have not been copied up count as well, so the number of links users see is stored
 * in `overlay.nlink`, relative to the real one: `U-1`.
 */
import { EBADMSG, EEXIST, ENOENT, EOPNOTSUPP, EPERM, errnoName, ignore, isAbsent } from "../errno.js";
import type { MarkNames } from "../layer/mark-names.js";
import { isNoAttribute, readNlink, readOrigin, readUpper } from "../layer/marks.js";
import { S_IFREG, STATX_ALL, Stat } from "../layer/stat.js";
import { DT_REG, O_DIRECTORY, O_PATH, RENAME_NOREPLACE } from "../native/constants.js";
import { native } from "../native/index.js";
import { MountError } from "./mount-error.js";
import { compareOwner, hasUuid, ORIGIN_HEADER, OWNER_COPIED } from "./origin.js";

const INDEX = "index";

/** A node whose backing is an entry of the index. */
export interface Entry {
  /** Name in the index directory. */
  readonly name: string;
  /** Links that users see, minus those the upper's file system counts. */
  difference: number;
}

const value = Buffer.alloc(256);
const entryStat = new Stat();

export class HardlinkIndex {
  private readonly entries = new Map<number, Entry>();
  private fd = -1;

  /**
   * `work`: O_PATH descriptor of the work directory; the index is made there when it is first needed. `names`: what marks are
   * called in this upper. `grows`: new entries may be made; those that are there are used in any case.
   * `owner`: the handle of the upper's root, which the index is marked with; null where it has none.
   */
  constructor(
    private readonly work: number,
    private readonly names: MarkNames,
    readonly grows: boolean,
    private readonly owner: Buffer | null,
  ) {
    this.fd = native.open(work, INDEX, O_PATH | O_DIRECTORY, 0);
    if (this.fd < 0 && !isAbsent(this.fd)) {
      throw new MountError(`cannot open the index of hard links in the work directory: ${errnoName(this.fd)}`);
    }
  }

  /** The entry a node lies in, if it does. */
  of(node: number): Entry | undefined {
    return this.entries.get(node);
  }

  /** Whether there can be an entry for an object of this type (DT_*), which must carry what an entry says about itself. */
  canHold(type: number): boolean {
    if (this.fd < 0 && !this.grows) return false;
    return !this.names.isUser || type === DT_REG;
  }

  get directory(): number {
    return this.fd;
  }

  adopt(node: number, entry: Entry): void {
    this.entries.set(node, entry);
  }

  /** `next` is the node of the entry from now on. */
  move(node: number, next: number): void {
    const entry = this.entries.get(node);
    if (entry === undefined) return;
    this.entries.delete(node);
    this.entries.set(next, entry);
  }

  forget(node: number): void {
    this.entries.delete(node);
  }

  /**
   * The entry for an origin, with `stat`, which describes the lower file, filled from it; null if there is none, -EBADMSG if
   * it is no copy of that file, or another -errno. Where owners are `stored`, a regular file may stand for one of any type.
   */
  find(origin: Buffer, stat: Stat, stored = false): Entry | null | number {
    if (this.fd < 0) return null;
    const name = origin.toString("hex");
    const r = native.statx(this.fd, name, STATX_ALL, entryStat.bytes);
    if (r === -ENOENT) return null;
    if (r < 0) return r;
    // A kernel leaves a whiteout here for a file all of whose links are gone.
    if (entryStat.isWhiteoutDevice) return null;
    const alike = entryStat.type === stat.type || (stored && entryStat.type === S_IFREG);
    if (!alike || this.contradicts(name, origin)) return -EBADMSG;
    const lowerLinks = stat.nlink;
    stat.copyFrom(entryStat);
    return { name, difference: this.readDifference(name, entryStat.nlink, lowerLinks) };
  }

  /** Whether an entry says to be the copy of another file than its name does. Kernel and driver always store the origin. */
  private contradicts(name: string, origin: Buffer): boolean {
    const length = readOrigin(this.fd, name, value);
    return length >= 0 && !value.subarray(0, length).equals(origin);
  }

  /** The entry that the upper object (fd, name) is a link of; null if it is none. `stat` describes the object. */
  findUpper(fd: number, name: string, stat: Stat): Entry | null | number {
    if (this.fd < 0) return null;
    const length = readOrigin(fd, name, value);
    if (isNoAttribute(length) || length <= ORIGIN_HEADER) return length < 0 && !isNoAttribute(length) ? length : null;
    const inIndex = value.subarray(0, length).toString("hex");
    const r = native.statx(this.fd, inIndex, STATX_ALL, entryStat.bytes);
    if (r === -ENOENT) return null;
    if (r < 0) return r;
    const same = entryStat.inoLow === stat.inoLow && entryStat.inoHigh === stat.inoHigh;
    return same ? { name: inIndex, difference: this.readDifference(inIndex, stat.nlink, stat.nlink - 1) } : null;
  }

  /** `U+n` counts from the upper's links, `L+n` (which a kernel writes) from the lower's. Without either: only the entry. */
  private readDifference(name: string, upperLinks: number, lowerLinks: number): number {
    const length = readNlink(this.fd, name, value);
    const match = length > 0 ? /^([UL])([+-]\d{1,9})$/.exec(value.latin1Slice(0, length)) : null;
    if (match === null) return -1;
    return match[1] === "U" ? Number(match[2]) : lowerLinks + Number(match[2]) - upperLinks;
  }

  /** Stores how many more links users see than the upper's file system counts: 0 or -errno. */
  writeDifference(entry: Entry, difference: number): number {
    const r = this.storeDifference(this.fd, entry.name, difference);
    if (r === 0) entry.difference = difference;
    return r;
  }

  /**
   * Moves a finished copy from the directory `workFd` into the index. `links`: how many links users see. The copy has one real
   * link, which becomes the entry: the difference is true before and after. 0 with the entry in `node`'s name, or -errno.
   */
  publish(node: number, workFd: number, temporary: string, origin: Buffer, links: number): number {
    let r = this.makeDirectory();
    if (r < 0) return r;
    r = native.setxattr(workFd, temporary, this.names.origin, origin, 0);
    if (r < 0) return r;
    const difference = links - 1;
    r = this.storeDifference(workFd, temporary, difference);
    if (r < 0) return r;
    const name = origin.toString("hex");
    r = native.rename(workFd, temporary, this.fd, name, RENAME_NOREPLACE);
    if (r === 0) this.entries.set(node, { name, difference });
    return r;
  }

  private storeDifference(fd: number, name: string, difference: number): number {
    const text = `U${difference < 0 ? "-" : "+"}${Math.abs(difference)}`;
    return native.setxattr(fd, name, this.names.nlink, Buffer.from(text, "latin1"), 0);
  }

  private makeDirectory(): number {
    if (this.fd >= 0) return 0;
    const made = native.mkdirAs(this.work, INDEX, 0o700, 0, 0);
    if (made < 0 && made !== -EEXIST) return made;
    this.fd = native.open(this.work, INDEX, O_PATH | O_DIRECTORY, 0);
    return this.fd < 0 ? this.fd : this.mark();
  }

  /** Says which upper the entries belong to, where nothing says so yet, or both are copies: 0 or -errno. */
  mark(): number {
    const owner = this.owner;
    if (this.fd < 0 || owner === null) return 0;
    const length = readUpper(this.fd, "", value);
    if (length < 0 && !isNoAttribute(length)) return length;
    const stored = value.subarray(0, Math.max(length, 0));
    // Where the kernel was told to leave UUIDs out, it wants to find the mark without one.
    if (length > 0 && !(compareOwner(stored, owner) === OWNER_COPIED && hasUuid(stored) && hasUuid(owner))) return 0;
    return native.setxattr(this.fd, "", this.names.upper, owner, 0);
  }

  /** Makes the entry a link at (fd, name) in the upper, which lower names lead to anyway: 0 or -errno. */
  linkUp(entry: Entry, fd: number, name: string): number {
    const linked = native.link(this.fd, entry.name, fd, name);
    if (linked < 0) return linked === -EPERM ? -EOPNOTSUPP : linked;
    const r = this.writeDifference(entry, entry.difference - 1);
    if (r < 0)
      ignore(native.unlink(fd, name, 0), "users see a link too many if it stays; its lower name leads to the entry");
    return r;
  }

  /** The last name that users saw is gone: so is the entry. */
  remove(node: number): void {
    const entry = this.entries.get(node);
    if (entry === undefined) return;
    this.entries.delete(node);
    ignore(native.unlink(this.fd, entry.name, 0), "an entry that is left is taken for the copy, which it is");
  }

  close(): void {
    if (this.fd >= 0) ignore(native.close(this.fd), "an O_PATH descriptor");
    this.fd = -1;
  }
}
