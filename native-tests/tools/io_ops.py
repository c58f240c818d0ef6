"""Operations on data."""

import ctypes
import errno
import fcntl
import hashlib
import mmap as mm
import os
import struct

from base import Volatile, check, flags, libc, long, number, op, path, raw, syscall

libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.msync.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


@op
def read(fd, length):
    return os.read(int(fd), number(length))


@op
def pread(fd, length, offset):
    return os.pread(int(fd), number(length), number(offset))


@op
def write(fd, data):
    return os.write(int(fd), raw(data))


@op
def pwrite(fd, offset, data):
    return os.pwrite(int(fd), raw(data), number(offset))


@op
def lseek(fd, offset, whence="SEEK_SET"):
    values = {"SEEK_SET": 0, "SEEK_CUR": 1, "SEEK_END": 2, "SEEK_DATA": 3, "SEEK_HOLE": 4}
    return os.lseek(int(fd), number(offset), values[whence] if whence in values else number(whence))


@op
def fsync(fd):
    os.fsync(int(fd))


@op
def fdatasync(fd):
    os.fdatasync(int(fd))


@op
def syncfs(fd):
    check(libc.syncfs(int(fd)))


@op
def fallocate(fd, mode, offset, length):
    syscall(285, long(int(fd)), long(flags(mode)), long(number(offset)), long(number(length)))


@op
def copyrange(source, source_offset, target, target_offset, length):
    """copy_file_range at given offsets, until `length` is copied or the end."""
    done = 0
    while done < number(length):
        count = os.copy_file_range(int(source), int(target), number(length) - done,
                                   number(source_offset) + done, number(target_offset) + done)
        if count == 0:
            break
        done += count
    return done


@op
def sendfile(target, source, offset, length):
    return os.sendfile(int(target), int(source), number(offset), number(length))


@op
def splice_out(source, offset, length):
    """splice from a file into a pipe, then what came out of the pipe."""
    receiver, sender = os.pipe()
    try:
        where = ctypes.c_long(number(offset))
        count = check(libc.splice(int(source), ctypes.byref(where), sender, None, ctypes.c_size_t(number(length)), 0))
        return os.read(receiver, count) if count else b""
    finally:
        os.close(receiver)
        os.close(sender)


@op
def clone(target, source):
    """FICLONE."""
    fcntl.ioctl(int(target), 0x40049409, int(source))


@op
def fill(fd, offset, length, seed="1"):
    """Writes a pattern that depends on the position and the seed."""
    start, end = number(offset), number(offset) + number(length)
    while start < end:
        size = min(1 << 20, end - start)
        os.pwrite(int(fd), pattern(start, size, number(seed)), start)
        start += size


def pattern(offset, length, seed):
    """Bytes that differ from page to page and from seed to seed."""
    first, last = offset // 64, (offset + length + 63) // 64
    block = b"".join(b"%016x%016x%-32d" % (seed, index, index * 2654435761 % 4294967296) for index in range(first, last))
    return block[offset - first * 64:][:length]


@op
def verify(fd, offset, length, seed="1"):
    """`good`, or the first offset that does not hold the pattern."""
    start, end = number(offset), number(offset) + number(length)
    while start < end:
        size = min(1 << 20, end - start)
        have, want = os.pread(int(fd), size, start), pattern(start, size, number(seed))
        if have != want:
            bad = next((i for i in range(min(len(have), len(want))) if have[i] != want[i]), min(len(have), len(want)))
            return f"bad at {start + bad}"
        start += size
    return "good"


@op
def sha(name):
    digest = hashlib.sha256()
    fd = os.open(path(name), os.O_RDONLY)
    try:
        while chunk := os.read(fd, 1 << 20):
            digest.update(chunk)
    finally:
        os.close(fd)
    return digest.hexdigest()[:16]


def extents(fd):
    """[start, end) of the parts that hold data."""
    size, at, parts = os.fstat(fd).st_size, 0, []
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        parts.append((start, end))
        at = end
    return parts


@op
def data(fd):
    """The parts with data, as `start-end`."""
    return " ".join(f"{start}-{end}" for start, end in extents(int(fd)))


MAPS = []


@op
def mmap(fd, length, protection="rw", kind="shared", offset="0"):
    bits = (1 if "r" in protection else 0) | (2 if "w" in protection else 0) | (4 if "x" in protection else 0)
    address = libc.mmap(None, number(length), bits, 1 if kind == "shared" else 2, int(fd), number(offset))
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")
    MAPS.append((address, number(length)))
    return Volatile(len(MAPS) - 1)


@op
def mread(index, offset, length):
    return ctypes.string_at(MAPS[int(index)][0] + number(offset), number(length))


@op
def mwrite(index, offset, value):
    ctypes.memmove(MAPS[int(index)][0] + number(offset), raw(value), len(value))


@op
def msync(index):
    address, length = MAPS[int(index)]
    check(libc.msync(address, length, 4))


@op
def munmap(index):
    address, length = MAPS[int(index)]
    check(libc.munmap(address, length))


@op
def dread(fd, offset, length):
    """pread into aligned memory, for O_DIRECT."""
    buffer = mm.mmap(-1, number(length))
    count = os.preadv(int(fd), [buffer], number(offset))
    return buffer[:count]


@op
def dwrite(fd, offset, value, length):
    """pwrite from aligned memory filled with one byte."""
    buffer = mm.mmap(-1, number(length))
    buffer.write(raw(value) * number(length))
    return os.pwritev(int(fd), [buffer], number(offset))


@op
def getflags(fd):
    """FS_IOC_GETFLAGS without the flags that say how ext4 stores the file."""
    value = struct.unpack("i", fcntl.ioctl(int(fd), 0x80086601, b"\0" * 8)[:4])[0]
    return f"{value & 0x70:#x}"


@op
def setflags(fd, value):
    current = struct.unpack("i", fcntl.ioctl(int(fd), 0x80086601, b"\0" * 8)[:4])[0]
    fcntl.ioctl(int(fd), 0x40086602, struct.pack("q", (current & ~0x70) | number(value)))


@op
def getversion(fd):
    return Volatile(struct.unpack("i", fcntl.ioctl(int(fd), 0x80087601, b"\0" * 8)[:4])[0])


@op
def fadvise(fd, advice):
    os.posix_fadvise(int(fd), 0, 0, int(advice))


@op
def fionread(fd):
    return struct.unpack("i", fcntl.ioctl(int(fd), 0x541B, b"\0" * 4))[0]


@op
def ioctl(fd, request):
    """Any ioctl, with room for an answer."""
    fcntl.ioctl(int(fd), number(request), b"\0" * 64)


@op
def getdents(fd):
    """One getdents64 from wherever the descriptor is."""
    buffer = ctypes.create_string_buffer(4096)
    syscall(217, long(int(fd)), buffer, long(4096))
