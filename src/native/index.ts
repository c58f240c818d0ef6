/**
 * The typed face of the C addon: system calls Node's own fs lacks, the FUSE channel, and jobs on native threads.
 *
 * Conventions, for every function unless it says otherwise:
 * - the result is >= 0 on success and -errno on failure; nothing throws, except a TypeError for a wrong argument type;
 * - names and paths are bytes held in latin1 strings (one character, one byte), never UTF-8;
 * - `name === ""` addresses the object behind the descriptor `dirfd` itself (which may be O_PATH);
 * - symbolic links in the last component are never followed; descriptors are opened with O_CLOEXEC;
 * - offsets and sizes are numbers below 2^53; EINTR is retried.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Called when a job ends: `id` as given to the job function, `result` >= 0 or -errno. */
export type JobDone = (id: number, result: number) => void;

/** A stream that is being decompressed. */
export interface OpenArchive {
  readonly archive: unique symbol;
}
export interface ZstdStream {
  readonly zstd: unique symbol;
}

export interface Native {
  // ---- sys_open.c: opening ----------------------------------------------------------------------------------------
  /** openat(2). `flags` are the kernel's O_* values; O_CLOEXEC, O_NOCTTY and O_NOFOLLOW are always added. */
  open(dirfd: number, path: string, flags: number, mode: number): number;
  /**
   * openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS: `path` may have several components,
   * none of which is followed when it is a symbolic link (ELOOP) and which never leave `dirfd` (EXDEV). O_PATH |
   * O_NOFOLLOW in `flags` opens a final link itself. "" is `dirfd` once more.
   */
  openBeneath(dirfd: number, path: string, flags: number): number;
  /**
   * openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: `path` is followed as by a process whose root is `dirfd`, symbolic
   * links and `..` included, so that none leads out of it. O_PATH | O_NOFOLLOW opens a final link itself.
   */
  openInRoot(dirfd: number, path: string, flags: number): number;
  /** openat(2) that follows symbolic links: only for paths a user named on the command line. */
  openFollow(path: string, flags: number): number;
  /** open(2) of /proc/self/fd/N: a new open file description of the same object, with other flags. */
  reopen(fd: number, flags: number): number;
  close(fd: number): number;
  /** fcntl(F_DUPFD_CLOEXEC). */
  dup(fd: number): number;
  /** dup2(2): the new descriptor is inherited by programs that are executed. */
  dup2(fd: number, other: number): number;

  // ---- sys_attributes.c, sys_xattr.c ------------------------------------------------------------------------------
  /**
   * statx(2) with AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT (and AT_EMPTY_PATH for ""); `out` receives the 256-byte struct
   * statx.
   */
  statx(dirfd: number, name: string, mask: number, out: Uint8Array): number;
  /** fstatfs(2): `out` receives the raw struct statfs (120 bytes on x86_64 and aarch64). */
  statfs(fd: number, out: Uint8Array): number;
  /** fchmodat2(2), or chmod of /proc/self/fd/N where the kernel lacks it. EOPNOTSUPP for a symbolic link. */
  chmod(dirfd: number, name: string, mode: number): number;
  /** fchownat(2); -1 keeps an id. */
  chown(dirfd: number, name: string, uid: number, gid: number): number;
  /**
   * utimensat(2). Seconds may be negative; a nanosecond value may be UTIME_NOW (0x3fffffff) or UTIME_OMIT (0x3ffffffe).
   */
  utimens(dirfd: number, name: string, atime: number, atimeNsec: number, mtime: number, mtimeNsec: number): number;
  /**
   * Extended attributes by descriptor and name: getxattrat(2) and its family where the kernel has them (6.13),
   * otherwise, and for O_PATH descriptors of anything but a directory, through /proc/self/fd/DIRFD[/NAME], which costs
   * 3 µs more. `getxattr` and `listxattr` return the length; an `out` of length 0 asks for the length only.
   */
  getxattr(dirfd: number, name: string, attribute: string, out: Uint8Array): number;
  listxattr(dirfd: number, name: string, out: Uint8Array): number;
  setxattr(dirfd: number, name: string, attribute: string, value: Uint8Array, flags: number): number;
  removexattr(dirfd: number, name: string, attribute: string): number;
  /** ioctl(2) with a buffer argument, in and out. A buffer shorter than the command says is padded with zeros. */
  ioctl(fd: number, command: number, data: Uint8Array): number;
  /** file_getattr(2), since Linux 6.17 (ENOSYS): the FS_XFLAG_* bits of an object, the low 32. EOPNOTSUPP where its file system has none. */
  xflags(dirfd: number, name: string): number;
  /** name_to_handle_at(2): `out` receives struct file_handle {u32 bytes, i32 type, u8[bytes]}; returns 8 + bytes. */
  nameToHandle(dirfd: number, name: string, out: Uint8Array): number;
  /**
   * open_by_handle_at(2): `handle` is a struct file_handle as `nameToHandle` gives it, `mountFd` any descriptor of its file
   * system that is not O_PATH. It needs CAP_DAC_READ_SEARCH, and no permission of the object: with flags other than O_PATH,
   * only for a handle that this process made.
   */
  openByHandle(mountFd: number, handle: Uint8Array, flags: number): number;

  // ---- sys_names.c ------------------------------------------------------------------------------------------------
  /** readlinkat(2): returns the length. */
  readlink(dirfd: number, name: string, out: Uint8Array): number;
  /** Raw getdents64(2): `out` receives struct linux_dirent64 records; returns the bytes used, 0 at the end. */
  getdents(fd: number, out: Uint8Array): number;
  /** linkat(2); `oldName === ""` links the object behind the descriptor (AT_EMPTY_PATH). */
  link(oldDirfd: number, oldName: string, newDirfd: number, newName: string): number;
  /** unlinkat(2); `flags` may be AT_REMOVEDIR. */
  unlink(dirfd: number, name: string, flags: number): number;
  /** renameat2(2) with RENAME_* flags. */
  rename(oldDirfd: number, oldName: string, newDirfd: number, newName: string, flags: number): number;
  /**
   * Gives (oldDirfd, oldName) the new name, which must be free: renameat2(2) with RENAME_NOREPLACE, or linkat(2) of the descriptor's own
   * object for "". The directory `dirfd` gets access and modification time back as they were. 0; -errno, and nothing has happened; or a
   * positive errno, if only the times could not be put back.
   */
  publish(oldDirfd: number, oldName: string, dirfd: number, name: string): number;

  // ---- sys_create.c: creating, as the caller ------------------------------------------------------------------------
  /**
   * Each creates with fsuid = uid and fsgid = gid of the calling thread (setfsuid, setfsgid; the effective capabilities
   * are put back with capset, so that permission stays the driver's) and returns to root afterwards. The process umask
   * is 0. EPERM, and nothing is created, when the driver cannot take on these ids. Ids other than the driver's cost 8
   * µs more. `openAs` is openat(2) with `flags` as given plus O_CLOEXEC | O_NOFOLLOW | O_NOCTTY.
   */
  openAs(dirfd: number, name: string, flags: number, mode: number, uid: number, gid: number): number;
  /**
   * A new regular file with size (all of it a hole), owner, mode and times as the struct statx `like` says, and two extended attributes, of
   * which one named "" is none; `made` receives the struct statx of the empty file. A descriptor to read and write it, or -errno and there is
   * none. "" makes one without a name in `dirfd` (O_TMPFILE).
   */
  createAlike(
    dirfd: number,
    name: string,
    like: Uint8Array,
    made: Uint8Array,
    attribute: string,
    value: Uint8Array,
    second: string,
    secondValue: Uint8Array,
  ): number;
  mkdirAs(dirfd: number, name: string, mode: number, uid: number, gid: number): number;
  mknodAs(dirfd: number, name: string, mode: number, major: number, minor: number, uid: number, gid: number): number;
  symlinkAs(target: string, dirfd: number, name: string, uid: number, gid: number): number;

  /** Takes the capability CAP_* out of the effective set of this thread, and of those that it makes from now on; `…As` keep to that. */
  dropCapability(capability: number): number;

  // ---- sys_data.c, copy.c -----------------------------------------------------------------------------------------
  pread(fd: number, out: Uint8Array, start: number, length: number, offset: number): number;
  /**
   * preadv2(2) with RWF_NOWAIT: -EAGAIN where the page cache does not hold the data (or the file system cannot tell).
   */
  preadNowait(fd: number, out: Uint8Array, start: number, length: number, offset: number): number;
  /** pwrite(2), repeated until everything is written; a short count only when an error followed. */
  pwrite(fd: number, data: Uint8Array, start: number, length: number, offset: number): number;
  truncate(fd: number, size: number): number;
  fallocate(fd: number, mode: number, offset: number, length: number): number;
  /** lseek(2): returns the offset. */
  lseek(fd: number, offset: number, whence: number): number;
  /**
   * copy_file_range(2), repeated up to `length`; returns the bytes copied, fewer at the end of the input or before an
   * error.
   */
  copyFileRange(input: number, inOffset: number, output: number, outOffset: number, length: number): number;
  /**
   * Copies the whole of a regular file into an empty one: FICLONE if it can, otherwise each SEEK_DATA extent with
   * copy_file_range (read and write where that is refused), holes kept, then ftruncate to `size` or the size of
   * `input`, whichever is less. Returns 0. EIO when the input ends early because somebody shortens it meanwhile.
   */
  copyData(input: number, output: number, size: number): number;
  fsync(fd: number): number;
  fdatasync(fd: number): number;
  syncfs(fd: number): number;
  /** sync_file_range(2) with SYNC_FILE_RANGE_WRITE: the disk begins with these pages, and nobody waits. It makes nothing durable. */
  startWriteback(fd: number, offset: number, length: number): number;

  // ---- files.c ----------------------------------------------------------------------------------------------------
  /**
   * Carries out `count` orders, struct order of files.c each: a file is created (as `openAs` does, by this process, with the permissions of `mode`), written to at an offset,
   * goes to the disk (`startWriteback`), gets owner, mode and times, is closed, the content is hashed; which of these, the order says. Its name (ended by NUL) is in `names`, what is
   * written in `content`. One that fails stops at the step that did, but is closed, and says so. Returns the number of the first that failed, from 1 on; 0 if none did.
   */
  makeFiles(table: Uint8Array, count: number, names: Uint8Array, content: Uint8Array): number;

  /** 1 if `makeFiles` can hash (XXH64): it takes the system's libxxhash.so.0. To be asked before it is to hash. */
  canHash(): number;

  // ---- tar.c ------------------------------------------------------------------------------------------------------
  /**
   * Looks in `content`, a part of an archive, for ordinary files that lie one behind the other, in the directory that the archive calls `directory`: puts an order down for each, and
   * what is kept of the archive into `skeleton`, where the directory is called `real`. `run` is a struct run of tar.c. Returns how many files were found; whatever else comes then is
   * for somebody else to understand.
   */
  tarFiles(
    run: Uint8Array,
    content: Uint8Array,
    table: Uint8Array,
    names: Uint8Array,
    skeleton: Uint8Array,
    directory: Uint8Array,
    real: Uint8Array,
  ): number;
  /** Puts into `out` the manifest's lines of files that were made by `count` orders from `first` on. Returns how many bytes they are; -ERANGE if there is no room. */
  tarLines(
    table: Uint8Array,
    first: number,
    count: number,
    names: Uint8Array,
    real: Uint8Array,
    out: Uint8Array,
  ): number;

  // ---- sys_mount.c ------------------------------------------------------------------------------------------------
  mount(source: string, target: string, type: string, flags: number, data: string): number;
  umount(target: string, flags: number): number;
  /** umount2(2) on another thread, for a mount that this process serves: it may be asked for something first. `done` gets 0 or -errno. */
  umountAside(target: string, flags: number, done: (result: number) => void): number;
  /**
   * open_tree(2) with OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH: a detached mount of the object `fd`; with `recursive` 1
   * also of the mounts below it.
   */
  cloneMount(fd: number, recursive: number): number;
  /**
   * mount_setattr(2) on a descriptor from `cloneMount` or `newMount`: adds the MOUNT_ATTR_* bits `set`, clears `clear`; MS_PRIVATE,
   * MS_SHARED or MS_SLAVE as `propagation`, or 0. With `recursive` 1 of all mounts below as well.
   */
  setMountAttributes(fd: number, set: number, clear: number, propagation: number, recursive: number): number;
  /** move_mount(2): attaches a detached mount to the object `target`, which may be O_PATH. */
  moveMount(fd: number, target: number): number;
  /**
   * fsopen(2), fsconfig(2), fsmount(2): a detached mount of a new file system. `options` is `key=value,flag`; `attributes` are
   * MOUNT_ATTR_* bits. The kernel takes 255 bytes for a value.
   */
  newMount(type: string, options: string, attributes: number): number;

  /** quotactl_fd(2), since Linux 5.14 (ENOSYS): `fd` is anything on the file system, `data` at most 512 bytes, in and out. */
  quotactl(fd: number, command: number, id: number, data: Uint8Array): number;

  // ---- sys_process.c ----------------------------------------------------------------------------------------------
  /** How many CPUs this process may use: os.availableParallelism, without loading `os`. */
  availableCpus(): number;
  /** flock(2). */
  flock(fd: number, operation: number): number;
  /** pidfd_open(2): a descriptor that means the process which has this pid now, for good. */
  pidfdOpen(pid: number): number;
  /** pidfd_send_signal(2). */
  pidfdSendSignal(fd: number, signal: number): number;
  /** Raises the soft limit of open files to the hard one; returns it. */
  raiseFileLimit(): number;
  /** Takes the limit of this process away for sizes of files (RLIMIT_FSIZE), as far as it may: 0 or -errno. */
  liftSizeLimit(): number;
  /**
   * CLOCK_MONOTONIC in milliseconds, with fractions. For the driver: Node loads ten modules at the first look at `performance`, 3 ms
   * that the first request of a mount would wait for.
   */
  now(): number;
  /** Sets flags of V8, as on Node's command line: 0, also if V8 does not know one (it says so on stderr, and leaves out the rest), or -ENOSYS where Node does not show how. */
  setV8Flags(flags: string): number;
  /** umask(2): returns the old mask. */
  umask(mask: number): number;

  // ---- channel.c: /dev/fuse ---------------------------------------------------------------------------------------
  /**
   * read(2) of one request into `into`. With nothing to read: tries again for `spinMicroseconds`, then -EAGAIN (the
   * descriptor must be O_NONBLOCK); at once when a job has ended whose `onDone` is due. ENOENT and EINTR (a request
   * that was aborted meanwhile) are retried. -ENODEV: unmounted.
   */
  receive(fd: number, into: Uint8Array, spinMicroseconds: number): number;
  /** write(2) of one reply or notification of `length` bytes. */
  reply(fd: number, data: Uint8Array, length: number): number;
  /**
   * `reply`, then `receive`, in one call. The result is `receive`'s; a failed write other than ENOENT (the request was
   * interrupted: no one waits for the answer) is kept and returned by the next `replyError()`.
   */
  replyAndReceive(fd: number, data: Uint8Array, length: number, into: Uint8Array, spinMicroseconds: number): number;
  /** The -errno of the first failed write of `replyAndReceive` or of a self-answering job since the last call, or 0. */
  replyError(): number;
  /**
   * Watches `fd` for input on the event loop (uv_poll) and calls `onReadable`; one channel at a time (EBUSY). After an
   * unmount it is called once more, and `receive` says -ENODEV: end there, for no further call comes. Keeps the process
   * alive.
   */
  pollStart(fd: number, onReadable: () => void): number;
  /** The descriptor may be closed as soon as this returns. */
  pollStop(): number;

  // ---- jobs.c: work on native threads -----------------------------------------------------------------------------
  /**
   * Makes ready for jobs on at most `threads` threads, which begin as jobs need them (EBUSY: that was done). `onDone` is called on
   * the event loop (uv_async), from `jobsPoll` and `jobsStop`. The first of the threads makes the process's table of descriptors
   * large enough for `descriptors`, so that nobody has to wait for that later.
   */
  jobsStart(threads: number, onDone: JobDone, descriptors: number): number;
  /** Finishes what runs and what is queued, joins the threads, calls each `onDone` still due. */
  jobsStop(): number;
  /** Its one number, which changes by itself, is that of ended jobs whose `onDone` is still due. */
  jobsCounter(): Int32Array;
  /** Waits until all jobs have ended whose `onDone` is due, then does as `jobsPoll`. */
  jobsWait(): number;
  /**
   * Calls `onDone` for each ended job now; returns their number. What `onDone` throws is thrown here, the others stay
   * due.
   */
  jobsPoll(): number;
  /**
   * Copies like `copyData`, then fsyncs if `sync` is 1. ESHUTDOWN, as for every job, when no threads run. The
   * descriptors are duplicated, so the caller may close its own.
   */
  jobCopy(id: number, input: number, output: number, size: number, sync: number): number;
  /** `kind`: 0 fsync, 1 fdatasync, 2 syncfs. */
  jobFlush(id: number, fd: number, kind: number): number;
  jobFallocate(id: number, fd: number, mode: number, offset: number, length: number): number;
  /** At most 0xfffff000 bytes are copied; the result is how many were. */
  jobCopyRange(id: number, input: number, inOffset: number, output: number, outOffset: number, length: number): number;
  /** `makeFiles` on a thread; nobody may touch what it gets until it has ended. */
  jobFiles(id: number, table: Uint8Array, count: number, names: Uint8Array, content: Uint8Array): number;
  /**
   * Jobs that answer the kernel by themselves (out_header with `unique`, then the payload) and call nobody back. The
   * file descriptors are duplicated before the call returns; when it returns an error, nothing will be answered. `fd`
   * is the file, `channel` the FUSE descriptor.
   */
  jobRead(channel: number, uniqueLow: number, uniqueHigh: number, fd: number, offset: number, length: number): number;
  /** `kind`: 0 fsync, 1 fdatasync, 2 syncfs. */
  jobSync(channel: number, uniqueLow: number, uniqueHigh: number, fd: number, kind: number): number;

  // ---- archive.c --------------------------------------------------------------------------------------------------
  /** 1 if `archiveOpen` can read what is compressed by zstd, or for 0 what is not: Node must show its OpenSSL to addons, and the system have libzstd.so.1. */
  canReadArchives(isZstd: number): number;
  /**
   * Begins to read a part of a file, decompressed by zstd if `isZstd` is 1, on a thread, into pieces of `memory`. `filled` is told of each piece that `archiveFill` asked for, in their order: how many bytes of
   * content it has, 0 after the end, or -errno, as for each one then (-ENODATA: the file is cut off; -EPROTO: a frame of zstd is; -EBADMSG and -E2BIG as with `zstdDecompress`). It keeps
   * the process alive. -ENOSYS where `canReadArchives` says 0. To be closed by `archiveClose`.
   */
  archiveOpen(
    fd: number,
    offset: number,
    length: number,
    isZstd: number,
    memory: Uint8Array,
    filled: (length: number) => void,
  ): OpenArchive | number;
  /** A piece of the memory is to be filled; nobody may touch it until it is. At most 16 at a time, -ENOSPC for more. */
  archiveFill(archive: OpenArchive, start: number, length: number): number;
  /** How many bytes of the source have been read so far. */
  archiveRead(archive: OpenArchive): number;
  /**
   * Pieces that have not been filled are given up. `digests`, of 64 bytes, receives the SHA-256 digests of the content that was read, and of the source if that was decompressed;
   * returns how many these are, or the error that there was.
   */
  archiveClose(archive: OpenArchive, digests: Uint8Array): number;

  // ---- zstd.c -----------------------------------------------------------------------------------------------------
  /** A stream to be closed by `zstdClose`; -ENOSYS where the system has no libzstd.so.1. */
  zstdOpen(): ZstdStream | number;
  /**
   * ZSTD_decompressStream: decompresses as much of the input as there is room for. `counts` receives two numbers of 32 bits, how many bytes of
   * input and of output that were. 0: a frame has ended, and nothing of it is left to come out; 1: more is to come. -EBADMSG: this is no zstd, or
   * damaged; -E2BIG: the frame wants a window of more than 128 MiB of memory.
   */
  zstdDecompress(
    stream: ZstdStream,
    input: Uint8Array,
    inputStart: number,
    inputLength: number,
    output: Uint8Array,
    outputStart: number,
    outputLength: number,
    counts: Uint8Array,
  ): number;
  zstdClose(stream: ZstdStream): number;
}

/** Loads the addon past `require`, whose search for it takes as long as the loading. */
function load(): Native {
  // The bundle lies in dist/, the sources in src/native/: the addon is in build/ of the package in both cases.
  const path = ["..", "../.."]
    .map((up) => join(import.meta.dirname, up, "build", "cowfs.node"))
    .find((one) => existsSync(one));
  if (path === undefined) throw new Error("the native addon build/cowfs.node is missing: run scripts/build");
  const module: { exports: unknown } = { exports: {} };
  process.dlopen(module, path);
  return module.exports as Native;
}

export const native = load();
