"""Operations on names and metadata."""

import ctypes
import os
import stat as st
import struct

from base import (Volatile, check, describe, flags, libc, long, number, op, path, raw, syscall, text, time_number,
                  time_text)

AT_FDCWD = -100


@op
def open_(name, how, mode="0644"):
    return Volatile(os.open(path(name), flags(how), number(mode)))


@op
def openat(directory, name, how, mode="0644"):
    return Volatile(os.open(raw(name), flags(how), number(mode), dir_fd=int(directory)))


@op
def close(fd):
    os.close(int(fd))


@op
def put(name, data="", mode="0644"):
    """Creates or truncates a file and writes it whole."""
    fd = os.open(path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, number(mode))
    try:
        os.write(fd, raw(data))
    finally:
        os.close(fd)


@op
def append(name, data):
    fd = os.open(path(name), os.O_WRONLY | os.O_APPEND)
    try:
        return os.write(fd, raw(data))
    finally:
        os.close(fd)


@op
def cat(name):
    fd = os.open(path(name), os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(fd, 1 << 16), b""))
    finally:
        os.close(fd)


@op
def mkdir(name, mode="0755"):
    os.mkdir(path(name), number(mode))


@op
def rmdir(name):
    os.rmdir(path(name))


@op
def unlink(name):
    os.unlink(path(name))


@op
def unlinkat(directory, name):
    os.unlink(raw(name), dir_fd=int(directory))


@op
def symlink(target, name):
    os.symlink(raw(target), path(name))


@op
def readlink(name):
    return os.readlink(path(name))


@op
def link(old, new):
    os.link(path(old), path(new), follow_symlinks=False)


@op
def linkfd(fd, new):
    """linkat of an open descriptor, through AT_EMPTY_PATH."""
    check(libc.linkat(int(fd), b"", AT_FDCWD, path(new), 0x1000))


@op
def linkproc(fd, new):
    """linkat of /proc/self/fd/N, following it."""
    check(libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % int(fd), AT_FDCWD, path(new), 0x400))


@op
def mknod(name, kind, mode="0644", major="0", minor="0"):
    types = {"file": st.S_IFREG, "fifo": st.S_IFIFO, "socket": st.S_IFSOCK, "char": st.S_IFCHR, "block": st.S_IFBLK}
    os.mknod(path(name), types[kind] | number(mode), os.makedev(int(major), int(minor)))


@op
def rename(old, new, how="0"):
    check(libc.renameat2(AT_FDCWD, path(old), AT_FDCWD, path(new), flags(how)))


@op
def renameat(old_directory, old, new_directory, new, how="0"):
    check(libc.renameat2(int(old_directory), raw(old), int(new_directory), raw(new), flags(how)))


@op
def chmod(name, mode):
    os.chmod(path(name), number(mode))


@op
def fchmod(fd, mode):
    os.fchmod(int(fd), number(mode))


@op
def chown(name, uid, gid):
    os.lchown(path(name), int(uid), int(gid))


@op
def fchown(fd, uid, gid):
    os.fchown(int(fd), int(uid), int(gid))


def timespec(value):
    special = {"now": (1 << 30) - 1, "omit": (1 << 30) - 2}
    if value in special:
        return struct.pack("qq", 0, special[value])
    total = time_number(value)
    return struct.pack("qq", total // 1_000_000_000, total % 1_000_000_000)


@op
def utimens(name, atime, mtime):
    """Times are `sec.nsec`, `now` or `omit`; links are not followed."""
    check(libc.utimensat(AT_FDCWD, path(name), timespec(atime) + timespec(mtime), 0x100))


@op
def futimens(fd, atime, mtime):
    check(libc.futimens(int(fd), timespec(atime) + timespec(mtime)))


@op
def truncate(name, size):
    os.truncate(path(name), number(size))


@op
def ftruncate(fd, size):
    os.ftruncate(int(fd), number(size))


@op
def stat(name, fields=None):
    """lstat; fields as in base.describe."""
    return describe(os.lstat(path(name)), fields)


@op
def statfollow(name, fields=None):
    return describe(os.stat(path(name)), fields)


@op
def fstat(fd, fields=None):
    return describe(os.fstat(int(fd)), fields)


@op
def fstatat(directory, name, fields=None):
    return describe(os.stat(raw(name), dir_fd=int(directory), follow_symlinks=False), fields)


@op
def ino(name):
    return Volatile(os.lstat(path(name)).st_ino)


@op
def fino(fd):
    return Volatile(os.fstat(int(fd)).st_ino)


@op
def same_dev(*names):
    """Whether all names say the same st_dev."""
    return "same" if len({os.lstat(path(name)).st_dev for name in names}) == 1 else "different"


@op
def btime(name):
    """Birth time by statx, or `none`."""
    buffer = ctypes.create_string_buffer(256)
    syscall(332, long(AT_FDCWD), path(name), long(0x100), long(0x800), buffer)
    mask = struct.unpack_from("I", buffer, 0)[0]
    if not mask & 0x800:
        return "none"
    seconds, nanoseconds = struct.unpack_from("qI", buffer, 80)
    return Volatile(time_text(seconds * 1_000_000_000 + nanoseconds))


@op
def access(name, mode):
    """faccessat2 with AT_EACCESS."""
    syscall(439, long(AT_FDCWD), path(name), long(number(mode)), long(0x200))


@op
def statfs(name):
    """Only what is the same in another run: the longest name, and that sizes make sense."""
    info = os.statvfs(path(name))
    sane = info.f_blocks > 0 and info.f_bavail <= info.f_bfree <= info.f_blocks and info.f_bsize > 0
    return f"namemax={info.f_namemax} sane={sane}"


@op
def setx(name, key, value="", how="0"):
    os.setxattr(path(name), raw(key), raw(value), flags(how), follow_symlinks=False)


@op
def getx(name, key):
    return os.getxattr(path(name), raw(key), follow_symlinks=False)


@op
def getxsize(name, key, size):
    """lgetxattr into a buffer of `size` bytes: the length the kernel answers."""
    buffer = ctypes.create_string_buffer(max(1, int(size)))
    return check(libc.lgetxattr(path(name), raw(key), buffer, ctypes.c_size_t(int(size))))


@op
def listxsize(name, size):
    """llistxattr into a buffer of `size` bytes; 0 asks for the length, which is not compared."""
    buffer = ctypes.create_string_buffer(max(1, int(size)))
    return Volatile(check(libc.llistxattr(path(name), buffer, ctypes.c_size_t(int(size)))))


@op
def listx(name):
    return " ".join(sorted(os.listxattr(path(name), follow_symlinks=False)))


@op
def rmx(name, key):
    os.removexattr(path(name), raw(key), follow_symlinks=False)


@op
def fsetx(fd, key, value="", how="0"):
    os.setxattr(int(fd), raw(key), raw(value), flags(how))


@op
def fgetx(fd, key):
    return os.getxattr(int(fd), raw(key))


@op
def ls(name="."):
    """Names in byte order, each after one space."""
    return b" ".join(sorted(os.listdir(path(name))))


@op
def lsfd(fd):
    """The same through an open directory, from its start."""
    os.lseek(int(fd), 0, os.SEEK_SET)
    return " ".join(sorted(entry for entry, _, _, _ in dents(int(fd)) if entry not in (".", "..")))


@op
def chdir(name):
    os.chdir(path(name))


@op
def fchdir(fd):
    os.fchdir(int(fd))


@op
def getcwd():
    return os.getcwdb()


@op
def fdpath(fd):
    """What /proc says the descriptor is."""
    return os.readlink(b"/proc/self/fd/%d" % int(fd))


DTYPES = {1: "fifo", 2: "char", 4: "dir", 6: "block", 8: "file", 10: "link", 12: "socket", 0: "unknown"}


def dents(fd, size=1 << 15, calls=None):
    """getdents64: yields (name, type, ino, offset of the next entry); at most `calls` system calls."""
    buffer = ctypes.create_string_buffer(size)
    while calls is None or calls > 0:
        length = syscall(217, long(fd), buffer, long(size))
        if length == 0:
            return
        at = 0
        while at < length:
            inode, following, record, kind = struct.unpack_from("QqHB", buffer, at)
            name = buffer.raw[at + 19:at + record].split(b"\0", 1)[0]
            yield text(name), DTYPES[kind], inode, following
            at += record
        if calls is not None:
            calls -= 1


@op
def dtypes(name):
    """`name:type` of each entry, sorted, `.` and `..` included."""
    fd = os.open(path(name), os.O_RDONLY | os.O_DIRECTORY)
    try:
        return " ".join(sorted(f"{entry}:{kind}" for entry, kind, _, _ in dents(fd)))
    finally:
        os.close(fd)


@op
def dinos(name):
    """Names whose d_ino or d_type is not what lstat says, or that come twice; `..` of the root of the mount is left out."""
    directory = path(name)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    seen, wrong = set(), []
    try:
        for entry, kind, inode, _ in dents(fd):
            if entry in seen:
                wrong.append(entry + "(twice)")
            seen.add(entry)
            if entry == "..":
                continue
            status = os.stat(raw(entry), dir_fd=fd, follow_symlinks=False)
            if status.st_ino != inode:
                wrong.append(f"{entry}(d_ino)")
            if DTYPES[(st.S_IFMT(status.st_mode)) >> 12] != kind:
                wrong.append(f"{entry}(d_type {kind})")
    finally:
        os.close(fd)
    return " ".join(sorted(wrong)) or "good"


@op
def telldir(fd, calls, size="1024"):
    """Reads `calls` buffers; answers how many entries came, so that the position is the one a program would hold."""
    return Volatile(sum(1 for _ in dents(int(fd), int(size), int(calls))))
