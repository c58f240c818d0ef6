/** Numbers of the FUSE protocol 7.x (linux/fuse.h). */

export const protocolMajor = 7;
/** Older kernels (before 5.4) lack what the driver relies on. */
export const protocolMinorMinimum = 31;
export const protocolMinor = 45;

export const rootNodeid = 1;
export const inHeaderSize = 40;
export const outHeaderSize = 16;
/** The longest name of a directory entry, in bytes (NAME_MAX). The kernel itself lets longer ones through. */
export const nameMax = 255;

// INIT, first word of flags.
export const INIT_ASYNC_READ = 1 << 0;
export const INIT_POSIX_LOCKS = 1 << 1;
export const INIT_ATOMIC_O_TRUNC = 1 << 3;
export const INIT_EXPORT_SUPPORT = 1 << 4;
export const INIT_BIG_WRITES = 1 << 5;
export const INIT_DONT_MASK = 1 << 6;
export const INIT_SPLICE_WRITE = 1 << 7;
export const INIT_SPLICE_MOVE = 1 << 8;
export const INIT_SPLICE_READ = 1 << 9;
export const INIT_FLOCK_LOCKS = 1 << 10;
export const INIT_HAS_IOCTL_DIR = 1 << 11;
export const INIT_AUTO_INVAL_DATA = 1 << 12;
export const INIT_DO_READDIRPLUS = 1 << 13;
export const INIT_READDIRPLUS_AUTO = 1 << 14;
export const INIT_WRITEBACK_CACHE = 1 << 16;
export const INIT_NO_OPEN_SUPPORT = 1 << 17;
export const INIT_PARALLEL_DIROPS = 1 << 18;
export const INIT_HANDLE_KILLPRIV = 1 << 19;
export const INIT_POSIX_ACL = 1 << 20;
export const INIT_ABORT_ERROR = 1 << 21;
export const INIT_MAX_PAGES = 1 << 22;
export const INIT_CACHE_SYMLINKS = 1 << 23;
export const INIT_NO_OPENDIR_SUPPORT = 1 << 24;
export const INIT_EXPLICIT_INVAL_DATA = 1 << 25;
export const INIT_MAP_ALIGNMENT = 1 << 26;
export const INIT_SUBMOUNTS = 1 << 27;
export const INIT_HANDLE_KILLPRIV_V2 = 1 << 28;
export const INIT_SETXATTR_EXT = 1 << 29;
export const INIT_EXT = 1 << 30;

// INIT, second word of flags (bits 32 and up of the protocol's numbering).
export const INIT2_SECURITY_CTX = 1 << 0;
export const INIT2_HAS_INODE_DAX = 1 << 1;
export const INIT2_CREATE_SUPP_GROUP = 1 << 2;
export const INIT2_HAS_EXPIRE_ONLY = 1 << 3;
export const INIT2_DIRECT_IO_ALLOW_MMAP = 1 << 4;
export const INIT2_PASSTHROUGH = 1 << 5;
export const INIT2_NO_EXPORT_SUPPORT = 1 << 6;
export const INIT2_HAS_RESEND = 1 << 7;
export const INIT2_ALLOW_IDMAP = 1 << 8;
export const INIT2_OVER_IO_URING = 1 << 9;
export const INIT2_REQUEST_TIMEOUT = 1 << 10;

// SETATTR: which fields count.
export const FATTR_MODE = 1 << 0;
export const FATTR_UID = 1 << 1;
export const FATTR_GID = 1 << 2;
export const FATTR_SIZE = 1 << 3;
export const FATTR_ATIME = 1 << 4;
export const FATTR_MTIME = 1 << 5;
export const FATTR_FH = 1 << 6;
export const FATTR_ATIME_NOW = 1 << 7;
export const FATTR_MTIME_NOW = 1 << 8;
export const FATTR_LOCKOWNER = 1 << 9;
export const FATTR_CTIME = 1 << 10;
/** With HANDLE_KILLPRIV_V2: the caller of truncate lacks CAP_FSETID, so set-user-id and set-group-id must go. */
export const FATTR_KILL_SUIDGID = 1 << 11;

// What an answer to OPEN, OPENDIR, CREATE, TMPFILE says of the open file.
export const FOPEN_DIRECT_IO = 1 << 0;
export const FOPEN_KEEP_CACHE = 1 << 1;
export const FOPEN_NONSEEKABLE = 1 << 2;
export const FOPEN_CACHE_DIR = 1 << 3;
export const FOPEN_STREAM = 1 << 4;
export const FOPEN_NOFLUSH = 1 << 5;
export const FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6;
export const FOPEN_PASSTHROUGH = 1 << 7;

export const ATTR_SUBMOUNT = 1 << 0;
export const ATTR_DAX = 1 << 1;

export const GETATTR_FH = 1 << 0;

export const WRITE_CACHE = 1 << 0;
export const WRITE_LOCKOWNER = 1 << 1;
/** With HANDLE_KILLPRIV_V2: the writer lacks CAP_FSETID, so set-user-id and set-group-id must go. */
export const WRITE_KILL_SUIDGID = 1 << 2;

export const OPEN_KILL_SUIDGID = 1 << 0;
export const FSYNC_FDATASYNC = 1 << 0;
export const RELEASE_FLUSH = 1 << 0;
export const RELEASE_FLOCK_UNLOCK = 1 << 1;
export const SETXATTR_ACL_KILL_SGID = 1 << 0;

export const IOCTL_COMPAT = 1 << 0;
export const IOCTL_UNRESTRICTED = 1 << 1;
export const IOCTL_32BIT = 1 << 3;
export const IOCTL_DIR = 1 << 4;

// Notifications: the driver's own messages to the kernel; the code stands where an answer has its error.
export const NOTIFY_POLL = 1;
export const NOTIFY_INVAL_INODE = 2;
export const NOTIFY_INVAL_ENTRY = 3;
export const NOTIFY_STORE = 4;
export const NOTIFY_RETRIEVE = 5;
export const NOTIFY_DELETE = 6;
export const NOTIFY_RESEND = 7;
export const NOTIFY_INC_EPOCH = 8;
export const NOTIFY_PRUNE = 9;

/** INVAL_ENTRY: let the entry expire instead of dropping it. */
export const NOTIFY_EXPIRE_ONLY = 1 << 0;
