"""What a tree shows, and what its inode numbers must satisfy."""

import ctypes
import os
import stat as st
import struct

import base
import trees

AT_EMPTY_PATH = 0x1000


def view(root):
    """(path -> line, path -> (st_ino, complaint or "")); times of the run read `now`."""
    lines, inodes, groups = {}, {}, {}

    def add(shown, directory, name, d_ino):
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            lines[shown] = f"stat: {base.errname(error.errno)}"
            return
        kind = trees.TYPES[st.S_IFMT(status.st_mode)]
        said = [kind, f"{st.S_IMODE(status.st_mode):04o}", f"{status.st_uid}:{status.st_gid}"]
        if kind != "dir":
            said += [f"n{status.st_nlink}", f"s{status.st_size}"]
            first = groups.setdefault(status.st_ino, shown)
            if first != shown:
                said.append("=" + first)
        if kind != "fifo":  # the kernel does not tell a FUSE file system that one was written to
            said.append("m" + ("now" if status.st_mtime_ns > 1_600_000_000_000_000_000 else base.time_text(status.st_mtime_ns)))
        if status.st_ctime_ns < 1_600_000_000_000_000_000:
            said.append("an old ctime")
        try:
            said += trees.fingerprint(directory, name, status, ("marks",))
        except OSError as error:
            said.append(f"error({base.errname(error.errno)})")
        lines[shown] = " ".join(said)
        complaint = "" if d_ino in (None, status.st_ino) else f"d_ino {d_ino}, st_ino {status.st_ino}"
        if kind == "dir":
            other = groups.setdefault(status.st_ino, shown)
            complaint = complaint or ("" if other == shown else f"the inode number {status.st_ino} of {other}")
        inodes[shown] = (status.st_ino, complaint)
        if kind == "dir":
            enter(shown, directory, name)

    def enter(shown, directory, name):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
        except OSError as error:
            lines[shown] += f" unlistable({base.errname(error.errno)})"
            return
        try:
            with os.scandir(fd) as entries:
                found = sorted((os.fsencode(entry.name), entry.inode()) for entry in entries)
            for index, (entry, d_ino) in enumerate(found):
                if index and found[index - 1][0] == entry:
                    lines[shown] += f" twice({base.text(entry)})"
                add(("" if shown == "." else shown + "/") + base.text(entry), fd, entry, d_ino)
        except OSError as error:
            lines[shown] += f" unlistable({base.errname(error.errno)})"
        finally:
            os.close(fd)

    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        add(".", fd, b".", None)
    finally:
        os.close(fd)
    return lines, inodes


def identity(path):
    """What tells an object of the plain directory from every other, those that had its inode number before included: its file handle."""
    handle, mount = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128)), ctypes.c_int()
    base.check(base.libc.name_to_handle_at(-100, path, handle, ctypes.byref(mount), 0))
    size = struct.unpack_from("I", handle, 0)[0]
    return handle.raw[4:8 + size]


def differences(native, other):
    """Lines `path`, `- native`, `+ other` for what differs."""
    return "\n".join(
        f"    {path[-120:]}\n      - {native.get(path, '(absent)')}\n      + {other.get(path, '(absent)')}"
        for path in sorted({*native, *other})
        if native.get(path) != other.get(path)
    )[:6000]
