#!/usr/bin/env python3
"""Random operations, the same ones for the same seed whatever the file system: random_ops.py SEED COUNT OWNER DIRECTORY

All names it touches start with OWNER, in directories that other owners use too, so that several can run at once and each still sees
only its own doings. Each result goes into a digest; the answer is the digest and, by name of operation, how many succeeded.
"""

import ctypes
import hashlib
import mmap
import os
import random
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)


class Actor:
    """One process: what it does next depends on the seed and on what its own names are now, and on nothing else."""

    def __init__(self, seed, owner, root):
        self.random, self.owner, self.root = random.Random(seed), owner, root
        self.digest, self.done, self.serial = hashlib.sha256(), {}, 0
        self.trace = open(os.environ["RANDOM_TRACE"] + owner, "w") if "RANDOM_TRACE" in os.environ else None

    def own(self, kinds):
        """Own objects of the given kinds, as paths, in an order that does not depend on the file system."""
        found, queue = [], self.shared()
        while queue:
            directory = queue.pop()
            for name in sorted(os.listdir(directory)):
                if not name.startswith(self.owner):
                    continue  # another's, which may go at any moment
                path = directory + "/" + name
                mode = os.lstat(path).st_mode
                if stat.S_ISDIR(mode):
                    queue.append(path)
                kind = {stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l"}[stat.S_IFMT(mode)]
                if kind in kinds:
                    found.append(path)
        return found

    def shared(self):
        return [self.root] + [self.root + "/" + name for name in ("s1", "s2", "s2/s3")]

    def pick(self, kinds):
        found = self.own(kinds)
        return self.random.choice(found) if found else None

    def fresh(self):
        """A new name, or sometimes one that exists."""
        if self.random.random() < 0.15:
            existing = self.pick("fdl")
            if existing:
                return existing
        self.serial += 1
        directory = self.random.choice(self.shared() + self.own("d"))
        return f"{directory}/{self.owner}n{self.serial}"

    def bytes(self, most):
        return bytes([self.random.randrange(32, 127)]) * self.random.randrange(1, most)

    def step(self):
        names = [name for name in dir(self) if name.startswith("do_")]
        name = self.random.choice(names)
        try:
            result = getattr(self, name)()
            self.done[name] = self.done.get(name, 0) + 1
        except OSError as error:
            # A directory over one that is not empty: POSIX leaves the choice, and XFS chooses otherwise than ext4.
            chosen = 39 if error.errno == 17 and name == "do_rename_directory" else error.errno
            result = f"errno {chosen}"
        line = f"{name} {result}"
        self.digest.update(line.encode())
        if self.trace:
            self.trace.write(line.replace(self.root, "") + "\n")

    def do_create(self):
        path = self.fresh()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            os.write(fd, self.bytes(20_000))
        finally:
            os.close(fd)
        return path

    def do_rewrite(self):
        path = self.pick("f")
        fd = os.open(path or "none", os.O_WRONLY | os.O_TRUNC)
        os.write(fd, self.bytes(5_000))
        os.close(fd)
        return path

    def do_pwrite(self):
        path, offset, data = self.pick("f"), self.random.randrange(100_000), self.bytes(9_000)
        fd = os.open(path or "none", os.O_RDWR)
        os.pwrite(fd, data, offset)
        os.close(fd)
        return path

    def do_append(self):
        path, data = self.pick("f"), self.bytes(3_000)
        fd = os.open(path or "none", os.O_WRONLY | os.O_APPEND)
        os.write(fd, data)
        os.close(fd)
        return path

    def do_map(self):
        path, value = self.pick("f"), self.bytes(2)
        fd = os.open(path or "none", os.O_RDWR)
        try:
            size = os.fstat(fd).st_size
            if size == 0:
                return "empty"
            with mmap.mmap(fd, size) as mapping:
                mapping[size // 2] = value[0]
        finally:
            os.close(fd)
        return path

    def do_read(self):
        path = self.pick("f")
        with open(path or "none", "rb") as stream:
            return path + hashlib.sha256(stream.read()).hexdigest()

    def do_truncate(self):
        path, size = self.pick("f"), self.random.randrange(60_000)
        os.truncate(path or "none", size)
        return path

    def do_punch(self):
        path, start = self.pick("f"), self.random.randrange(20_000)
        fd = os.open(path or "none", os.O_RDWR)
        try:
            if libc.fallocate(fd, 3, ctypes.c_long(start), ctypes.c_long(5_000)) != 0:
                return f"errno {ctypes.get_errno()}"
        finally:
            os.close(fd)
        return path

    def do_unlink(self):
        path = self.pick("fl")
        os.unlink(path or "none")
        return path

    def do_mkdir(self):
        path = self.fresh()
        os.mkdir(path, 0o750)
        return path

    def do_rmdir(self):
        path = self.pick("d")
        os.rmdir(path or "none")
        return path

    def do_remove_tree(self):
        if self.random.random() < 0.6:
            return "not now"
        path = self.pick("d")
        if path:
            for directory, directories, files in os.walk(path, topdown=False):
                for name in files:
                    os.unlink(directory + "/" + name)
                for name in directories:
                    inner = directory + "/" + name
                    os.unlink(inner) if os.path.islink(inner) else os.rmdir(inner)
            os.rmdir(path)
        return path

    def do_rename_file(self):
        path, target = self.pick("fl"), self.fresh()
        os.rename(path or "none", target)
        return path, target

    def do_rename_directory(self):
        path, target = self.pick("d"), self.fresh()
        os.rename(path or "none", target)
        return path, target

    def do_exchange(self):
        first, second = self.pick("fdl"), self.pick("fdl")
        if first and second and libc.renameat2(-100, first.encode(), -100, second.encode(), 2) != 0:
            return f"errno {ctypes.get_errno()}"
        return first, second

    def do_link(self):
        path, target = self.pick("f"), self.fresh()
        os.link(path, target)
        return path, target, os.lstat(target).st_nlink

    def do_symlink(self):
        path = self.fresh()
        os.symlink(f"to-{self.serial}", path)
        return path

    def do_chmod(self):
        path, mode = self.pick("fd"), self.random.choice([0o600, 0o644, 0o755, 0o700])
        os.chmod(path or "none", mode)
        return path

    def do_chown(self):
        path, owner = self.pick("fdl"), self.random.randrange(5)
        os.lchown(path or "none", owner, owner)
        return path

    def do_times(self):
        path, when = self.pick("fd"), self.random.randrange(10**18)
        os.utime(path or "none", ns=(when, when))
        return path

    def do_attribute(self):
        path, name = self.pick("fd"), f"user.a{self.random.randrange(3)}"
        if self.random.random() < 0.7:
            os.setxattr(path or "none", name, self.bytes(50))
        else:
            os.removexattr(path or "none", name)
        return path

    def do_stat(self):
        path = self.pick("fdl")
        status = os.lstat(path or "none")
        size = 0 if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_nlink)
        return path, status.st_mode, status.st_uid, size

    def do_list(self):
        path = self.pick("d") or self.root
        return path, sorted(name for name in os.listdir(path) if name.startswith(self.owner))


def main():
    seed, count, owner, root = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    os.umask(0o022)
    os.chdir(root)  # so that the digest says nothing about where the tree is
    actor = Actor(seed, owner, ".")
    for _ in range(count):
        actor.step()
    print(actor.digest.hexdigest()[:16], *(f"{name[3:]}={count}" for name, count in sorted(actor.done.items())))


main()
