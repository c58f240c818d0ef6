"""The same operation many times, in one step."""

import os
import resource

from base import Volatile, errname, flags, number, op, path, raw
from name_ops import dents


def names(pattern, count, start=0):
    for index in range(int(start), int(start) + int(count)):
        yield raw(pattern.replace("%", str(index)))


@op
def many_create(directory, pattern, count, start="0"):
    """Empty files named by the pattern, `%` being the number."""
    at = os.open(path(directory), os.O_PATH)
    try:
        for name in names(pattern, count, start):
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=at))
    finally:
        os.close(at)


@op
def many_unlink(directory, pattern, count, start="0"):
    at = os.open(path(directory), os.O_PATH)
    try:
        for name in names(pattern, count, start):
            os.unlink(name, dir_fd=at)
    finally:
        os.close(at)


@op
def many_mkdir(directory, pattern, count):
    at = os.open(path(directory), os.O_PATH)
    try:
        for name in names(pattern, count):
            os.mkdir(name, 0o755, dir_fd=at)
    finally:
        os.close(at)


@op
def many_stat(directory, pattern, count):
    """How many exist."""
    at = os.open(path(directory), os.O_PATH)
    found = 0
    try:
        for name in names(pattern, count):
            try:
                os.stat(name, dir_fd=at, follow_symlinks=False)
                found += 1
            except FileNotFoundError:
                pass
    finally:
        os.close(at)
    return found


@op
def count_entries(directory):
    """Entries and distinct entries, without `.` and `..`."""
    fd = os.open(path(directory), os.O_RDONLY | os.O_DIRECTORY)
    try:
        seen = [name for name, _, _, _ in dents(fd) if name not in (".", "..")]
    finally:
        os.close(fd)
    return f"{len(seen)} {len(set(seen))}"


OPEN = []


@op
def many_open(directory, pattern, count, how="O_RDONLY", start="0"):
    """Opens them all and keeps them open; needs a limit of descriptors that allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    at = os.open(path(directory), os.O_PATH)
    try:
        for name in names(pattern, count, start):
            OPEN.append((name, os.open(name, flags(how), 0o644, dir_fd=at)))
    finally:
        os.close(at)
    return len(OPEN)


@op
def many_read():
    """Reads the first bytes of each file held open: how many hold their own name."""
    return sum(1 for name, fd in OPEN if os.pread(fd, 64, 0) == name)


@op
def many_write():
    """Writes its own name into each file held open."""
    for name, fd in OPEN:
        os.pwrite(fd, name, 0)


@op
def many_nlink():
    """The distinct link counts of the files held open."""
    return " ".join(str(count) for count in sorted({os.fstat(fd).st_nlink for _, fd in OPEN}))


@op
def many_close():
    for _, fd in OPEN:
        os.close(fd)
    OPEN.clear()


@op
def deep_make(directory, name, levels):
    """A chain of directories, each in the one before, through descriptors, as the path may be too long to say."""
    at = os.open(path(directory), os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(int(levels)):
        os.mkdir(raw(name), 0o755, dir_fd=at)
        following = os.open(raw(name), os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = following
    return Volatile(at)


@op
def deep_walk(directory, name):
    """How many levels there are."""
    at, levels = os.open(path(directory), os.O_RDONLY | os.O_DIRECTORY), 0
    while True:
        try:
            following = os.open(raw(name), os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
        except OSError as error:
            os.close(at)
            return f"{levels} {errname(error.errno)}"
        os.close(at)
        at, levels = following, levels + 1


@op
def readdir_churn(directory, pattern, count):
    """Lists a directory in small pieces while entries that were listed go and new ones come.

    Every entry that was there from the start and was not yet listed when it went must be listed exactly once.
    """
    fd = os.open(path(directory), os.O_RDONLY | os.O_DIRECTORY)
    at = os.open(path(directory), os.O_PATH)
    listed, removed, added = [], set(), 0
    expected = {os.fsdecode(name) for name in names(pattern, count)}
    try:
        while True:
            part = [name for name, _, _, _ in dents(fd, 1024, 1)]
            if not part:
                break
            listed += part
            for name in part[::2]:
                if name in expected:
                    os.unlink(raw(name), dir_fd=at)
                    removed.add(name)
            os.close(os.open(b"new-%d" % added, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=at))
            added += 1
    finally:
        os.close(fd)
        os.close(at)
    twice = len(listed) - len(set(listed))
    missed = expected - set(listed)
    left = {os.fsdecode(name) for name in os.listdir(path(directory))}
    wrong = (expected - removed) - left
    return f"twice={twice} missed={len(missed)} vanished={len(wrong)} undead={len(removed & left)}"


@op
def seek_again(directory):
    """Remembers the offset of every entry, then seeks to each and compares what follows with the first time."""
    fd = os.open(path(directory), os.O_RDONLY | os.O_DIRECTORY)
    try:
        entries = list(dents(fd, 1 << 16))
        wrong = 0
        for index in range(0, len(entries) - 1, max(1, len(entries) // 50)):
            os.lseek(fd, entries[index][3], os.SEEK_SET)
            following = next(iter(dents(fd, 512, 1)), None)
            if following is None or following[0] != entries[index + 1][0]:
                wrong += 1
        os.lseek(fd, 0, os.SEEK_SET)
        again = [entry[0] for entry in dents(fd, 1 << 16)]
    finally:
        os.close(fd)
    return f"wrong={wrong} rewind={'same' if again == [entry[0] for entry in entries] else 'different'}"


@op
def lower_memory(limit):
    """Keeps this process from using more than so many bytes, for tests that could run away."""
    resource.setrlimit(resource.RLIMIT_AS, (number(limit), number(limit)))
