"""Random steps. What comes next depends on the seed and on the names that are there, and on nothing else."""

from layers import ACL, DIRECTORIES, FILES
from steps import Step

PROCESSES = ("a", "b", "c")
USER = ("1000", "1000", "1001")
"""Who the process `c` is; the others are root."""
EMPTY_ACL = "\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x04\0\x04\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff"
LONG = "n" * 250
PLAIN = {"RENAME_NOREPLACE": "0", "02755": "0755", "02770": "0770", "04755": "0755"}
"""What libfuse 2 cannot say or keep -> what is said instead."""


class Generator:
    """Steps for three processes. `short`: no descriptor outlives the operation it was opened for, and nothing that kernel overlayfs does otherwise.
    `through`: what is open for reading alone does not follow a copy-up, and so is not kept open. `by_path`: `short`, and only what libfuse 2 can say."""

    def __init__(self, random, short, through, by_path=False):
        self.random, self.short, self.through, self.by_path, self.paths, self.serial = random, short or by_path, through, by_path, {}, 0
        self.process, self.cwd, self.users = "a", {}, set()
        table = dict(OPERATIONS)
        if self.short:
            for name in ("hold", "held", "map", "mapped", "directory", "chattr", "kill", "crash", "device", "chdir"):
                table.pop(name)
        if by_path:
            for name in ("exchange", "tmpfile", "times", "acl", "copyrange"):
                table.pop(name)
        if by_path or not short:
            table.pop("turn")
        self.names, self.weights = list(table), list(table.values())

    def know(self, paths):
        """Tells what there is: path -> type."""
        self.paths = paths
        self.by_type = {}
        for path, kind in paths.items():
            self.by_type.setdefault(kind, []).append(path)

    def next(self):
        """The steps of one operation."""
        if self.random.random() < 0.2:
            self.process = self.random.choice(PROCESSES[:2] if self.by_path else PROCESSES)
        self.steps = []
        if self.process == "c" and "c" not in self.users:
            self.users.add("c")
            self.say("become", *USER)
        if len(self.paths) > 150 and self.random.random() < 0.1:
            self.say("rmtree", self.pick("dir"))
        name = self.random.choices(self.names, self.weights)[0]
        getattr(self, "do_" + name)()
        return self.steps

    def say(self, op, *args, to=""):
        if self.by_path:
            if op in ("fallocate", "holes", "futimens", "linkproc", "splice_out", "dinos", "dtypes"):
                return
            args = [PLAIN.get(arg, arg) for arg in args]
        self.steps.append(Step(self.process, to, op, tuple(str(arg) for arg in args)))

    def alone(self, op, *args):
        """A step that ends all processes: whoever they were is forgotten."""
        self.steps.append(Step("a", "", op, tuple(str(arg) for arg in args)))
        if op != "drop_caches":
            self.users.clear()
            self.cwd.clear()

    def pick(self, *kinds):
        """The path of something there is; now and then of anything."""
        found = [path for kind in kinds for path in self.by_type.get(kind, [])]
        if not found or self.random.random() < 0.05:
            found = list(self.paths) or ["f0"]
        return self.relative(self.random.choice(found))

    def relative(self, path):
        """Now and then by way of the working directory."""
        where = self.cwd.get(self.process)
        if where is not None and self.random.random() < 0.3:
            return "./" + path[len(where) + 1:] if path.startswith(where + "/") else "./" + path.rpartition("/")[2]
        return path

    def fresh(self):
        """A place for something new, which is sometimes taken."""
        directory = self.random.choice(["", "", *(path + "/" for path in self.by_type.get("dir", []))])
        roll = self.random.random()
        if roll < 0.55:
            name = self.random.choice(FILES + DIRECTORIES)
        elif roll < 0.97 or self.short:
            self.serial += 1
            name = f"n{self.serial % 40}"
        else:
            # No names that a mark in the upper may have: those are taken.
            name = self.random.choice((".wh.n0", ".wh.n1", ".wh.n2", LONG, "\xff\xfe \"q\n"))
        return self.relative(directory + name)

    def any(self):
        return self.pick("file", "file", "dir", "link", "fifo")

    def text(self):
        self.serial += 1
        return f"<{self.serial}>" * self.random.randrange(1, 30)

    def offset(self):
        r = self.random
        return r.choice((0, r.randrange(100), r.randrange(5_000), r.randrange(70_000), r.randrange(1, 20) * 4096))

    # Names

    def do_create(self):
        how = self.random.choice(("O_EXCL", "O_EXCL", "O_TRUNC", "O_APPEND", "0"))
        self.say("open", self.fresh(), f"O_RDWR|O_CREAT|O_NONBLOCK|{how}", self.mode(), to="fd")
        if self.random.random() < 0.8:
            self.say("write", "$fd", self.text())
        self.say("close", "$fd")

    def mode(self):
        return self.random.choice(("0644", "0600", "0755", "0666", "02755", "0"))

    def do_mkdir(self):
        self.say("mkdir", self.fresh(), self.random.choice(("0755", "0777", "0700", "01777")))

    def do_symlink(self):
        self.say("symlink", self.random.choice(("f0", "d0", "d1/f0", "nowhere", "g", "n3")), self.fresh())

    def do_mknod(self):
        self.say("mknod", self.fresh(), self.random.choice(("fifo", "socket", "file")), self.mode())

    def do_device(self):
        self.say("mknod", self.fresh(), "char", "0666", *self.random.choice(((0, 0), (1, 3))))

    def do_unlink(self):
        self.say("unlink", self.pick("file", "link", "fifo", "socket", "char"))

    def do_rmdir(self):
        self.say("rmdir", self.pick("dir"))

    def do_rmtree(self):
        self.say("rmtree", self.pick("dir"))
        if self.random.random() < 0.4:
            self.say("mkdir", self.steps[-1].args[0], "0755")

    def do_rename(self):
        how = self.random.choice(("0", "0", "0", "RENAME_NOREPLACE"))
        self.say("rename", self.any(), self.fresh() if self.random.random() < 0.7 else self.any(), how)

    def do_rename_directory(self):
        target = self.fresh() if self.random.random() < 0.7 else self.pick("dir")
        self.say("rename", self.pick("dir"), target, self.random.choice(("0", "0", "RENAME_NOREPLACE")))

    def do_exchange(self):
        kinds = self.random.choice((("dir",), ("file",), ("dir", "file", "link")))
        self.say("rename", self.pick(*kinds), self.pick(*kinds), "RENAME_EXCHANGE")

    def do_link(self):
        source, target = self.pick("file", "file", "file", "link", "fifo"), self.fresh()
        self.say("link", source, target)
        self.say("stat", target)

    def do_tmpfile(self):
        self.say("open", self.pick("dir"), "O_TMPFILE|O_RDWR", "0640", to="fd")
        self.say("write", "$fd", self.text())
        self.say(self.random.choice(("linkproc", "linkfd")), "$fd", self.fresh())
        self.say("close", "$fd")

    # Attributes

    def do_chmod(self):
        self.say("chmod", self.any(), self.random.choice(("0644", "0600", "0755", "0777", "01777", "02770", "04755", "0")))

    def do_chown(self):
        ids = (0, 1000, 1001, 7, -1)
        uid, gid = self.random.choice(ids), self.random.choice(ids)
        # FUSE does not tell a chown of nothing from a write, so that it cannot be EPERM.
        self.say("chown", self.any(), 7 if (uid, gid) == (-1, -1) and self.process == "c" else uid, gid)

    def do_times(self):
        def when():
            return self.random.choice(("now", "omit", f"{self.random.randrange(1_500_000_000)}.{self.random.randrange(10**9):09d}"))
        self.say("utimens", self.any(), when(), when())

    def do_attribute(self):
        keys = ("user.a", "user.b", "user.layer", "trusted.t", "trusted.overlay.opaque", "security.x", "user.a" if self.short else "user.overlay.x")
        path, key = self.any(), self.random.choice(keys)
        roll = self.random.random()
        if roll < 0.45:
            how = self.random.choice(("0", "0", "XATTR_CREATE", "XATTR_REPLACE"))
            self.say("setx", path, key, self.random.choice(("", "v", self.text())), how)
        elif roll < 0.65:
            self.say("rmx", path, key)
        elif roll < 0.8:
            self.say("getx", path, key)
        else:
            self.say("listx", path)

    def do_acl(self):
        path = self.pick("file", "dir")
        roll = self.random.random()
        if roll < 0.5:
            self.say("setx", path, "system.posix_acl_access", self.random.choice((ACL, EMPTY_ACL)))
        elif roll < 0.7 or self.short:
            self.say("setx", self.pick("dir"), "system.posix_acl_default", ACL)
        elif roll < 0.9:
            self.say("rmx", path, "system.posix_acl_access")
        else:
            self.say("rmx", path, "system.posix_acl_default")

    def do_chattr(self):
        self.say("open", self.pick("file", "dir"), "O_RDONLY|O_NONBLOCK", to="fd")
        self.say("setflags", "$fd", self.random.choice(("0x10", "0x20", "0x40")))
        self.say("getflags", "$fd")
        if self.random.random() < 0.5:
            path = self.any()
            self.say(*self.random.choice((("chmod", path, "0600"), ("unlink", path), ("truncate", path, 3))))
        self.say("setflags", "$fd", "0")
        self.say("close", "$fd")

    def do_stat(self):
        path = self.any()
        self.say(*self.random.choice((("stat", path), ("statfollow", path), ("readlink", path), ("access", path, self.random.randrange(8)))))

    def do_list(self):
        path = self.pick("dir")
        self.say(self.random.choice(("ls", "dinos", "dtypes", "seek_again")), path)

    # Data

    def do_data(self):
        how = self.random.choice(("O_RDWR", "O_RDWR", "O_WRONLY", "O_RDONLY", "O_RDWR|O_TRUNC", "O_RDWR|O_APPEND"))
        self.say("open", self.pick("file"), how + "|O_NONBLOCK", to="fd")
        for _ in range(self.random.randrange(1, 4)):
            self.operate("$fd")
        self.say("close", "$fd")

    def operate(self, fd):
        """One operation on an open file."""
        r = self.random
        at, length = self.offset(), r.choice((1, 100, 4096, 10_000))
        kinds = ("FALLOC_FL_KEEP_SIZE", "0", "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE", "FALLOC_FL_ZERO_RANGE",
                 "FALLOC_FL_ZERO_RANGE|FALLOC_FL_KEEP_SIZE")
        self.say(*r.choices(
            (("pread", fd, length, at), ("read", fd, length), ("pwrite", fd, at, self.text()), ("write", fd, self.text()),
             ("fill", fd, at, length, r.randrange(99)), ("ftruncate", fd, at), ("fallocate", fd, r.choice(kinds), at, length), ("holes", fd),
             ("seek", fd, at, r.choice(("SEEK_SET", "SEEK_CUR", "SEEK_END"))), ("fstat", fd), ("fchmod", fd, self.mode()),
             ("fchown", fd, 1000, 1000), ("futimens", fd, "omit", "12345.678"), ("fsync", fd), ("fdatasync", fd),
             ("fsetx", fd, "user.fd", self.text()), ("fgetx", fd, "user.fd"), ("linkproc", fd, self.fresh()),
             ("splice_out", fd, at, min(length, 4096)), ("sendfile", fd, fd, 0, 0)),
            (6, 3, 6, 4, 4, 4, 5, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0))[0])

    def do_truncate(self):
        self.say("truncate", self.pick("file"), self.offset())

    def do_copyrange(self):
        how = "O_RDWR" if self.through else "O_RDONLY"  # both may be the same file
        self.say("open", self.pick("file"), how + "|O_NONBLOCK", to="fd")
        self.say("open", self.pick("file"), "O_RDWR|O_NONBLOCK", to="fdo")
        self.say("copyrange", "$fd", self.offset(), "$fdo", self.offset(), self.random.choice((10, 5_000, 100_000)))
        self.say("close", "$fd")
        self.say("close", "$fdo")

    def slot(self):
        return f"fd{self.random.randrange(6)}"

    def do_hold(self):
        """Opens something, and keeps it open."""
        how = self.random.choice(("O_RDONLY", "O_RDONLY", "O_RDWR", "O_RDWR", "O_WRONLY|O_APPEND", "O_RDWR|O_TRUNC", "O_PATH", "O_RDWR|O_CREAT"))
        if self.through:
            how = how.replace("O_RDONLY", "O_RDWR")
        path = self.fresh() if "CREAT" in how else self.pick("file")
        self.say("open", path, how + "|O_NONBLOCK", "0644", to=self.slot())

    def do_held(self):
        for _ in range(self.random.randrange(1, 4)):
            self.operate("$" + self.slot())

    def do_map(self):
        kind = self.random.choice((("rw", "shared"), ("r", "shared"), ("rw", "private"), ("r", "private")))
        self.say("mmap", "$" + self.slot(), self.random.choice((4096, 20_000, 70_000)), *kind, to=f"m{self.random.randrange(3)}")

    def do_mapped(self):
        mapping = f"$m{self.random.randrange(3)}"
        at = self.random.choice((self.random.randrange(4000), 4096 * self.random.randrange(5) + self.random.randrange(4000)))
        for _ in range(self.random.randrange(1, 3)):
            self.say(*self.random.choice((("mget", mapping, at, 64), ("mset", mapping, at, self.text()[:90]), ("msync", mapping))))

    def do_directory(self):
        """Something in a directory that was opened before, which may have moved or gone."""
        slot = f"fdd{self.random.randrange(3)}"
        name = self.random.choice(FILES + DIRECTORIES)
        roll = self.random.random()
        if roll < 0.4:
            self.say("open", self.pick("dir"), "O_RDONLY|O_DIRECTORY", to=slot)
        else:
            self.say(*self.random.choice((
                ("lsfd", "$" + slot), ("fstatat", "$" + slot, name), ("unlinkat", "$" + slot, name), ("fchdir", "$" + slot),
                ("renameat", "$" + slot, name, f"$fdd{self.random.randrange(3)}", self.random.choice(FILES + DIRECTORIES)),
                ("fchmod", "$" + slot, "0755"), ("fdpath", "$" + slot))))
            if self.random.random() < 0.3:
                self.say("openat", "$" + slot, name, "O_RDWR|O_CREAT|O_NONBLOCK", to="fd")
                self.say("close", "$fd")

    def do_chdir(self):
        if self.random.random() < 0.6:
            path = self.random.choice(self.by_type.get("dir", ["."]))
            self.say("chdir", path)
            self.cwd[self.process] = path
        else:
            self.say("getcwd")
            self.say("ls", "./")

    # The machine

    def do_drop_caches(self):
        self.alone("drop_caches")

    def do_remount(self):
        self.alone("remount")

    def do_kill(self):
        self.alone("kill")

    def do_crash(self):
        self.cwd.clear()
        anything = self.any()
        step = self.random.choice((
            ("rename", self.pick("dir"), self.fresh()), ("rename", anything, self.fresh()), ("rename", anything, self.any()),
            ("rename", self.pick("dir"), self.pick("dir"), "RENAME_EXCHANGE"), ("rename", anything, self.any(), "RENAME_EXCHANGE"),
            ("unlink", self.pick("file")), ("rmdir", self.pick("dir")), ("mkdir", self.fresh()), ("symlink", "f0", self.fresh()),
            ("link", self.pick("file"), self.fresh()), ("mknod", self.fresh(), "fifo"), ("chmod", anything, "0640"), ("chown", anything, 7, 7),
            ("setx", anything, "user.a", "crash"), ("truncate", self.pick("file"), 3), ("utimens", anything, "omit", "123.456")))
        self.alone("crash", self.random.choice((0, self.random.randrange(300), self.random.randrange(3000))), *step)

    def do_turn(self):
        self.alone("turn")


OPERATIONS = {
    "create": 8, "mkdir": 4, "symlink": 2, "mknod": 1, "device": 0.5, "unlink": 6, "rmdir": 2, "rmtree": 1, "rename": 6, "rename_directory": 5,
    "exchange": 3, "link": 4, "tmpfile": 1, "chmod": 3, "chown": 2, "times": 2, "attribute": 4, "acl": 2, "chattr": 0.5, "stat": 4, "list": 3,
    "data": 12, "truncate": 3, "copyrange": 3, "hold": 4, "held": 8, "map": 2, "mapped": 5, "directory": 5, "chdir": 2,
    "drop_caches": 0.05, "remount": 0.05, "kill": 0.02, "crash": 0.06, "turn": 0.3,
}
"""What can happen -> how often, compared with the others."""
