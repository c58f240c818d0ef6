/**
 * Copy-up of regular files with their data, which a job copies; the request that needs it is parked (park.ts). Data comes
 * before attributes, since a write drops security.capability, and times come last.
 */
import { EAGAIN, ENOSPC, ESTALE, ignore } from "../errno.js";
import { WHITEOUT_PREFIX } from "../layer/marks.js";
import { Stat } from "../layer/stat.js";
import { O_CREAT, O_EXCL, O_RDWR } from "../native/constants.js";
import { native } from "../native/index.js";
import { finishCompletion } from "./complete.js";
import type { Copy } from "./copies.js";
import { copyAttributes } from "./copy-attributes.js";
import { copyUpDirectory } from "./copy-up.js";
import { keepBelow, openBelow } from "./data-source.js";
import { dropSource, hold } from "./held.js";
import { locate, statBacking } from "./locate.js";
import { mayLieBelow } from "./metacopy.js";
import { ACCESS_WRITE, DATA_OWN } from "./node-table.js";
import { PARK } from "./park.js";
import { bringNames, PUBLISHED, publish, publishLinked, storeOrigin } from "./publish.js";
import { flushed, markUnsynced, mayBeUnsynced, syncNow } from "./settle.js";
import type { Union } from "./union.js";
import type { UnsyncedFile } from "./unsynced.js";

const lower = new Stat();

/** Copies a lower file, at most `size` bytes of it: 0, PARK, or -errno. The parent has an upper part. */
export function copyUpFile(u: Union, node: number, size: number): number {
  let r = statBacking(u, node, lower);
  if (r < 0) return r;
  const length = Math.min(size, lower.size);
  const temporary = u.work.temporary();
  const output = native.openAs(u.work.fd, temporary, O_CREAT | O_EXCL | O_RDWR, 0o600, 0, 0);
  if (output < 0) return output;
  const stored = storeOrigin(u, node, output, "", lower);
  const input = stored < 0 || length === 0 ? Math.min(stored, 0) : openBelow(u, node);
  const needed = input <= 0 ? input : (u.quota?.forCopy(input, length) ?? 0);
  if (needed < 0) {
    if (input > 0) ignore(native.close(input), "nothing was copied");
    return failed(u, { node, temporary, fd: output, stored, unsynced: null }, needed);
  }
  const may = mayBeUnsynced(u, node, input, length) && mayLieBelow(u, node);
  const unsynced = may ? markCopy(u, output, length) : null;
  if (typeof unsynced === "number") r = unsynced;
  const copy = { node, temporary, fd: output, stored, unsynced: typeof unsynced === "number" ? null : unsynced };
  const syncs = length > 0 && copy.unsynced === null && !u.volatile;
  if (r === 0 && !copiesNow(u, input, length, syncs)) {
    const job = u.copies.newJob();
    const started = native.jobCopy(job, input, output, length, syncs ? 1 : 0);
    ignore(native.close(input), "the job has its own");
    if (started < 0) return failed(u, copy, started);
    u.copies.add({ ...copy, job, abandoned: false, completes: null });
    u.quota?.begin(job, output, needed);
    u.parkedOn = job;
    return PARK;
  }
  if (r === 0 && length > 0) r = native.copyData(input, output, length);
  if (length > 0) ignore(native.close(input), "nothing was written through it");
  if (r >= 0 && syncs) r = native.fsync(output);
  return r < 0 ? failed(u, copy, r) : finishFile(u, copy);
}

type Unpublished = Pick<Copy, "node" | "temporary" | "fd" | "stored" | "unsynced">;

/**
 * Marks the empty copy `output` of the first `length` bytes of `lower` as unsynced, see `markUnsynced`. It gets its size first: so a size on the
 * disk that is less says that somebody truncated the file, not that its data is missing.
 */
function markCopy(u: Union, output: number, length: number): UnsyncedFile | null | number {
  const sized = native.truncate(output, length);
  if (sized < 0) return sized;
  const before = new Stat();
  before.copyFrom(lower);
  return markUnsynced(u, output, { before, capability: null, boot: u.unsynced.boot, covers: length }, false);
}

const byte = new Uint8Array(1);

/** Whether a copy is made at once: a small one of what seems to be in memory, unless it waits for the disk when it is made. */
function copiesNow(u: Union, input: number, length: number, syncs: boolean): boolean {
  if (length === 0) return true;
  if (!u.copiesInline(length, syncs)) return false;
  if (u.waitsInline) return true;
  return [0, length - 1].every((at) => native.preadNowait(input, byte, 0, 1, at) !== -EAGAIN);
}

function failed(u: Union, copy: Unpublished, result: number): number {
  if (copy.unsynced !== null) u.unsynced.drop(copy.unsynced);
  u.work.discard(copy.temporary);
  u.quota?.gone(copy.fd);
  ignore(native.close(copy.fd), "the temporary is thrown away");
  return result;
}

/**
 * A copy job has ended: publishes the copy. Returns 0 (the requests that wait can be dispatched again) or the -errno that
 * each of them gets.
 */
export function finishCopy(u: Union, job: number, result: number): number {
  u.quota?.ended(job);
  const copy: Copy | undefined = u.copies.take(job);
  if (copy === undefined) return flushed(u, job, result) ? Math.min(result, 0) : 0;
  if (copy.completes !== null) return finishCompletion(u, copy.node, copy.fd, copy.completes, result);
  if (copy.abandoned) {
    ignore(failed(u, copy, -ESTALE), "nobody waits for it");
    return 0;
  }
  if (result < 0) return failed(u, copy, result);
  if (!u.table.isNameless(copy.node)) {
    const above = copyUpDirectory(u, u.table.parent(copy.node));
    if (above < 0) return failed(u, copy, above);
  }
  const r = statBacking(u, copy.node, lower);
  return r < 0 ? failed(u, copy, r) : finishFile(u, copy);
}

/** Gives the temporary its attributes and publishes it; takes over its descriptors. */
function finishFile(u: Union, copy: Unpublished): number {
  const { node, temporary, fd, stored, unsynced } = copy;
  let r = keepBelow(u, node);
  if (r === 0) r = publishFile(u, node, temporary, fd, lower, stored);
  if (r === -ENOSPC && unsynced !== null) {
    // The marks may be what leaves no room for the attributes of the lower file.
    const unmarked = syncNow(u, unsynced);
    return unmarked < 0 ? failed(u, copy, r) : finishFile(u, { ...copy, unsynced: null });
  }
  if (r < 0) return failed(u, copy, r);
  u.quota?.measure(fd);
  if (unsynced !== null) u.unsynced.add(unsynced, node);
  u.table.setLayer(node, 0);
  u.table.setData(node, DATA_OWN);
  dropSource(u, node);
  hold(u, node, fd, ACCESS_WRITE);
  return r === PUBLISHED ? bringNames(u, node) : 0;
}

/**
 * Gives the copy `fd` of the lower file that `stat` describes its attributes, and publishes it: PUBLISHED if that was in the
 * index, otherwise 0, or -errno. `stored`: what `storeOrigin` returned. The node table does not know of the copy yet.
 */
function publishFile(u: Union, node: number, temporary: string, fd: number, stat: Stat, stored: number): number {
  let r = keepPlain(u, node, fd);
  if (r === 0) r = locate(u, node);
  if (r === 0) r = copyAttributes(u, u.atFd, u.atName, stat, u.work.fd, temporary);
  if (r < 0) return r;
  if (stat.nlink > 1) {
    r = publishLinked(u, node, temporary, stat);
    if (r !== 0) return r;
  }
  return u.table.isNameless(node) ? native.unlink(u.work.fd, temporary, 0) : publish(u, node, temporary, stat, stored);
}

/**
 * A file whose name looks like a whiteout's shows because it has content or says so: before it loses the content, it must
 * say so. (fd, backing) is its backing in the upper. 0 or -errno.
 */
export function keepPlain(u: Union, node: number, fd: number, backing = ""): number {
  const { table } = u;
  if (table.isNameless(node)) return 0;
  let looks = table.name(node).startsWith(WHITEOUT_PREFIX);
  if (!looks && table.hasAliases(node))
    looks = table.namesOf(node).some(({ name }) => name.startsWith(WHITEOUT_PREFIX));
  return looks ? u.work.setPlain(fd, backing) : 0;
}
