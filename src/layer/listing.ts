import { EPERM, ignore } from "../errno.js";
import { O_DIRECTORY, O_NOATIME, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";

/** One getdents64 buffer, shared: a listing is read to its end before anything else runs. */
const buffer = Buffer.allocUnsafeSlow(256 * 1024);

/** Receives the entries of one directory of one layer, without `.` and `..`. */
export interface EntrySink {
  /** `type` is a DT_* value; the inode number is the layer's, in two 32-bit words. */
  entry(name: string, type: number, inoLow: number, inoHigh: number): void;
}

/**
 * Reads the directory behind the O_PATH descriptor `fd` to its end.
 * Returns the number of entries, or -errno (open(2), getdents(2)); the sink may have seen some entries then.
 */
export function readListing(fd: number, sink: EntrySink): number {
  const directory = openListing(fd, ".");
  if (directory < 0) return directory;
  const count = readEntries(directory, sink);
  ignore(native.close(directory), "nothing was written through it");
  return count;
}

/** Opens the directory (dirfd, name) to be read, no symbolic link: a descriptor or -errno. */
export function openListing(dirfd: number, name: string): number {
  const directory = native.open(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOATIME, 0);
  // O_NOATIME is for the owner: a driver without CAP_FOWNER may not use it on others' directories.
  return directory === -EPERM ? native.open(dirfd, name, O_RDONLY | O_DIRECTORY, 0) : directory;
}

/** The same for a directory that `openListing` has just opened, and that stays open. */
export function readEntries(directory: number, sink: EntrySink): number {
  let count = 0;
  let used = native.getdents(directory, buffer);
  while (used > 0) {
    // struct linux_dirent64: ino u64 @0, off u64 @8, reclen u16 @16, type u8 @18, name @19, padded to 8 bytes.
    for (let at = 0; at < used; ) {
      const length = buffer.readUInt16LE(at + 16);
      const nameAt = at + 19;
      const name = buffer.latin1Slice(nameAt, buffer.indexOf(0, nameAt));
      if (name !== "." && name !== "..") {
        sink.entry(name, buffer[at + 18] as number, buffer.readUInt32LE(at), buffer.readUInt32LE(at + 4));
        count++;
      }
      at += length;
    }
    used = native.getdents(directory, buffer);
  }
  return used < 0 ? used : count;
}
