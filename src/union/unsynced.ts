/**
 * Copies whose data is whole, but perhaps not on the disk yet. Each still carries the mark of a metacopy, so that after a crash of the
 * machine it shows the data below, and not what the disk happens to have; settle.ts takes the marks away once the data is safe.
 * This is what the driver knows of them while it runs. A descriptor of each is held, so that neither a rename nor
 * the kernel's forgetting loses one, and an error of writing back is not missed.
 */
import { ignore } from "../errno.js";
import type { Stat } from "../layer/stat.js";
import { native } from "../native/index.js";
import type { Pending } from "./pending-mark.js";
import type { UnsyncedLog } from "./unsynced-log.js";

export interface UnsyncedFile {
  /** Open for writing; -1 once the entry is gone. */
  fd: number;
  readonly key: string;
  pending: Pending;
  /** The row that shows it, 0 for none. */
  node: number;
  /** The job that syncs it, 0 for none. */
  job: number;
  /** A request waits for that job. */
  awaited: boolean;
  /** It has waited for long enough. */
  due: boolean;
  /** It is on the disk: only the marks are left. */
  durable: boolean;
  /** -errno of a sync that nobody has heard of. */
  untold: number;
  /** A sync failed, or one of an earlier driver may have: the next may succeed without having written the data, so the extents are asked. */
  suspect: boolean;
  /** A sync of many failed: the next is of this file alone, to find out whose error it was. */
  alone: boolean;
}

/** The change time that a file has since its marks were taken away, and the one that it shows. */
interface Shown {
  readonly real: Uint32Array;
  readonly shown: Uint32Array;
}

/** So many files remember what they showed; programs that would mind look at a file again soon. */
const changeTimesMost = 4096;

function keyOf(stat: Stat): string {
  return `${stat.inoHigh}:${stat.inoLow}`;
}

function numberOf(stat: Stat): number {
  return stat.inoHigh * 4294967296 + stat.inoLow;
}

export class Unsynced {
  private readonly byKey = new Map<string, UnsyncedFile>();
  private readonly byNode = new Map<number, UnsyncedFile>();
  private readonly byJob = new Map<number, readonly UnsyncedFile[]>();
  /** By inode number: nobody but the file itself has the change time that it was given. */
  private readonly changeTimes = new Map<number, Shown>();
  /** Nodes of copies that a crash made void, in an upper that cannot be written to: what their lower files are like. */
  readonly voids = new Map<number, Stat>();
  /** Something became unsynced. */
  onAdded: () => void = () => {};
  /** A job has ended. */
  onSynced: () => void = () => {};
  /** Entries that exist, with those of copies that are not published yet. */
  private made = 0;

  /** `boot`: this boot of the machine, "" if it cannot be told. `log`: null for a union without an upper. */
  constructor(
    readonly boot: string,
    readonly log: UnsyncedLog | null,
    /** A descriptor of the upper that is older than all of them: syncfs of it tells of every error since. */
    readonly upper: number,
    private readonly most: number,
  ) {}

  get count(): number {
    return this.byKey.size;
  }

  get hasRoom(): boolean {
    return this.byKey.size < this.most;
  }

  /** There are so many that nobody should wait for more. */
  get isCrowded(): boolean {
    return this.byKey.size * 2 >= this.most;
  }

  /** Whether any can be synced in the background. */
  get anyWaits(): boolean {
    for (const one of this.byKey.values()) if (one.untold === 0) return true;
    return false;
  }

  allDue(): void {
    for (const one of this.byKey.values()) one.due = true;
  }

  get files(): Iterable<UnsyncedFile> {
    return this.byKey.values();
  }

  /** A new entry, which `add` takes into the books. `stat` describes the file `fd`. */
  make(fd: number, stat: Stat, pending: Pending): UnsyncedFile {
    this.made++;
    return {
      fd,
      key: keyOf(stat),
      pending,
      node: 0,
      job: 0,
      awaited: false,
      due: false,
      durable: false,
      untold: 0,
      suspect: false,
      alone: false,
    };
  }

  add(one: UnsyncedFile, node: number): void {
    this.byKey.set(one.key, one);
    if (node > 0) this.attach(one, node);
    this.onAdded();
  }

  /** The entry of the upper file that `stat` describes. */
  find(stat: Stat): UnsyncedFile | undefined {
    return this.byKey.size === 0 ? undefined : this.byKey.get(keyOf(stat));
  }

  /** The entry of a node. Costs nothing worth mentioning while there is none. */
  of(node: number): UnsyncedFile | undefined {
    return this.byNode.size === 0 ? undefined : this.byNode.get(node);
  }

  /** `node` shows the file from now on. */
  attach(one: UnsyncedFile, node: number): void {
    if (one.node > 0) this.byNode.delete(one.node);
    one.node = node;
    this.byNode.set(node, one);
  }

  /** The row goes; the file does not. */
  forget(node: number): void {
    if (this.voids.size > 0) this.voids.delete(node);
    const one = this.of(node);
    if (one === undefined) return;
    one.node = 0;
    this.byNode.delete(node);
  }

  /** `next` is the node of the file from now on. */
  move(node: number, next: number): void {
    const one = this.of(node);
    if (one !== undefined) this.attach(one, next);
  }

  /** A job syncs these. */
  begin(job: number, files: readonly UnsyncedFile[]): void {
    this.byJob.set(job, files);
    for (const one of files) one.job = job;
  }

  /** What a job that has ended was to sync. */
  end(job: number): readonly UnsyncedFile[] | undefined {
    const files = this.byJob.get(job);
    this.byJob.delete(job);
    return files;
  }

  get isSyncing(): boolean {
    return this.byJob.size > 0;
  }

  /** The file has no marks any more, or no name. */
  drop(one: UnsyncedFile): void {
    if (one.fd < 0) return;
    ignore(native.close(one.fd), "it is synced, or gone");
    one.fd = -1;
    this.made--;
    this.byKey.delete(one.key);
    if (one.node > 0) this.byNode.delete(one.node);
    this.clearLog();
  }

  /** Without entries the log has nothing to say. */
  clearLog(): void {
    if (this.made === 0) this.log?.clear();
  }

  /** There is something that will not be settled in this mount. */
  keepLog(): void {
    this.made++;
  }

  /** The change time of a file, which `before` describes, became `real` when its marks went; it goes on showing what it showed. */
  keepChangeTime(before: Stat, real: Uint32Array): void {
    const key = numberOf(before);
    const known = this.changeTimes.get(key);
    const goesOn = known !== undefined && isSame(known.real, before.ctimeWords);
    this.changeTimes.delete(key);
    this.changeTimes.set(key, { real: real.slice(), shown: goesOn ? known.shown : before.ctimeWords.slice() });
    if (this.changeTimes.size <= changeTimesMost) return;
    for (const oldest of this.changeTimes.keys()) {
      this.changeTimes.delete(oldest);
      break;
    }
  }

  /** Gives `stat`, as a layer has it, the change time to be shown. */
  showChangeTime(stat: Stat): void {
    if (this.changeTimes.size === 0) return;
    const known = this.changeTimes.get(numberOf(stat));
    if (known !== undefined && isSame(known.real, stat.ctimeWords)) stat.ctimeWords.set(known.shown);
  }

  /** Closes everything; the marks stay. */
  abandon(): void {
    for (const one of this.byKey.values()) ignore(native.close(one.fd), "its marks tell the next mount");
    this.byKey.clear();
    this.byNode.clear();
  }
}

function isSame(a: Uint32Array, b: Uint32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2];
}
