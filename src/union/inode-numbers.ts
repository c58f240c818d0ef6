/**
 * The inode numbers users see. An object shows the number it has in its layer, with the number of the layer's file system
 * in the topmost byte (as overlayfs's xino does), so that objects of several file systems stay apart; file system 0, the
 * first one seen, needs no mark. A copied-up object keeps the number it had before.
 */
import type { Stat } from "../layer/stat.js";

const MAX_FILE_SYSTEMS = 254;

/** A key for Map from the number an object has in its layer: a number where it is exact. */
type RealIno = number | string;

export class InodeNumbers {
  private readonly fileSystems = new Map<number, number>();
  /** Real number of a copied-up object → the number it shows. */
  private readonly kept = new Map<RealIno, { low: number; high: number }>();
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
    if (fileSystem === 0) {
      this.high = high;
    } else if (high >>> 24 === 0) {
      this.high = ((fileSystem << 24) | high) >>> 0;
    } else {
      this.invent(fileSystem, low, high);
    }
  }

  /** The index of the file system that `stat` belongs to. */
  fileSystem(stat: Stat): number {
    const device = stat.devMajor * 4294967296 + stat.devMinor;
    let index = this.fileSystems.get(device);
    if (index === undefined) {
      index = Math.min(this.fileSystems.size, MAX_FILE_SYSTEMS);
      this.fileSystems.set(device, index);
    }
    return index;
  }

  /** Lets the object that `stat` describes go on showing (low, high): it is the copy of one that showed it before. */
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

function realKey(fileSystem: number, low: number, high: number): RealIno {
  return fileSystem === 0 && high < 0x200000 ? high * 4294967296 + low : `${fileSystem}:${high}:${low}`;
}
