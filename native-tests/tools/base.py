"""What the operations share: the table they register in, conversions from text, and system calls Python has no name for."""

import ctypes
import errno
import os
import stat as st

libc = ctypes.CDLL(None, use_errno=True)
OPS = {}
"""Name of an operation -> function taking text arguments and returning something `text` can render."""

state = {"base": b"", "dirfd": -100}


def op(function):
    """Registers a function under its name without a trailing underscore."""
    OPS[function.__name__.rstrip("_")] = function
    return function


class Volatile(str):
    """A result that differs from run to run (a descriptor, an inode number): usable, but not compared between file systems."""


def errname(number):
    aliases = {11: "EAGAIN", 35: "EDEADLK", 95: "EOPNOTSUPP"}
    return aliases.get(number) or errno.errorcode.get(number, f"errno{number}")


def raw(text):
    """Text of the protocol -> bytes: one character, one byte."""
    return text.encode("latin1")


def text(data):
    return data.decode("latin1")


def path(name):
    """A path of a step: below the tree under test, unless absolute; `./x` is relative to the real working directory."""
    data = raw(name)
    if data.startswith(b"/") or data.startswith(b"./") or data == b"..":
        return data
    return state["base"] + b"/" + data if data not in (b"", b".") else state["base"]


def number(value):
    """Octal like C's 0644, hexadecimal, or decimal with a K/M/G suffix."""
    scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}.get(value[-1:], 0)
    if scale:
        return int(value[:-1]) * scale
    if len(value) > 1 and value[0] == "0" and value[1] in "01234567":
        return int(value, 8)
    return int(value, 0)


EXTRA = {
    "O_TMPFILE": 0o20200000,
    "O_PATH": 0o10000000,
    "RENAME_NOREPLACE": 1,
    "RENAME_EXCHANGE": 2,
    "RENAME_WHITEOUT": 4,
    "FALLOC_FL_KEEP_SIZE": 1,
    "FALLOC_FL_PUNCH_HOLE": 2,
    "FALLOC_FL_COLLAPSE_RANGE": 8,
    "FALLOC_FL_ZERO_RANGE": 16,
    "FALLOC_FL_INSERT_RANGE": 32,
    "XATTR_CREATE": 1,
    "XATTR_REPLACE": 2,
}


def flags(value):
    """`O_RDWR|O_CREAT` -> number."""
    total = 0
    for name in value.split("|"):
        if name in EXTRA:
            total |= EXTRA[name]
        elif hasattr(os, name):
            total |= getattr(os, name)
        else:
            total |= number(name)
    return total


def check(result):
    """Turns -1 of a C call into OSError."""
    if result == -1:
        number_ = ctypes.get_errno()
        raise OSError(number_, os.strerror(number_))
    return result


def syscall(nr, *args):
    return check(libc.syscall(ctypes.c_long(nr), *args))


def long(value):
    return ctypes.c_long(value)


TYPES = {
    st.S_IFREG: "file",
    st.S_IFDIR: "dir",
    st.S_IFLNK: "link",
    st.S_IFIFO: "fifo",
    st.S_IFSOCK: "socket",
    st.S_IFCHR: "char",
    st.S_IFBLK: "block",
}


def time_text(nanoseconds):
    return f"{nanoseconds // 1_000_000_000}.{nanoseconds % 1_000_000_000:09d}"


def time_number(value):
    """`sec.nsec` -> nanoseconds."""
    seconds, _, fraction = value.partition(".")
    return int(seconds) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def describe(status, fields):
    """The named fields of a stat result, in the order asked for."""
    kind = TYPES[st.S_IFMT(status.st_mode)]
    values = {
        "type": kind,
        "mode": f"{st.S_IMODE(status.st_mode):04o}",
        "uid": str(status.st_uid),
        "gid": str(status.st_gid),
        "nlink": str(status.st_nlink),
        "size": str(status.st_size),
        "ino": str(status.st_ino),
        "dev": str(status.st_dev),
        "rdev": f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}",
        "blocks": str(status.st_blocks),
        "mtime": time_text(status.st_mtime_ns),
        "atime": time_text(status.st_atime_ns),
        "ctime": time_text(status.st_ctime_ns),
    }
    if fields is None:
        fields = "type,mode,uid,gid" + ("" if kind == "dir" else ",nlink,size")
    chosen = fields.split(",")
    result = " ".join(values[field] for field in chosen)
    volatile = {"ino", "dev", "atime", "ctime", "mtime", "blocks"}
    return Volatile(result) if volatile & set(chosen) else result
