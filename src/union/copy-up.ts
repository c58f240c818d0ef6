/**
 * Copy-up: before the first change, an object of a lower layer is copied into the upper. It is built in the work directory
 * (data before attributes, since a write drops security.capability; times last), synced, and published by one rename. The
 * lower object is only ever read. Regular data is copied by a job; the request that needs it is parked (park.ts).
 */
import { EEXIST, EIO, ENOENT, EOPNOTSUPP, EPERM, ESTALE, errnoName, ignore } from "../errno.js";
import { isMetacopy, WHITEOUT_PREFIX } from "../layer/marks.js";
import { S_IFLNK, S_IFREG, Stat } from "../layer/stat.js";
import { DT_DIR, DT_REG, O_CREAT, O_EXCL, O_PATH, O_RDONLY, O_RDWR, RENAME_NOREPLACE } from "../native/constants.js";
import { native } from "../native/index.js";
import type { Copy } from "./copies.js";
import { newPart, PURE, WH_NONE } from "./directory.js";
import { setImpure } from "./impure.js";
import { bringName } from "./links.js";
import { ACCESS_PATH, ACCESS_WRITE } from "./node-table.js";
import { PARK } from "./park.js";
import type { Union } from "./union.js";
import { copiesUp, mustCopyUp } from "./xattr-names.js";

const source = new Stat();
const parentTimes = new Stat();
/** What the source of a copy is shown as, where it says so itself. */
const shownAs = new Stat();
const list = Buffer.alloc(64 * 1024);
const value = Buffer.alloc(64 * 1024);

/** Makes sure that a directory has an upper part, its parents first: 0 or -errno. */
export function copyUpDirectory(u: Union, node: number): number {
  const directory = u.table.directory(node);
  if (directory === undefined) return -ESTALE;
  if (directory.upper !== null) return 0;
  if (u.table.isNameless(node)) return -ENOENT;
  const above = copyUpDirectory(u, u.table.parent(node));
  if (above < 0) return above;
  let r = u.statBacking(node, source);
  if (r < 0) return r;
  const ctime = source.ctimeWords.slice();
  const temporary = u.work.temporary();
  r = native.mkdirAs(u.work.fd, temporary, 0o700, 0, 0);
  if (r < 0) return r;
  r = copyAttributes(u, u.atFd, u.atName, source, u.work.fd, temporary);
  if (r === 0) r = publish(u, node, temporary);
  if (r < 0) {
    u.work.discard(temporary);
    return r;
  }
  const upper = newPart(0, null);
  upper.marked = WH_NONE;
  upper.purity = PURE;
  directory.parts.unshift(upper);
  directory.ctime = ctime;
  u.table.setLayer(node, 0);
  return 0;
}

/**
 * Makes sure that an object lies in the upper. Of a regular file, at most `size` bytes are copied (a truncation needs no
 * more). 0, PARK (wait for `u.parkedOn`), or -errno.
 */
export function copyUp(u: Union, node: number, size = Number.MAX_SAFE_INTEGER): number {
  const { table } = u;
  if (!table.isAlive(node)) return -ESTALE;
  const writable = u.checkWritable();
  if (writable < 0) return writable;
  if (table.type(node) === DT_DIR) {
    const r = copyUpDirectory(u, node);
    const directory = table.directory(node);
    if (directory !== undefined) directory.ctime = null; // the caller is about to change it
    return r;
  }
  if (table.layer(node) === 0) return 0;
  const running = u.copies.byNode.get(node);
  if (running !== undefined) {
    u.parkedOn = running.job;
    return PARK;
  }
  if (!table.isNameless(node)) {
    const above = copyUpDirectory(u, table.parent(node));
    if (above < 0) return above;
  }
  const r = u.statBacking(node, source);
  if (r < 0) return r;
  return table.type(node) === DT_REG ? copyUpFile(u, node, Math.min(size, source.size)) : copyUpSpecial(u, node);
}

/**
 * -EIO for a file whose data another layer holds (overlayfs's metacopy), which this driver does not look for: zeros in
 * place of a user's data would be worse. `stat` describes the backing that `locate` found. 0 for any other file.
 */
export function refuseMetacopy(u: Union, node: number, stat: Stat): number {
  const metacopy = isMetacopy(u.atFd, u.atName, stat);
  if (metacopy <= 0) return metacopy;
  u.warn("a metacopy: its data cannot be read", u.table.parent(node), u.table.name(node), -EIO);
  return -EIO;
}

function copyUpFile(u: Union, node: number, size: number): number {
  const refused = refuseMetacopy(u, node, source);
  if (refused < 0) return refused;
  const temporary = u.work.temporary();
  const output = native.openAs(u.work.fd, temporary, O_CREAT | O_EXCL | O_RDWR, 0o600, 0, 0);
  if (output < 0) return output;
  const input = size === 0 ? 0 : openSource(u, node);
  if (input < 0) return failed(u, temporary, output, input);
  if (size > u.inlineCopyLimit) {
    const job = u.copies.newJob();
    const started = native.jobCopy(job, input, output, size, u.volatile ? 0 : 1);
    ignore(native.close(input), "the job has its own");
    if (started < 0) return failed(u, temporary, output, started);
    u.copies.add({ job, node, temporary, fd: output, abandoned: false });
    u.parkedOn = job;
    return PARK;
  }
  let r = size === 0 ? 0 : native.copyData(input, output, size);
  if (size > 0) ignore(native.close(input), "nothing was written through it");
  if (r >= 0 && size > 0 && !u.volatile) r = native.fsync(output);
  return r < 0 ? failed(u, temporary, output, r) : finishFile(u, node, temporary, output);
}

function failed(u: Union, temporary: string, fd: number, result: number): number {
  ignore(native.close(fd), "the temporary is thrown away");
  u.work.discard(temporary);
  return result;
}

/** Opens the lower file of a node for reading. */
function openSource(u: Union, node: number): number {
  const r = u.locate(node);
  if (r < 0) return r;
  return u.atName === "" ? native.reopen(u.atFd, O_RDONLY) : native.open(u.atFd, u.atName, O_RDONLY, 0);
}

/**
 * A copy job has ended: publishes the copy. Returns 0 (the requests that wait can be dispatched again) or the -errno that
 * each of them gets.
 */
export function finishCopy(u: Union, job: number, result: number): number {
  const copy: Copy | undefined = u.copies.take(job);
  if (copy === undefined) return 0;
  if (copy.abandoned) {
    ignore(failed(u, copy.temporary, copy.fd, -ESTALE), "nobody waits for it");
    return 0;
  }
  if (result < 0) return failed(u, copy.temporary, copy.fd, result);
  if (!u.table.isNameless(copy.node)) {
    const above = copyUpDirectory(u, u.table.parent(copy.node));
    if (above < 0) return failed(u, copy.temporary, copy.fd, above);
  }
  const r = u.statBacking(copy.node, source);
  return r < 0 ? failed(u, copy.temporary, copy.fd, r) : finishFile(u, copy.node, copy.temporary, copy.fd);
}

/** Gives the temporary its attributes and publishes it; takes over `fd`. `source` describes the lower file. */
function finishFile(u: Union, node: number, temporary: string, fd: number): number {
  let r = keepBelow(u, node);
  if (r === 0) r = keepPlain(u, node, fd);
  if (r === 0) r = u.locate(node);
  if (r === 0) r = copyAttributes(u, u.atFd, u.atName, source, u.work.fd, temporary);
  if (r < 0) return failed(u, temporary, fd, r);
  if (source.nlink > 1) {
    r = publishLinked(u, node, temporary);
    if (r < 0) return failed(u, temporary, fd, r);
    if (r === PUBLISHED) {
      u.table.setLayer(node, 0);
      u.hold(node, fd, ACCESS_WRITE);
      return bringNames(u, node);
    }
  }
  if (u.table.isNameless(node)) {
    r = native.unlink(u.work.fd, temporary, 0);
    if (r < 0) return failed(u, temporary, fd, r);
  } else {
    r = publish(u, node, temporary);
    if (r < 0) return failed(u, temporary, fd, r);
  }
  u.table.setLayer(node, 0);
  u.hold(node, fd, ACCESS_WRITE);
  return 0;
}

/**
 * Before the data of a node become the upper's own: those who have the data below open through the kernel go on with them, and
 * may ask for their holes. 0 or -errno.
 */
function keepBelow(u: Union, node: number): number {
  if (!u.openFiles.isOld(node)) return 0;
  const fd = openSource(u, node);
  if (fd < 0) return fd;
  u.keepBelow(node, fd);
  return 0;
}

/**
 * A file whose name looks like a whiteout's shows because it has content or says so: before it loses the content, it must
 * say so. `fd` is its backing in the upper. 0 or -errno.
 */
export function keepPlain(u: Union, node: number, fd: number): number {
  if (u.table.isNameless(node)) return 0;
  const looks = u.table.namesOf(node).some(({ name }) => name.startsWith(WHITEOUT_PREFIX));
  return looks ? u.work.setPlain(fd, "") : 0;
}

/** Symbolic links, fifos, sockets, devices. `source` describes the lower object. */
function copyUpSpecial(u: Union, node: number): number {
  const temporary = u.work.temporary();
  let r = u.locate(node);
  if (r < 0) return r;
  if (source.type === S_IFLNK) {
    const length = native.readlink(u.atFd, u.atName, value);
    if (length < 0) return length;
    r = native.symlinkAs(value.latin1Slice(0, length), u.work.fd, temporary, 0, 0);
  } else {
    r = native.mknodAs(
      u.work.fd,
      temporary,
      (u.ownership?.stored ? S_IFREG : source.type) | 0o600,
      source.rdevMajor,
      source.rdevMinor,
      0,
      0,
    );
  }
  if (r < 0) return r;
  r = copyAttributes(u, u.atFd, u.atName, source, u.work.fd, temporary);
  if (r === 0 && source.nlink > 1 && !u.table.isNameless(node)) {
    r = publishLinked(u, node, temporary);
    if (r === PUBLISHED) {
      u.dropDescriptor(node);
      u.table.setLayer(node, 0);
      return bringNames(u, node);
    }
  }
  if (r === 0 && u.table.isNameless(node)) {
    const fd = native.open(u.work.fd, temporary, O_PATH, 0);
    if (fd >= 0) {
      u.table.setLayer(node, 0);
      u.hold(node, fd, ACCESS_PATH);
    }
    u.work.discard(temporary);
    return Math.min(fd, 0);
  }
  if (r === 0) r = publish(u, node, temporary);
  if (r < 0) {
    u.work.discard(temporary);
    return r;
  }
  u.dropDescriptor(node);
  u.table.setLayer(node, 0);
  return 0;
}

/** The copy is in the index, and so under every name of the file. */
const PUBLISHED = 1;

/**
 * Publishes the copy of a lower file with several links: PUBLISHED, 0 if the file has no handle or no link is left (it is
 * then published like any other), or -errno. `source` describes the lower file.
 */
function publishLinked(u: Union, node: number, temporary: string): number {
  const links = u.shownLinks(node, source.nlink);
  const { index } = u;
  if (index === null || links === 0) return 0;
  let r = u.locate(node);
  if (r < 0) return r;
  const origin = u.origins.encode(u.atFd, u.atName, source);
  if (origin === null) return 0;
  if (typeof origin === "number") return origin;
  r = native.statx(u.work.fd, temporary, 0x7ff, source.bytes);
  if (r === 0) r = index.publish(node, u.work.fd, temporary, origin, links);
  if (r < 0) return r;
  u.inodes.claimShown(u.table, node);
  u.identities.add(source, node);
  return PUBLISHED;
}

/** Links the copy to the names by which its file is known, so that the upper has them too: 0 or -errno. */
function bringNames(u: Union, node: number): number {
  if (u.table.isNameless(node)) return 0;
  for (const { parent, name } of u.table.namesOf(node)) {
    let r = copyUpDirectory(u, parent);
    if (r === 0) r = bringName(u, node, parent, name);
    if (r < 0) return r;
  }
  return 0;
}

const STORED = 1;

/** Marks a finished temporary as a copy of the lower object that `source` describes: STORED, 0 (it cannot be), or -errno. */
function storeOrigin(u: Union, node: number, temporary: string): number {
  // Without the index several copies may be made of a file with several names: none of them is it.
  if (u.table.type(node) !== DT_DIR && source.nlink > 1) return 0;
  let r = u.locate(node);
  if (r < 0) return r;
  const origin = u.origins.encode(u.atFd, u.atName, source);
  if (origin === null) return 0;
  if (typeof origin === "number") return origin;
  r = native.setxattr(u.work.fd, temporary, u.work.names.origin, origin, 0);
  if (r === -EOPNOTSUPP || r === -EPERM) return 0;
  return r < 0 ? r : STORED;
}

/** The copy that `source` describes goes on showing the node's inode number, if need be for as long as the mount lives. */
function keepNumber(u: Union, node: number, links: number, stored: boolean): void {
  const { table, inodes } = u;
  if (table.type(node) === DT_DIR) return;
  if (stored) {
    inodes.claimShown(table, node);
  } else if (links > 1) {
    // The other names still show the lower file, which is another one now.
    inodes.show(source);
    table.setIno(node, inodes.low, inodes.high);
  } else {
    inodes.keep(source, table.inoLow(node), table.inoHigh(node));
  }
}

/**
 * Renames a finished temporary to where the node is seen, in the upper part of its parent, whose times stay as they were:
 * users did not change the directory. The new object goes on showing the node's inode number.
 */
function publish(u: Union, node: number, temporary: string): number {
  const { table } = u;
  const parent = table.parent(node);
  const links = source.nlink;
  const stored = storeOrigin(u, node, temporary);
  if (stored < 0) return stored;
  const parentFd = u.upperFd(parent);
  if (parentFd < 0) return parentFd;
  let r = native.statx(parentFd, "", 0x7ff, parentTimes.bytes);
  if (r === 0 && stored === STORED) r = setImpure(u, parent);
  if (r < 0) return r;
  r = native.statx(u.work.fd, temporary, 0x7ff, source.bytes);
  if (r < 0) return r;
  r = native.rename(u.work.fd, temporary, parentFd, table.name(node), RENAME_NOREPLACE);
  if (r === -EEXIST) {
    u.warn("the upper changed beneath the mount: copy-up would replace an object", parent, table.name(node), r);
    return -EIO;
  }
  if (r < 0) return r;
  keepNumber(u, node, links, stored === STORED);
  // A listing made before says that the entry is in a lower part: a lookup must not begin there any more.
  const directory = table.directory(parent);
  if (directory !== undefined) directory.version++;
  restoreTimes(u, parent, parentFd, parentTimes);
  return 0;
}

/**
 * Puts back access and modification time of the directory `fd`, as `stat` has them; the change time, which nothing can put back,
 * is shown as it was until users change the directory (tar, for one, takes it for a change of the contents). The change that
 * moved them is already on disk, so a failure is no reason to refuse the operation: it is logged.
 */
export function restoreTimes(u: Union, node: number, fd: number, stat: Stat): void {
  const directory = u.table.directory(node);
  if (directory !== undefined) directory.ctime ??= stat.ctimeWords.slice();
  const r = native.utimens(fd, "", stat.atime, stat.atimeNsec, stat.mtime, stat.mtimeNsec);
  if (r < 0) u.warn("the times of a directory changed with a copy-up and could not be put back", node, "", r);
}

/**
 * Gives (toFd, toName) the owner, extended attributes (ACLs and capabilities among them), mode and times of
 * (fromFd, fromName), which `stat` describes. chown drops set-id bits and capabilities, so it comes first; an ACL changes
 * the mode, so the mode follows it; times come last. 0 or -errno.
 */
export function copyAttributes(
  u: Union,
  fromFd: number,
  fromName: string,
  stat: Stat,
  toFd: number,
  toName: string,
): number {
  const stored = u.ownership?.stored ?? null;
  let r = stored === null ? native.chown(toFd, toName, stat.uid, stat.gid) : 0;
  if (r < 0) return r;
  r = copyXattrs(u, fromFd, fromName, toFd, toName);
  if (r < 0) return r;
  if (stored !== null) {
    shownAs.copyFrom(stat);
    r = stored.apply(fromFd, fromName, shownAs);
    if (r === 0) r = stored.adopt(toFd, toName, shownAs);
    if (r < 0) return r;
  } else if (stat.type !== S_IFLNK) {
    r = native.chmod(toFd, toName, stat.mode & 0o7777);
    if (r < 0) return r;
  }
  return native.utimens(toFd, toName, stat.atime, stat.atimeNsec, stat.mtime, stat.mtimeNsec);
}

function copyXattrs(u: Union, fromFd: number, fromName: string, toFd: number, toName: string): number {
  const length = native.listxattr(fromFd, fromName, list);
  if (length === -EOPNOTSUPP) return 0;
  if (length < 0) return length;
  for (let at = 0; at < length; ) {
    const end = list.indexOf(0, at);
    const name = list.latin1Slice(at, end);
    at = end + 1;
    if (!copiesUp(name) || u.ownership?.hides(name)) continue;
    const size = native.getxattr(fromFd, fromName, name, value);
    if (size < 0) return size;
    const r = native.setxattr(toFd, toName, name, value.subarray(0, size), 0);
    if (r < 0 && (r !== -EOPNOTSUPP || mustCopyUp(name))) return r;
    if (r < 0) u.log("warn", "an extended attribute is lost: the upper cannot hold it", { name, error: errnoName(r) });
  }
  return 0;
}
