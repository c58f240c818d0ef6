/** Owners, modes, times and extended attributes of the objects of a layer that is being made. */
import { readFileSync } from "node:fs";
import { EINVAL, ENODATA, EOPNOTSUPP, EPERM, errnoName } from "../../errno.js";
import { native } from "../../native/index.js";
import { StoreError } from "../error.js";
import { quote, storedAttribute } from "./layer-names.js";
import { type Hashes, hashAttributes, readAttributes } from "./quick-manifest.js";
import type { TarEntry } from "./tar-header.js";

/** What an archive says of an object, besides its content. */
export type Attributes = Pick<TarEntry, "mode" | "uid" | "gid" | "mtime" | "mtimeNsec" | "xattrs">;

const mostWarnings = 20;

/** Something could not be done to an object of the layer. */
export function failed(what: string, path: string, result: number): StoreError {
  return new StoreError(`${quote(path)} of a layer cannot be ${what}: ${errnoName(result)}`);
}

/** An object of the layer does not get its owner. */
export function ownerFailed(path: string, uid: number, gid: number, result: number): StoreError {
  const hint = result === -EPERM || result === -EINVAL ? "; it needs root, or a user namespace that has these ids" : "";
  return new StoreError(`${quote(path)} cannot be given its owner ${uid}:${gid}: ${errnoName(result)}${hint}`);
}

export class AttributeWriter {
  /** The owner of what this process makes. */
  readonly uid = process.geteuid?.() ?? 0;
  readonly gid = process.getegid?.() ?? 0;
  /** Bits that the process takes out of the mode of what it makes. */
  readonly umask = currentUmask();
  /** Things in the archive that the layer does not have, for the user to know. */
  readonly warnings: string[] = [];

  constructor(private readonly hashes: Hashes) {}

  warn(message: string): void {
    if (this.warnings.length < mostWarnings) this.warnings.push(message);
  }

  /**
   * Gives the object (fd, name), which has `mode` and this process's owner, what the archive says. Returns the hash of the extended attributes
   * it has then. The order is the kernel's wish: a change of owner takes set-id bits and capabilities. Throws StoreError.
   */
  set(fd: number, name: string, path: string, wanted: Attributes, mode: number): string {
    this.setOwner(fd, name, path, wanted);
    if (mode !== wanted.mode) this.setMode(fd, name, path, wanted);
    if (wanted.xattrs !== undefined) this.setXattrs(fd, name, path, wanted.xattrs);
    this.setTime(fd, name, path, wanted);
    return this.hash(fd, name, path, wanted);
  }

  /** The same for a directory whose entries are all there. Its mode goes after its attributes: it may keep out whoever is not root. */
  setDirectory(fd: number, path: string, wanted: Attributes, mark: () => void): string {
    this.setOwner(fd, "", path, wanted);
    if (wanted.xattrs !== undefined) this.setXattrs(fd, "", path, wanted.xattrs);
    mark();
    this.setMode(fd, "", path, wanted);
    this.setTime(fd, "", path, wanted);
    return this.hash(fd, "", path, wanted);
  }

  private setOwner(fd: number, name: string, path: string, { uid, gid }: Attributes): void {
    if (uid === this.uid && gid === this.gid) return;
    const result = native.chown(fd, name, uid, gid);
    if (result < 0) throw ownerFailed(path, uid, gid, result);
  }

  private setMode(fd: number, name: string, path: string, { mode }: Attributes): void {
    const result = native.chmod(fd, name, mode);
    if (result < 0) throw failed("given its mode", path, result);
  }

  private setTime(fd: number, name: string, path: string, { mtime, mtimeNsec }: Attributes): void {
    const result = native.utimens(fd, name, mtime, mtimeNsec, mtime, mtimeNsec);
    if (result < 0) throw failed("given its time", path, result);
  }

  /** Of what the file system made of them: an ACL that says no more than the mode is none. */
  private hash(fd: number, name: string, path: string, { xattrs }: Attributes): string {
    if (xattrs === undefined) return "-";
    const attributes = readAttributes(fd, name);
    if (typeof attributes === "number") throw failed("asked for its attributes", path, attributes);
    return hashAttributes(this.hashes, attributes);
  }

  private setXattrs(fd: number, name: string, path: string, attributes: Map<string, string>): void {
    for (const [attribute, value] of attributes) {
      const stored = storedAttribute(attribute);
      if (stored === undefined) {
        this.warn(`${quote(path)} lost its attribute ${attribute}, which would be taken for a mark`);
        continue;
      }
      const result = native.setxattr(fd, name, stored, Buffer.from(value, "latin1"), 0);
      if (result === 0) continue;
      if (result === -EOPNOTSUPP || result === -EPERM || result === -EINVAL || result === -ENODATA) {
        this.warn(`${quote(path)} lost its attribute ${attribute}: ${errnoName(result)}`);
      } else throw failed(`given its attribute ${attribute}`, path, result);
    }
  }
}

/** The process's umask(2), which can only be asked for by changing it, for all threads. */
function currentUmask(): number {
  const status = readFileSync("/proc/self/status", "latin1");
  const digits = /^Umask:\s*([0-7]+)$/m.exec(status)?.[1];
  // Where it is not told, every mode is set.
  return digits === undefined ? 0o777 : Number.parseInt(digits, 8);
}
