/**
 * The operations that the npm package fuse-native calls, over a union. It names objects by path, so each operation walks
 * from the root and forgets what it looked up; an open file keeps its node. What the package cannot say (the caller's ids,
 * rename flags, nanoseconds) is missing here; docs/fuse-native.md lists it.
 */
import { ignore } from "../errno.js";
import { O_ACCMODE, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import {
  FATTR_ATIME,
  FATTR_GID,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_SIZE,
  FATTR_UID,
  rootNodeid,
} from "../protocol/constants.js";
import { deviceMajor, deviceMinor, encodeDevice } from "../protocol/reply.js";
import type { Cred } from "../union/cred.js";
import { fsyncFd, readFd, write, writeFd } from "../union/ops/data.js";
import { forget } from "../union/ops/forget.js";
import { getattr } from "../union/ops/getattr.js";
import { link } from "../union/ops/link.js";
import { lookup } from "../union/ops/lookup.js";
import { mkdir } from "../union/ops/mkdir.js";
import { mknod } from "../union/ops/mknod.js";
import { opendir } from "../union/ops/opendir.js";
import { type DirSink, readdir } from "../union/ops/readdir.js";
import { readlink } from "../union/ops/readlink.js";
import { releasedir } from "../union/ops/releasedir.js";
import { rename } from "../union/ops/rename.js";
import { rmdir } from "../union/ops/rmdir.js";
import { noChange, type SetAttr, setattr } from "../union/ops/setattr.js";
import { statfs } from "../union/ops/statfs.js";
import { symlink } from "../union/ops/symlink.js";
import { unlink } from "../union/ops/unlink.js";
import { getxattr, listxattr, removexattr, setxattr } from "../union/ops/xattr.js";
import { mayOpen } from "../union/protection.js";
import { somebody } from "../union/set-id.js";
import type { Union } from "../union/union.js";

/** Attributes as the package takes them: times in milliseconds, 32-bit inode numbers. */
export interface PackageStat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly nlink: number;
  readonly ino: number;
  readonly rdev: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
}

type Done = (error: number) => void;
type DoneWith<T> = (error: number, value?: T) => void;

const S_IFREG = 0o100000;

/** The package decodes names as UTF-8; names here are bytes. */
function bytesOf(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function textOf(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** Collects the names of a directory, `.` and `..` among them. */
class NameSink implements DirSink {
  readonly names: string[] = [];
  fits(): boolean {
    return true;
  }
  add(name: string): void {
    this.names.push(textOf(name));
  }
}

/** The operations; public methods are named as the package looks them up. */
export class PackageOperations {
  /** Nodes of open files, each with a lookup of its own. */
  private readonly files = new Map<number, number>();
  private nextHandle = 1;
  /** Whom new objects belong to: the package does not tell who calls. */
  private readonly cred: Cred;
  private readonly change = noChange();

  constructor(private readonly u: Union) {
    const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
    this.cred = { uid: u.ownership?.shownUid(uid) ?? uid, gid: u.ownership?.shownGid(gid) ?? gid };
  }

  /** The node of a path, with one lookup counted (not for the root), or -errno. */
  private walk(path: string): number {
    let node = rootNodeid;
    for (const name of bytesOf(path).split("/")) {
      if (name === "") continue;
      const next = lookup(this.u, node, name);
      this.drop(node);
      if (next < 0) return next;
      node = next;
    }
    return node;
  }

  private drop(node: number): void {
    if (node !== rootNodeid) forget(this.u, node, 1);
  }

  /** Runs `operation` on the node of a path. */
  private at(path: string, operation: (node: number) => number): number {
    const node = this.walk(path);
    if (node < 0) return node;
    const result = operation(node);
    this.drop(node);
    return result;
  }

  /** Runs `operation` on the directory of a path's last name. */
  private parent(path: string, operation: (parent: number, name: string) => number): number {
    const slash = path.lastIndexOf("/");
    return this.at(path.slice(0, slash), (parent) => operation(parent, bytesOf(path.slice(slash + 1))));
  }

  /** Runs what creates a node and forgets the node, which nobody asked for. */
  private creating(path: string, operation: (parent: number, name: string) => number): number {
    return this.parent(path, (parent, name) => {
      const node = operation(parent, name);
      if (node < 0) return node;
      this.drop(node);
      return 0;
    });
  }

  /** The node of an open file, or of a path where there is none. */
  private onFile(path: string, handle: number, operation: (node: number) => number): number {
    const node = this.files.get(handle);
    return node === undefined ? this.at(path, operation) : operation(node);
  }

  private attributes(): PackageStat {
    const { stat } = this.u;
    const ms = (seconds: number, nanoseconds: number) => seconds * 1000 + Math.floor(nanoseconds / 1e6);
    return {
      mode: stat.mode,
      uid: stat.uid,
      gid: stat.gid,
      size: stat.size,
      nlink: stat.nlink,
      ino: stat.inoLow,
      rdev: encodeDevice(stat.rdevMajor, stat.rdevMinor),
      blksize: stat.blksize,
      blocks: stat.words[12] as number,
      atime: ms(stat.atime, stat.atimeNsec),
      mtime: ms(stat.mtime, stat.mtimeNsec),
      ctime: ms(stat.ctime, stat.words[26] as number),
    };
  }

  getattr(path: string, done: DoneWith<PackageStat>): void {
    const result = this.at(path, (node) => getattr(this.u, node));
    if (result < 0) done(result);
    else done(0, this.attributes());
  }

  fgetattr(path: string, handle: number, done: DoneWith<PackageStat>): void {
    const result = this.onFile(path, handle, (node) => getattr(this.u, node));
    if (result < 0) done(result);
    else done(0, this.attributes());
  }

  statfs(path: string, done: DoneWith<Record<string, number>>): void {
    const result = this.at(path, (node) => statfs(this.u, node));
    if (result < 0) {
      done(result);
      return;
    }
    const raw = this.u.statfs;
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    // The package keeps 32 bits of each count.
    const count = (at: number) =>
      Math.min(0xffffffff, view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32);
    done(0, {
      bsize: count(8),
      blocks: count(16),
      bfree: count(24),
      bavail: count(32),
      files: count(40),
      ffree: count(48),
      favail: count(48),
      namemax: count(64),
      frsize: count(72),
    });
  }

  readdir(path: string, done: DoneWith<string[]>): void {
    const sink = new NameSink();
    const result = this.at(path, (node) => {
      const handle = opendir(this.u, node);
      if (handle < 0) return handle;
      const read = readdir(this.u, handle, 0, false, sink);
      ignore(releasedir(this.u, handle), "opened above");
      return read;
    });
    if (result < 0) done(result);
    else done(0, sink.names);
  }

  readlink(path: string, done: DoneWith<string>): void {
    const length = this.at(path, (node) => readlink(this.u, node));
    if (length < 0) done(length);
    else done(0, this.u.scratch.toString("utf8", 0, length));
  }

  open(path: string, flags: number, done: DoneWith<number>): void {
    const node = this.walk(path);
    if (node < 0) {
      done(node);
      return;
    }
    // A copy-up comes now, so that its errors are open's.
    const may = mayOpen(this.u, node, flags);
    const reads = (flags & O_ACCMODE) === O_RDONLY;
    const fd = may < 0 ? may : reads ? readFd(this.u, node) : writeFd(this.u, node);
    if (fd < 0) {
      this.drop(node);
      done(fd);
      return;
    }
    done(0, this.handle(node));
  }

  /** A handle that takes over the caller's lookup of `node`. */
  private handle(node: number): number {
    const handle = this.nextHandle++;
    this.files.set(handle, node);
    return handle;
  }

  create(path: string, mode: number, done: DoneWith<number>): void {
    const node = this.parent(path, (parent, name) =>
      mknod(this.u, parent, name, S_IFREG | (mode & 0o7777), 0, 0, 0, this.cred),
    );
    if (node < 0) done(node);
    else done(0, this.handle(node));
  }

  release(_path: string, handle: number, done: Done): void {
    const node = this.files.get(handle);
    this.files.delete(handle);
    if (node !== undefined) this.drop(node);
    done(0);
  }

  /** The package takes the count in the place of the error. */
  read(path: string, handle: number, buffer: Buffer, length: number, offset: number, done: Done): void {
    done(
      this.onFile(path, handle, (node) => {
        const fd = readFd(this.u, node);
        return fd < 0 ? fd : native.pread(fd, buffer, 0, length, offset);
      }),
    );
  }

  write(path: string, handle: number, buffer: Buffer, length: number, offset: number, done: Done): void {
    // Who writes is unknown: set-user-id and set-group-id go in any case.
    done(this.onFile(path, handle, (node) => write(this.u, node, buffer, 0, length, offset, somebody, false)));
  }

  fsync(path: string, dataOnly: number, handle: number, done: Done): void {
    done(
      this.onFile(path, handle, (node) => {
        const fd = fsyncFd(this.u, node);
        if (fd <= 0) return fd;
        return dataOnly !== 0 ? native.fdatasync(fd) : native.fsync(fd);
      }),
    );
  }

  fsyncdir(path: string, dataOnly: number, _handle: number, done: Done): void {
    this.fsync(path, dataOnly, 0, done);
  }

  private set(path: string, handle: number, fill: (change: SetAttr) => void): number {
    fill(this.change);
    return this.onFile(path, handle, (node) => setattr(this.u, node, this.change));
  }

  truncate(path: string, size: number, done: Done): void {
    this.ftruncate(path, 0, size, done);
  }

  ftruncate(path: string, handle: number, size: number, done: Done): void {
    done(this.set(path, handle, (change) => void Object.assign(change, { valid: FATTR_SIZE, size })));
  }

  chmod(path: string, mode: number, done: Done): void {
    done(this.set(path, 0, (change) => void Object.assign(change, { valid: FATTR_MODE, mode })));
  }

  chown(path: string, uid: number, gid: number, done: Done): void {
    const keep = 0xffffffff;
    const valid = (uid === keep ? 0 : FATTR_UID) | (gid === keep ? 0 : FATTR_GID);
    done(this.set(path, 0, (change) => void Object.assign(change, { valid, uid, gid })));
  }

  /** Times in milliseconds. */
  utimens(path: string, atime: number, mtime: number, done: Done): void {
    const split = (ms: number) => [Math.floor(ms / 1000), (ms - Math.floor(ms / 1000) * 1000) * 1e6] as const;
    const [atimeSeconds, atimeNsec] = split(atime);
    const [mtimeSeconds, mtimeNsec] = split(mtime);
    const valid = FATTR_ATIME | FATTR_MTIME;
    const values = { valid, atime: atimeSeconds, atimeNsec, mtime: mtimeSeconds, mtimeNsec };
    done(this.set(path, 0, (change) => void Object.assign(change, values)));
  }

  mknod(path: string, mode: number, device: number, done: Done): void {
    const [major, minor] = [deviceMajor(device), deviceMinor(device)];
    done(this.creating(path, (parent, name) => mknod(this.u, parent, name, mode, major, minor, 0, this.cred)));
  }

  mkdir(path: string, mode: number, done: Done): void {
    done(this.creating(path, (parent, name) => mkdir(this.u, parent, name, mode, 0, this.cred)));
  }

  symlink(target: string, path: string, done: Done): void {
    done(this.creating(path, (parent, name) => symlink(this.u, parent, name, bytesOf(target), this.cred)));
  }

  link(from: string, to: string, done: Done): void {
    done(this.at(from, (node) => this.creating(to, (parent, name) => link(this.u, node, parent, name))));
  }

  unlink(path: string, done: Done): void {
    done(this.parent(path, (parent, name) => unlink(this.u, parent, name)));
  }

  rmdir(path: string, done: Done): void {
    done(this.parent(path, (parent, name) => rmdir(this.u, parent, name)));
  }

  rename(from: string, to: string, done: Done): void {
    done(
      this.parent(from, (oldParent, oldName) =>
        this.parent(to, (newParent, newName) => rename(this.u, oldParent, oldName, newParent, newName, 0)),
      ),
    );
  }

  setxattr(path: string, name: string, value: Buffer, _position: number, flags: number, done: Done): void {
    done(this.at(path, (node) => setxattr(this.u, node, bytesOf(name), value, flags, false)));
  }

  getxattr(path: string, name: string, _position: number, done: DoneWith<Buffer>): void {
    const length = this.at(path, (node) => getxattr(this.u, node, bytesOf(name), this.u.scratch));
    if (length < 0) done(length);
    else done(0, Buffer.from(this.u.scratch.subarray(0, length)));
  }

  listxattr(path: string, done: DoneWith<string[]>): void {
    const list = Buffer.alloc(1 << 16);
    const length = this.at(path, (node) => listxattr(this.u, node, () => true, list));
    if (length < 0) done(length);
    else
      done(
        0,
        list
          .toString("utf8", 0, length)
          .split("\0")
          .filter((name) => name !== ""),
      );
  }

  removexattr(path: string, name: string, done: Done): void {
    done(this.at(path, (node) => removexattr(this.u, node, bytesOf(name))));
  }
}
