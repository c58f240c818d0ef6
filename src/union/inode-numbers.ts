/**
 * The inode numbers users see. An object shows the number it has in its layer, with the number of the layer's file system
 * in the topmost byte (as overlayfs's xino does), so that objects of several file systems stay apart; file system 0, that of
 * the topmost layer, needs no mark. A copied-up object shows the number of the lower one that it is a copy of (its origin).
 */
import { ignore } from "../errno.js";
import type { Stat } from "../layer/stat.js";
import type { NodeTable } from "./node-table.js";

const MAX_FILE_SYSTEMS = 254;

/** A key for Map from the number an object has in its layer: a number where it is exact. */
type RealIno = number | string;

export class InodeNumbers {
  private readonly fileSystems = new Map<number, number>();
  /** Real number of a copy whose origin could not be stored → the number it shows while the mount lives. */
  private readonly kept = new Map<RealIno, { low: number; high: number }>();
  /** Number that an object shows by its origin → its node: a second one that says the same cannot have it. */
  private readonly claimed = new Map<RealIno, number>();
  /** Numbers made up for objects whose own number does not leave the top byte free. */
  private readonly invented = new Map<string, number>();

  low = 0;
  high = 0;

  /** Computes the number to show for the object that `stat` (as the kernel filled it) describes into `low` and `high`. */
  show(stat: Stat): void {
    this.showReal(this.fileSystem(stat), stat.inoLow, stat.inoHigh);
  }

  /** The same from its parts: `fileSystem` from `fileSystem()`, and a number as getdents(2) gives it. */
  showReal(fileSystem: number, low: number, high: number): void {
    if (this.kept.size > 0) {
      const kept = this.kept.get(realKey(fileSystem, low, high));
      if (kept !== undefined) {
        this.low = kept.low;
        this.high = kept.high;
        return;
      }
    }
    this.low = low;
    if (high >>> 24 === 0) {
      this.high = ((fileSystem << 24) | high) >>> 0;
    } else if (fileSystem === 0 && this.fileSystems.size === 1) {
      this.high = high;
    } else {
      this.invent(fileSystem, low, high);
    }
  }

  /** Makes the file system of a layer, whose root `stat` describes, the next one. */
  addFileSystem(stat: Stat): void {
    ignore(this.fileSystem(stat), "it is only to be known");
  }

  /** Lets `node` show the number in `low` and `high`, by its origin: false if another object does already. */
  claim(node: number): boolean {
    const key = shownKey(this.low, this.high);
    const owner = this.claimed.get(key);
    if (owner !== undefined && owner !== node) return false;
    this.claimed.set(key, node);
    return true;
  }

  /** The node goes on showing the number that it has in `table`. */
  claimShown(table: NodeTable, node: number): void {
    this.claimed.set(shownKey(table.inoLow(node), table.inoHigh(node)), node);
  }

  /** The node shows its number no more. */
  unclaim(node: number, low: number, high: number): void {
    if (this.isClaimed(node, low, high)) this.claimed.delete(shownKey(low, high));
  }

  /** Whether `node` shows the number by its origin. */
  isClaimed(node: number, low: number, high: number): boolean {
    return this.claimed.size > 0 && this.claimed.get(shownKey(low, high)) === node;
  }

  /** After `show`, for a lower object: replaces the number in `low` and `high` if a copy of another object shows it. */
  yield(fileSystem: number): void {
    if (this.claimed.size > 0 && this.claimed.has(shownKey(this.low, this.high))) {
      this.invent(fileSystem, this.low, this.high);
    }
  }

  /**
   * The index of the file system that `stat` belongs to. Those of the layers come first, in the order of the layers, so that
   * the next mount counts alike; others (subvolumes) follow as they are met.
   */
  fileSystem(stat: Stat): number {
    const device = stat.devMajor * 4294967296 + stat.devMinor;
    let index = this.fileSystems.get(device);
    if (index === undefined) {
      index = Math.min(this.fileSystems.size, MAX_FILE_SYSTEMS);
      this.fileSystems.set(device, index);
    }
    return index;
  }

  /** Lets the object that `stat` describes, which cannot have an origin, go on showing (low, high) as before its copy-up. */
  keep(stat: Stat, low: number, high: number): void {
    this.kept.set(realKey(this.fileSystem(stat), stat.inoLow, stat.inoHigh), { low, high });
  }

  /** Whether any object shows another number than its own: if not, nothing need be dropped. */
  get keepsAny(): boolean {
    return this.kept.size > 0;
  }

  /** The object that `stat` describes is gone: its own number may be used again by another. */
  drop(stat: Stat): void {
    if (this.keepsAny) this.kept.delete(realKey(this.fileSystem(stat), stat.inoLow, stat.inoHigh));
  }

  private invent(fileSystem: number, low: number, high: number): void {
    const key = `${fileSystem}:${high}:${low}`;
    let number = this.invented.get(key);
    if (number === undefined) {
      number = this.invented.size + 1;
      this.invented.set(key, number);
    }
    this.low = number;
    this.high = 0xff000000;
  }
}

function shownKey(low: number, high: number): RealIno {
  return realKey(0, low, high);
}

function realKey(fileSystem: number, low: number, high: number): RealIno {
  return fileSystem === 0 && high < 0x200000 ? high * 4294967296 + low : `${fileSystem}:${high}:${low}`;
}
