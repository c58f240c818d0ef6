import { EPERM, ignore } from "../errno.js";
import { O_DIRECTORY, O_NOATIME, O_RDONLY } from "../native/constants.js";
import { native } from "../native/index.js";
import { WHITEOUT_PREFIX } from "./marks.js";

/** One getdents64 buffer, shared: a listing is read to its end before anything else runs. */
const buffer = Buffer.allocUnsafeSlow(256 * 1024);
const words = new Int32Array(buffer.buffer, buffer.byteOffset, buffer.length / 4);
const DOT = 0x2e;

/** Receives the entries of one directory of one layer, without `.` and `..`. */
export interface EntrySink {
  /** `type` is a DT_* value; the inode number is the layer's, in two 32-bit words. */
  entry(name: string, type: number, inoLow: number, inoHigh: number): void;
}

/**
 * The entries of one directory of one layer, without `.` and `..`. Code that has run a few times only is what reads most directories: a
 * block of entries becomes one string, of which names are parts, and numbers are read as the words of an array.
 */
export class RawListing {
  readonly names: string[] = [];
  /** DT_* */
  readonly types: number[] = [];
  /** The inode numbers of the layer, in two words each, signed. */
  private readonly lows: number[] = [];
  private readonly highs: number[] = [];
  /** Some names begin with `.wh.`. */
  marked = false;

  inoLow(k: number): number {
    return (this.lows[k] as number) >>> 0;
  }
  inoHigh(k: number): number {
    return (this.highs[k] as number) >>> 0;
  }

  /** Reads the directory `fd` from where it is to its end: the number of entries, or -errno of getdents(2). */
  read(fd: number): number {
    const { names, types, lows, highs } = this;
    let used = native.getdents(fd, buffer);
    while (used > 0) {
      const text = buffer.latin1Slice(0, used);
      // struct linux_dirent64: ino u64 @0, off u64 @8, reclen u16 @16, type u8 @18, name @19, padded to 8 bytes.
      for (let at = 0; at < used; ) {
        const word = at >> 2;
        const tail = words[word + 4] as number;
        const name = text.substring(at + 19, text.indexOf("\0", at + 19));
        at += tail & 0xffff;
        if (tail >>> 24 === DOT) {
          if (name === "." || name === "..") continue;
          if (name.startsWith(WHITEOUT_PREFIX)) this.marked = true;
        }
        names.push(name);
        types.push((tail >> 16) & 0xff);
        lows.push(words[word] as number);
        highs.push(words[word + 1] as number);
      }
      used = native.getdents(fd, buffer);
    }
    return used < 0 ? used : names.length;
  }

  tell(sink: EntrySink): void {
    for (let k = 0; k < this.names.length; k++) {
      sink.entry(this.names[k] as string, this.types[k] as number, this.inoLow(k), this.inoHigh(k));
    }
  }
}

/**
 * Reads the directory behind the O_PATH descriptor `fd` to its end.
 * Returns the number of entries, or -errno (open(2), getdents(2)); the sink has seen none then.
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
  const list = new RawListing();
  const count = list.read(directory);
  if (count >= 0) list.tell(sink);
  return count;
}
