/**
 * The handlers of data: what may be slow is left to a native thread. Reads and syncs are answered from there; what may hear
 * that the disk is full comes back, since that is not true before pending FORGETs were handled (dispatch.ts).
 */
import { EAGAIN, EFBIG, EINVAL, EIO, ENXIO, ignore } from "../errno.js";
import { native } from "../native/index.js";
import { FSYNC_FDATASYNC, WRITE_CACHE, WRITE_KILL_SUIDGID } from "../protocol/constants.js";
import * as op from "../protocol/opcodes.js";
import { changeFd, fsyncFd, readFd, syncfsFd, write as writeData } from "../union/ops/data.js";
import { lseek as seek } from "../union/ops/lseek.js";
import { openFd } from "../union/ops/open.js";
import { dropSetIdBits, hasSetIdBits } from "../union/set-id.js";
import { changerOf, isRootAsking } from "./caller.js";
import { type Handler, NO_REPLY, type Service } from "./service.js";

/** A read of so much looks first whether its end is in the page cache: one system call more. */
const probeLeast = 64 << 10;
/** One COPY_FILE_RANGE copies at most this much, so that a thread is free again and a signal is noticed soon. */
const copyChunk = 128 << 20;
/** One of less than this may be done at once. */
const copyCachedMost = 64 << 10;

/**
 * What the page cache of the backing file holds is answered at once; anything that needs the disk becomes a job. A short
 * count alone does not tell the end of the file from the end of what is cached: only a following 0 does.
 */
function read(s: Service): number {
  const { request, reply } = s;
  const offset = request.u64(8);
  if (Number.isNaN(offset)) return -EINVAL;
  const size = Math.min(request.u32(16), reply.room);
  const fd = readFd(s.union, request.nodeid);
  if (fd < 0) return fd;
  if (endsUncached(s, fd, offset, size)) return readByJob(s, fd, offset, size);
  const start = reply.length;
  let done = 0;
  while (done < size) {
    const count = native.preadNowait(fd, reply.bytes, start + done, size - done, offset + done);
    if (count === 0) break;
    if (count > 0) done += count;
    else if (count === -EAGAIN) return readByJob(s, fd, offset, size);
    else return count;
  }
  reply.advance(done);
  return 0;
}

/** Whether a big read would end at something that is not cached, after it had copied the rest for nothing. */
function endsUncached(s: Service, fd: number, offset: number, size: number): boolean {
  if (size < probeLeast) return false;
  return native.preadNowait(fd, s.reply.bytes, s.reply.length, 1, offset + size - 1) === -EAGAIN;
}

function readByJob(s: Service, fd: number, offset: number, size: number): number {
  const started = native.jobRead(s.channel, s.request.uniqueLow, s.request.uniqueHigh, fd, offset, size);
  return started < 0 ? started : NO_REPLY;
}

/** O_SYNC and O_DSYNC are the kernel's business: it follows such a write with an FSYNC. */
function write(s: Service): number {
  const request = s.request;
  const size = request.u32(16);
  if (request.bodyLength - 40 !== size) return -EIO;
  const offset = request.u64(8);
  if (Number.isNaN(offset)) return -EFBIG;
  const writeFlags = request.u32(20);
  const changer = (writeFlags & WRITE_KILL_SUIDGID) === 0 ? null : changerOf(request);
  // Pages that were changed through a mapping: not a write(2), so capabilities stay, as on any file system.
  const mapped = (writeFlags & WRITE_CACHE) !== 0;
  const written = writeData(s.union, request.nodeid, request.bytes, 80, size, offset, changer, mapped);
  if (written >= 0) s.reply.written(written);
  return written;
}

function syncByJob(s: Service, fd: number, kind: number): number {
  if (fd <= 0) return fd;
  const started = native.jobSync(s.channel, s.request.uniqueLow, s.request.uniqueHigh, fd, kind);
  return started < 0 ? started : NO_REPLY;
}

function fsync(s: Service): number {
  const dataOnly = (s.request.u32(8) & FSYNC_FDATASYNC) !== 0;
  return syncByJob(s, fsyncFd(s.union, s.request.nodeid), dataOnly ? 1 : 0);
}

function syncfs(s: Service): number {
  return syncByJob(s, syncfsFd(s.union), 2);
}

/**
 * Drops set-user-id and set-group-id before a change of data for which the protocol has no flag. Who lacks CAP_FSETID is
 * not told either; root has it nearly always, and nobody else does. Who asks matters only where there are such bits.
 */
function killPrivileges(s: Service, fd: number): number {
  return hasSetIdBits(s.union, fd) === 0 || isRootAsking(s.request)
    ? 0
    : dropSetIdBits(s.union, fd, "", changerOf(s.request));
}

function fallocate(s: Service): number {
  const request = s.request;
  const offset = request.u64(8);
  const length = request.u64(16);
  if (Number.isNaN(offset) || Number.isNaN(length)) return -EFBIG;
  const { copies, quota } = s.union;
  const mode = request.u32(24);
  const fd = changeFd(s.union, request.nodeid);
  const needed = fd < 0 ? fd : (quota?.forRange(fd, mode, offset, length) ?? 0);
  const killed = needed < 0 ? needed : killPrivileges(s, fd);
  if (killed < 0) return killed;
  const job = copies.newJob();
  const started = native.jobFallocate(job, fd, mode, offset, length);
  if (started < 0) return started;
  quota?.begin(job, fd, needed);
  return s.awaits(job);
}

/** Also COPY_FILE_RANGE_64: a count below 2^32 looks the same in both answers. */
function copyFileRange(s: Service): number {
  const request = s.request;
  const inOffset = request.u64(8);
  const target = request.u64(16);
  const outOffset = request.u64(32);
  const wanted = Math.min(request.u64(40), copyChunk);
  if (Number.isNaN(inOffset) || Number.isNaN(outOffset)) return -EFBIG;
  if (Number.isNaN(wanted)) return -EINVAL;
  // The copy-up comes first (it may park the request); a descriptor is valid until the next is asked for.
  const first = changeFd(s.union, target);
  const { quota } = s.union;
  const length = first < 0 || quota === null ? wanted : quota.admit(first, outOffset, wanted);
  const killed = Math.min(first, length) < 0 ? Math.min(first, length) : killPrivileges(s, first);
  if (killed < 0) return killed;
  const borrowed = openFd(s.union, request.nodeid);
  if (borrowed < 0) return borrowed;
  const input = native.dup(borrowed);
  if (input < 0) return input;
  const output = changeFd(s.union, target);
  let result = output < 0 ? output : copyCached(s, input, inOffset, output, outOffset, length);
  if (result === -EAGAIN) {
    const job = s.union.copies.newJob();
    // Once the job runs, what it has written already would not count.
    const needed = quota?.forWrite(output, outOffset, length) ?? 0;
    result = native.jobCopyRange(job, input, inOffset, output, outOffset, length);
    if (result >= 0) {
      quota?.begin(job, output, needed);
      result = s.awaits(job);
    }
  }
  ignore(native.close(input), "a job holds its own duplicate");
  return result;
}

/**
 * Copies a small range whose data are in the page cache, and answers: 0 or -errno; -EAGAIN if it is not such a range. Handing it to a
 * thread would take longer than the copy.
 */
function copyCached(
  s: Service,
  input: number,
  inOffset: number,
  output: number,
  outOffset: number,
  length: number,
): number {
  const { reply } = s;
  const most = Math.min(length, copyCachedMost, reply.room);
  let done = 0;
  while (done < most) {
    const count = native.preadNowait(input, reply.bytes, reply.length + done, most - done, inOffset + done);
    if (count < 0) return count;
    if (count === 0) break;
    done += count;
  }
  if (done === most && most < length) return -EAGAIN;
  const written = done === 0 ? 0 : native.pwrite(output, reply.bytes, reply.length, done, outOffset);
  s.union.quota?.measure(output);
  if (written < 0) return written;
  reply.written(written);
  return 0;
}

function lseek(s: Service): number {
  const request = s.request;
  const offset = request.i64(8);
  // Before the beginning, or past any end.
  if (Number.isNaN(offset)) return -ENXIO;
  const position = seek(s.union, request.nodeid, offset, request.u32(16));
  if (position >= 0) s.reply.offset(position);
  return position;
}

/** By opcode, to be merged into the table of handlers.ts. */
export const dataHandlers: Readonly<Record<number, Handler>> = {
  [op.READ]: read,
  [op.WRITE]: write,
  [op.FSYNC]: fsync,
  [op.FSYNCDIR]: fsync,
  [op.FALLOCATE]: fallocate,
  [op.LSEEK]: lseek,
  [op.COPY_FILE_RANGE]: copyFileRange,
  [op.COPY_FILE_RANGE_64]: copyFileRange,
  [op.SYNCFS]: syncfs,
};
