/** Linux flag values that the layers and the union use. Those of open(2) that differ between x86_64 and aarch64 come from Node. */
import { constants } from "node:fs";

export const AT_FDCWD = -100;
export const AT_REMOVEDIR = 0x200;

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_ACCMODE = 3;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const { O_DIRECT, O_DIRECTORY, O_NOATIME, O_NOFOLLOW } = constants;
export const O_PATH = 0o10000000;
export const O_TMPFILE = 0o20000000 | O_DIRECTORY;

export const SEEK_END = 2;

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;

export const UTIME_NOW = 0x3fffffff;
export const UTIME_OMIT = 0x3ffffffe;

export const MOUNT_ATTR_RDONLY = 0x1;
export const MOUNT_ATTR_NOSUID = 0x2;
export const MOUNT_ATTR_NODEV = 0x4;
export const MOUNT_ATTR_NOEXEC = 0x8;
export const MOUNT_ATTR_NOATIME = 0x10;
/** The mask of all access-time modes; it must be cleared when one of them is set (mount_setattr(2)). */
export const MOUNT_ATTR__ATIME = 0x70;
export const MOUNT_ATTR_STRICTATIME = 0x20;
export const MOUNT_ATTR_NODIRATIME = 0x80;

export const MS_RDONLY = 0x1;
export const MS_REMOUNT = 0x20;
export const MS_BIND = 0x1000;
export const MS_REC = 0x4000;
export const MS_PRIVATE = 0x40000;
export const MS_SLAVE = 0x80000;
export const MS_SHARED = 0x100000;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;

export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

/** ioctl(2) commands for a file's flags. Those for FLAGS and VERSION state the size of a long, but an int is read or written. */
export const FS_IOC_GETFLAGS = 0x80086601;
export const FS_IOC_SETFLAGS = 0x40086602;
export const FS_IOC_GETVERSION = 0x80087601;
export const FS_IOC_FSGETXATTR = 0x801c581f;
export const FS_IOC_FSSETXATTR = 0x401c5820;
/** Its answer is a struct fsuuid2 {u8 length, u8 uuid[16]}. */
export const FS_IOC_GETFSUUID = 0x80111500;
/** btrfs does not know the former; its answer is a struct btrfs_ioctl_fs_info_args, the UUID at byte 16. */
export const BTRFS_IOC_FS_INFO = 0x8400941f;

export const DT_UNKNOWN = 0;
export const DT_FIFO = 1;
export const DT_CHR = 2;
export const DT_DIR = 4;
export const DT_BLK = 6;
export const DT_REG = 8;
export const DT_LNK = 10;
export const DT_SOCK = 12;
