"""Operations that answer in one step what random sequences want to know, and that no sequence can crash or hang."""

import ctypes
import errno
import os
import stat as st

from base import check, libc, number, op, path, raw
from io_ops import MAPS, extents, lseek


@op
def mget(index, offset, length):
    """Reads a mapping; EFAULT where reading it would be a SIGBUS."""
    receiver, sender = os.pipe()
    try:
        size = number(length)
        count = check(libc.write(sender, ctypes.c_void_p(MAPS[int(index)][0] + number(offset)), ctypes.c_size_t(size)))
        return os.read(receiver, count) if count else b""
    finally:
        os.close(receiver)
        os.close(sender)


@op
def mset(index, offset, value):
    """Writes into a mapping, and syncs it, as sizes, times and holes do not know of it before that; EFAULT where writing would be a SIGBUS."""
    receiver, sender = os.pipe()
    try:
        os.write(sender, raw(value))
        address, size = MAPS[int(index)]
        count = check(libc.read(receiver, ctypes.c_void_p(address + number(offset)), ctypes.c_size_t(len(value))))
        check(libc.msync(address, size, 4))
        return count
    finally:
        os.close(receiver)
        os.close(sender)


@op
def holes(fd):
    """`good` if what SEEK_DATA and SEEK_HOLE pass over reads as zeros (as far as 64 KiB of each hole tell)."""
    status = os.fstat(int(fd))
    if st.S_ISDIR(status.st_mode):  # where each file system answers otherwise
        raise IsADirectoryError(errno.EISDIR, "")
    at, size, position = 0, status.st_size, os.lseek(int(fd), 0, os.SEEK_CUR)
    try:
        for start, end in [*extents(int(fd)), (size, size)]:
            if os.pread(int(fd), min(start - at, 1 << 16), at).strip(b"\0"):
                return f"data in the hole at {at}"
            at = end
    finally:
        os.lseek(int(fd), position, os.SEEK_SET)
    return "good"


@op
def rmtree(name):
    """Removes a tree, names in byte order, until something cannot be removed."""
    remove(path(name))


def remove(name):
    if st.S_ISDIR(os.lstat(name).st_mode):
        for entry in sorted(os.listdir(name)):
            remove(name + b"/" + entry)
        os.rmdir(name)
    else:
        os.unlink(name)


@op
def seek(fd, offset, whence):
    """lseek, but not in a directory, where each file system has positions of its own."""
    return "directory" if st.S_ISDIR(os.fstat(int(fd)).st_mode) else lseek(fd, offset, whence)
