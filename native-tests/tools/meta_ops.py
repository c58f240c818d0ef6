"""Operations that look closely: which times moved, what statx and the ioctls tell, directory streams."""

import ctypes
import fcntl
import os
import struct
import time

from base import Volatile, check, flags, libc, long, number, op, path, raw, state, syscall, text
from name_ops import dents

MARKED = {}


def tick():
    """Waits until the clock that file systems stamp with has moved on, twice, to be after a step that was under way."""
    for _ in range(2):
        before = time.clock_gettime_ns(5)  # CLOCK_REALTIME_COARSE
        while time.clock_gettime_ns(5) == before:
            time.sleep(0.001)


@op
def mark(*names):
    """Remembers the times of these names, for `moved`."""
    for name in names:
        MARKED[name] = os.lstat(path(name))
    tick()


@op
def moved(*names):
    """Which times of each are not what they were at `mark` (or the last `moved`): `m` and `c`, or `-`."""
    shown = []
    for name in names:
        status, before = os.lstat(path(name)), MARKED[name]
        MARKED[name] = status
        shown.append(("m" if status.st_mtime_ns != before.st_mtime_ns else "")
                     + ("c" if status.st_ctime_ns != before.st_ctime_ns else "") or "-")
    tick()
    return " ".join(shown)


def statx(name, mask, how=0x100):
    buffer = ctypes.create_string_buffer(256)
    syscall(332, long(-100), path(name), long(how), long(mask), buffer)
    return buffer


ATTRIBUTES = {"compressed": 4, "immutable": 0x10, "append": 0x20, "nodump": 0x40, "encrypted": 0x800}


@op
def attributes(name):
    """What of stx_attributes chattr sets."""
    bits = struct.unpack_from("Q", statx(name, 0x7FF), 8)[0]
    return " ".join(word for word, bit in ATTRIBUTES.items() if bits & bit) or "none"


@op
def same_mount(*names):
    """Whether statx tells one mount id for all, the one that /proc knows."""
    ids = {struct.unpack_from("Q", statx(name, 0x1000), 144)[0] for name in names}
    fd = os.open(path("."), os.O_PATH)
    with open(f"/proc/self/fdinfo/{fd}", encoding="latin1") as info:
        known = int(info.read().split("mnt_id:")[1].split()[0])
    os.close(fd)
    return "same" if ids == {known} else "different"


@op
def statx_mask(name):
    """Which of the basic fields and the birth time statx fills in, whatever was asked for."""
    return f"{struct.unpack_from('I', statx(name, 0xFFF), 0)[0] & 0xFFF:#x}"


@op
def same_birth(name, before):
    """Whether the birth time is still the one that `btime` told."""
    seconds, nanoseconds = struct.unpack_from("qI", statx(name, 0x800), 80)
    return "same" if f"{seconds}.{nanoseconds:09}" == before else "other"


@op
def fstatfs(fd):
    info = os.fstatvfs(int(fd))
    return f"namemax={info.f_namemax} sane={info.f_blocks > 0 and info.f_bavail <= info.f_bfree <= info.f_blocks}"


@op
def free(name):
    """KiB that are free."""
    info = os.statvfs(path(name))
    return Volatile(info.f_bfree * info.f_frsize // 1024)


@op
def used(name, before, limit):
    """Whether, since `free`, at most so many KiB have been used."""
    info = os.statvfs(path(name))
    return "little" if int(before) - info.f_bfree * info.f_frsize // 1024 <= int(limit) else "much"


@op
def sync_file_range(fd, offset, length, how="7"):
    syscall(277, long(int(fd)), long(number(offset)), long(number(length)), long(number(how)))


@op
def pwrite2(fd, offset, value, how):
    """pwritev2 with flags."""
    return os.pwritev(int(fd), [raw(value)], number(offset), number(how))


@op
def getproject(fd):
    """FS_IOC_FSGETXATTR: flags, extent size hint, project."""
    xflags, hint, _, project, _ = struct.unpack_from("IIIII", fcntl.ioctl(int(fd), 0x801C581F, b"\0" * 28))
    return f"{xflags & 0x78:#x} {hint} {project}"


@op
def setxflags(fd, value):
    """FS_IOC_FSSETXATTR of the flags alone."""
    current = bytearray(fcntl.ioctl(int(fd), 0x801C581F, b"\0" * 28))
    struct.pack_into("I", current, 0, number(value))
    fcntl.ioctl(int(fd), 0x401C5820, bytes(current))


libc.opendir.restype = ctypes.c_void_p
for function in ("readdir", "telldir", "seekdir", "rewinddir", "closedir"):
    getattr(libc, function).argtypes = [ctypes.c_void_p] + ([ctypes.c_long] if function == "seekdir" else [])
libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long


def names_of(stream):
    """readdir(3) until the end."""
    found = []
    while entry := libc.readdir(stream):
        found.append(ctypes.string_at(entry + 19))
    return [name for name in found if name not in (b".", b"..")]


def opened(name):
    stream = libc.opendir(path(name))
    if not stream:
        raise OSError(ctypes.get_errno(), "opendir")
    return stream


@op
def rewind_sees(directory, name):
    """Reads a directory to its end, creates a file, rewinds: what a second reading finds more."""
    stream = opened(directory)
    first = names_of(stream)
    os.close(os.open(path(directory) + b"/" + raw(name), os.O_CREAT | os.O_WRONLY, 0o644))
    libc.rewinddir(stream)
    second = names_of(stream)
    libc.closedir(stream)
    return b" ".join(sorted(set(second) - set(first)))


@op
def tell_and_seek(directory):
    """Tells before each entry, and later seeks to each place in reverse: how many entries are not found there again."""
    stream = opened(directory)
    places = []
    while True:
        where = libc.telldir(stream)
        entry = libc.readdir(stream)
        if not entry:
            break
        places.append((where, ctypes.string_at(entry + 19)))
    wrong = 0
    for where, name in reversed(places):
        libc.seekdir(stream, where)
        entry = libc.readdir(stream)
        wrong += not entry or ctypes.string_at(entry + 19) != name
    libc.closedir(stream)
    return f"wrong={wrong}"


@op
def remove_while_reading(directory):
    """What rm -r does: removes each entry as it comes. How many are left."""
    fd = os.open(path(directory), os.O_RDONLY | os.O_DIRECTORY)
    try:
        while part := [name for name, _, _, _ in dents(fd, 512, 1)]:
            for name in part:
                if name not in (".", ".."):
                    os.unlink(raw(name), dir_fd=fd)
    finally:
        os.close(fd)
    return len(os.listdir(path(directory)))


@op
def dots(directory):
    """Whether `.` and `..` come once each, with the numbers that stat knows."""
    fd = os.open(path(directory), os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = [(name, inode) for name, _, inode, _ in dents(fd) if name in (".", "..")]
        wanted = [(name, os.stat(name, dir_fd=fd).st_ino) for name in (".", "..")]
    finally:
        os.close(fd)
    return "good" if sorted(found) == wanted else f"found {len(found)} of 2, or other numbers"


@op
def dup(fd):
    return Volatile(os.dup(int(fd)))


@op
def statat(fd, name, fields="type"):
    """newfstatat with AT_EMPTY_PATH where the name is empty."""
    from base import describe
    return describe(os.stat(raw(name), dir_fd=int(fd)) if name else os.fstat(int(fd)), fields)


@op
def creat_exclusive_twice(name):
    """Two processes create with O_EXCL at the same time, 50 times: how often other than one of them succeeded."""
    wrong = 0
    for index in range(50):
        target = path(name) + b"%d" % index
        children = []
        for _ in range(2):
            child = os.fork()
            if child == 0:
                try:
                    os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                    os._exit(0)
                except FileExistsError:
                    os._exit(1)
            children.append(child)
        wrong += sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children) != 1
    return f"wrong={wrong}"


@op
def append_together(name, count):
    """Two processes append lines at the same time: how many whole lines the file has."""
    children = []
    for index in range(2):
        child = os.fork()
        if child == 0:
            fd = os.open(path(name), os.O_WRONLY | os.O_APPEND)
            for _ in range(int(count)):
                os.write(fd, b"%d" % index * 63 + b"\n")
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    with open(path(name), "rb") as file:
        return sum(line in (b"0" * 63 + b"\n", b"1" * 63 + b"\n") for line in file)


@op
def copy_up_together(name, processes):
    """Several processes write one byte each, at the same time, into a file that nobody has changed yet: what comes out."""
    children = []
    for index in range(int(processes)):
        child = os.fork()
        if child == 0:
            fd = os.open(path(name), os.O_WRONLY)
            os.pwrite(fd, b"%c" % (65 + index), index)
            os._exit(0)
        children.append(child)
    failed = sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children)
    with open(path(name), "rb") as file:
        return f"{failed} {text(file.read(int(processes)))}"


@op
def walk_up(levels):
    """Goes up from the working directory: the inode of where one ends is that of the tree's root."""
    os.chdir("/".join([".."] * int(levels)))
    return "root" if os.stat(".").st_ino == os.stat(state["base"]).st_ino else "elsewhere"


@op
def mremap_grow(index, length):
    """Not a new mapping but the old one, longer."""
    from io_ops import MAPS
    libc.mremap.restype = ctypes.c_void_p
    libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    address, old = MAPS[int(index)]
    moved_to = libc.mremap(address, old, number(length), 1)
    if moved_to in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mremap")
    MAPS[int(index)] = (moved_to, number(length))


@op
def tee_through(source, target, length):
    """splice from a file through a pipe into another file."""
    receiver, sender = os.pipe()
    try:
        count = check(libc.splice(int(source), None, sender, None, ctypes.c_size_t(number(length)), 0))
        return check(libc.splice(receiver, None, int(target), None, ctypes.c_size_t(count), 0))
    finally:
        os.close(receiver)
        os.close(sender)


@op
def opens(name, how):
    """Opens and closes: whether that is possible."""
    os.close(os.open(path(name), flags(how), 0o644))
