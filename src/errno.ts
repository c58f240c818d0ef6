/** Error numbers of Linux (asm-generic; the same on x86_64, aarch64, riscv64) and their names. */
export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const E2BIG = 7;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const EXDEV = 18;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ENOTTY = 25;
export const ETXTBSY = 26;
export const EFBIG = 27;
export const ENOSPC = 28;
export const EROFS = 30;
export const EMLINK = 31;
export const ERANGE = 34;
export const ENAMETOOLONG = 36;
export const ENOSYS = 38;
export const ENOTEMPTY = 39;
export const ELOOP = 40;
export const ENODATA = 61;
export const EBADMSG = 74;
export const EPROTO = 71;
export const EOVERFLOW = 75;
export const EOPNOTSUPP = 95;
export const ECONNABORTED = 103;
export const ENOTCONN = 107;
export const ESHUTDOWN = 108;
export const ESTALE = 116;
export const EDQUOT = 122;

const names: Record<number, string> = {
  [EPERM]: "EPERM",
  [ENOENT]: "ENOENT",
  [ESRCH]: "ESRCH",
  [EINTR]: "EINTR",
  [EIO]: "EIO",
  [ENXIO]: "ENXIO",
  [E2BIG]: "E2BIG",
  [EBADF]: "EBADF",
  [EAGAIN]: "EAGAIN",
  [ENOMEM]: "ENOMEM",
  [EACCES]: "EACCES",
  [EBUSY]: "EBUSY",
  [EEXIST]: "EEXIST",
  [EXDEV]: "EXDEV",
  [ENODEV]: "ENODEV",
  [ENOTDIR]: "ENOTDIR",
  [EISDIR]: "EISDIR",
  [EINVAL]: "EINVAL",
  [ENFILE]: "ENFILE",
  [EMFILE]: "EMFILE",
  [ENOTTY]: "ENOTTY",
  [ETXTBSY]: "ETXTBSY",
  [EFBIG]: "EFBIG",
  [ENOSPC]: "ENOSPC",
  [EROFS]: "EROFS",
  [EMLINK]: "EMLINK",
  [ERANGE]: "ERANGE",
  [ENAMETOOLONG]: "ENAMETOOLONG",
  [ENOSYS]: "ENOSYS",
  [ENOTEMPTY]: "ENOTEMPTY",
  [ELOOP]: "ELOOP",
  [ENODATA]: "ENODATA",
  [EPROTO]: "EPROTO",
  [EBADMSG]: "EBADMSG",
  [EOVERFLOW]: "EOVERFLOW",
  [EOPNOTSUPP]: "EOPNOTSUPP",
  [ECONNABORTED]: "ECONNABORTED",
  [ENOTCONN]: "ENOTCONN",
  [ESHUTDOWN]: "ESHUTDOWN",
  [ESTALE]: "ESTALE",
  [EDQUOT]: "EDQUOT",
};

/** The name of an error number, given as errno or -errno: `ENOENT`, or `errno 512` for one without a name here. */
export function errnoName(error: number): string {
  const number = Math.abs(error);
  return names[number] ?? `errno ${number}`;
}

/** Whether -errno says that a name is not there, as opposed to a failure: the one rule for the whole project. */
export function isAbsent(result: number): boolean {
  return result === -ENOENT || result === -ENAMETOOLONG;
}

/** Marks a result that is dropped on purpose; `why` is for the reader of the call. */
export function ignore(_result: number, _why: string): void {}
