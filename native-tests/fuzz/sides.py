"""The two sides of a comparison: a plain directory, and the union at the same state; each with processes that operate on it."""

import json
import marshal
import os
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import time

import base
import bulk_ops  # noqa: F401
import io_ops  # noqa: F401
import metacopies
import name_ops  # noqa: F401
import process_ops  # noqa: F401
import state_ops  # noqa: F401
import trees
from layers import written

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("COWFS_TEST_PROGRAM", PROJECT + "/build/cowfs")
NO_ANSWER = 120
"""Seconds without an answer that mean that the driver hangs, on a machine however busy."""


class Failure(Exception):
    """The union behaves otherwise than the plain directory. `kind` is what a smaller sequence must show too."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


def run(*words):
    done = subprocess.run(words, capture_output=True, timeout=300, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{words}: {done.returncode} {done.stdout + done.stderr!r}")


class Worker:
    """A process that does steps below a root, with descriptors, mappings and a working directory of its own."""

    def __init__(self, root):
        self.socket, other = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.dup2(other.fileno(), 3)
                os.closerange(4, 512)
                os.umask(0o022)
                os.chdir(root)  # a step with a relative path must never meet the machine itself
                base.state["base"] = base.raw(root)
                serve(socket.socket(fileno=3), root)
            finally:
                os._exit(1)
        other.close()

    def send(self, steps):
        data = marshal.dumps(steps)
        self.socket.sendall(struct.pack("I", len(data)) + data)

    def receive(self):
        """The answers to what was sent: (text, whether it is compared)."""
        self.socket.settimeout(NO_ANSWER)
        try:
            return marshal.loads(exactly(self.socket, struct.unpack("I", exactly(self.socket, 4))[0]))
        except (OSError, EOFError) as error:
            raise Failure("no answer", f"a process gets no answer: {error!r}") from error

    def end(self):
        """Ends it as a killed process ends: nothing of its own runs after that."""
        self.socket.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def exactly(stream, size):
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            raise EOFError("the process ended")
        data += part
    return data


def serve(stream, root):
    variables = {}
    while True:
        steps = marshal.loads(exactly(stream, struct.unpack("I", exactly(stream, 4))[0]))
        data = marshal.dumps([answer(variables, root, *step) for step in steps])
        stream.sendall(struct.pack("I", len(data)) + data)


def answer(variables, root, variable, name, arguments):
    if variable.startswith("fd") and variable in variables:
        os.close(int(variables.pop(variable)))
    try:
        words = [variables[word[1:]] if word[:1] == "$" else word for word in arguments]
    except KeyError:
        return "(unset)", True
    try:
        value = base.OPS[name](*words)
    except OSError as error:
        return base.errname(error.errno), True
    if name == "close":
        variables.pop(arguments[0][1:], None)
    if variable:
        variables[variable] = str(value)
    if isinstance(value, base.Volatile):
        return "~", True
    shown = "" if value is None else base.text(value) if isinstance(value, bytes) else str(value)
    return shown.replace(root, "MNT"), True


class Side:
    """A tree, and the processes that work in it."""

    def __init__(self, root):
        self.root, self.workers = root, {}

    def worker(self, name):
        if name not in self.workers:
            self.workers[name] = Worker(self.root)
        return self.workers[name]

    def single(self, step):
        """One step by a process that ends with it: its answer."""
        self.end_workers()
        self.worker("a").send([step])
        try:
            return self.worker("a").receive()[0][0]
        finally:
            self.end_workers()

    def end_workers(self):
        for worker in self.workers.values():
            worker.end()
        self.workers.clear()


def clear(path):
    """An empty directory, whatever was there."""
    if os.path.lexists(path):
        trees.remove_tree(path)
    os.makedirs(path)


class Native(Side):
    """A plain directory that starts as the merged view, as kernel overlayfs shows the layers in its own format."""

    def __init__(self, area):
        super().__init__(area + "/native/mnt")
        self.area = area

    def prepare(self, lowers, upper, exactly):
        """Builds what each run starts with. False if some of a file's links are hidden, so that a copy would not count them;
        with `exactly` also where the kernel lists whiteouts, which it does in directories that have nothing to merge with."""
        model, view, start = self.area + "/model", self.area + "/view", self.area + "/start"
        for path in (model, view, start):
            clear(path)
        stack = []
        for index, nodes in enumerate([upper, *lowers]):
            stack.append(f"{model}/{index}")
            build(stack[-1], written(metacopies.whole(nodes), kernel=True))
        options = f"lowerdir={':'.join(stack)},redirect_dir=follow,metacopy=off,index=off,xino=off"
        run("mount", "-t", "overlay", "-o", options, "overlay", view)
        try:
            links, listed = {}, False
            for directory, _, files in os.walk(view):
                for name in files:
                    try:
                        status = os.lstat(directory + "/" + name)
                    except FileNotFoundError:
                        listed = True
                        continue
                    if status.st_nlink > 1:
                        links.setdefault((status.st_dev, status.st_ino), [status.st_nlink, 0])[1] += 1
            if any(count != seen for count, seen in links.values()) or (listed and exactly):
                return False
            done = subprocess.run(["cp", "-a", view + "/.", start], capture_output=True, check=False)
            if done.returncode != 0 and not listed:
                raise RuntimeError(f"cp: {done.stderr!r}")
        finally:
            run("umount", view)
        return True

    def reset(self):
        clear(self.root)
        run("cp", "-a", self.area + "/start/.", self.root)

    def keep(self):
        """Remembers the tree, for `back`."""
        clear(self.area + "/kept")
        run("cp", "-a", self.root + "/.", self.area + "/kept")

    def back(self):
        self.end_workers()
        trees.remove_tree(self.root)
        os.rename(self.area + "/kept", self.root)

    def mount(self):
        self.end_workers()

    unmount = mount
    next_turn = mount

    def kill(self):
        self.end_workers()


class Union(Side):
    """A union of the same layers in their own formats, mounted by cowfs, or by kernel overlayfs and cowfs in turns."""

    def __init__(self, area, options, turns):
        super().__init__(area + "/union/mnt")
        self.area, self.options, self.turns = area, options, turns
        self.lowers, self.stores, self.upper_nodes, self.kernel, self.mounted, self.exact = [], [], [], turns, False, []
        shift = [re.search(rf"{kind}mapping=(\d+):0:", ",".join(options)) for kind in ("uid", "gid")]
        self.shift = tuple(int(found[1]) if found else 0 for found in shift)

    def prepare(self, lowers, upper):
        stores = [[] for _ in range(metacopies.STORES)]
        self.upper_nodes, *lowers = [written(metacopies.apart(nodes, stores), kernel=self.turns) for nodes in (upper, *lowers)]
        clear(self.area + "/lowers")
        self.lowers = [self.lower(f"{index}", nodes) for index, nodes in enumerate(lowers)]
        self.stores = [self.lower(f"store-{index}", nodes) for index, nodes in enumerate(stores)] if any(stores) else []
        self.exact = [trees.snapshot(lower, "exact,marks,holes,dirtimes") for lower in (*self.lowers, *self.stores)]

    def lower(self, name, nodes):
        path = f"{self.area}/lowers/{name}"
        build(path, nodes, self.shift)
        return path

    def reset(self):
        self.kernel = self.turns
        for name in ("upper", "work", "union/mnt"):
            clear(f"{self.area}/{name}")
        build(self.area + "/upper", self.upper_nodes, self.shift)
        self.mount()

    def check_lowers(self):
        for lower, exact in zip((*self.lowers, *self.stores), self.exact):
            if trees.snapshot(lower, "exact,marks,holes,dirtimes") != exact:
                raise Failure("lower", f"a lower layer was changed: {lower}")

    def mount(self):
        self.unmount()
        lowers, upper, work = "::".join([":".join(self.lowers), *self.stores]), self.area + "/upper", self.area + "/work"
        if self.kernel:
            words = f"lowerdir={lowers},upperdir={upper},workdir={work},redirect_dir=on,index=on,xino=auto"
            metacopy = "off" if "metacopy=off" in ",".join(self.options) else "on"
            run("mount", "-t", "overlay", "-o", f"{words},metacopy={metacopy}", "overlay", self.root)
        else:
            log = ["--log", self.area + "/driver.log"]
            run(PROGRAM, "mount", "--lower", lowers, "--upper", upper, "--work", work, *self.options, *log, self.root)
        self.mounted = True

    def unmount(self):
        self.end_workers()
        if not self.mounted:
            return
        driver = None if self.kernel else self.driver()
        for _ in range(100):
            if subprocess.run(["umount", self.root], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.05)  # a process that was just killed gives up its descriptors a moment later
        else:
            raise Failure("busy", "the mount cannot be unmounted")
        self.mounted = False
        if driver is not None:
            ended(driver)
        litter = trees.litter(self.area + "/work")
        if litter and not self.kernel:
            raise Failure("litter", f"the work directory was left with {litter!r}")

    def next_turn(self):
        self.unmount()
        self.kernel = self.turns and not self.kernel
        self.mount()

    def kill(self):
        """The driver ends as by a crash of its own; then what is left of the mount is taken away, and it is mounted again."""
        if self.kernel:
            self.mount()
            return
        self.flush()
        driver = self.driver()
        os.kill(driver, signal.SIGKILL)
        self.mount_again(driver)

    def flush(self):
        """What was written to mappings is the kernel's until then."""
        self.worker("a").send([("fd", "open", (".", "O_RDONLY")), ("", "syncfs", ("$fd",))])
        self.worker("a").receive()

    def crash(self, microseconds, step):
        """Kills the driver so long after the step began. Returns what the process was told."""
        self.flush()
        self.end_workers()
        worker, driver = self.worker("a"), self.driver()
        worker.send([("", "getcwd", ())])
        worker.receive()  # it runs now
        worker.send([step])
        time.sleep(microseconds / 1e6)
        os.kill(driver, signal.SIGKILL)
        told = worker.receive()[0][0]
        self.mount_again(driver)
        return told

    def mount_again(self, driver):
        ended(driver)
        self.end_workers()
        self.force()
        self.mount()

    def force(self):
        if self.mounted:
            self.mounted = False
            subprocess.run(["umount", "-l", self.root], capture_output=True, check=False)

    def stop(self):
        """Takes everything away, whatever state it is in."""
        if self.mounted and not self.kernel:
            try:
                driver = self.driver()
                os.kill(driver, signal.SIGKILL)
                ended(driver)
            except Failure:
                pass
        self.end_workers()
        self.force()

    def driver(self):
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit():
                    with open(f"/proc/{entry}/cmdline", "rb") as stream:
                        words = stream.read().replace(b"\0", b" ").split(b" ")
                    if b"--driver" in words and self.root.encode() in words:
                        return int(entry)
            except OSError:
                pass
        raise Failure("died", f"the driver has ended:\n{self.log()}")

    def log(self):
        try:
            with open(self.area + "/driver.log", encoding="latin1") as stream:
                return "".join(stream.readlines()[-8:])
        except OSError:
            return ""

    def complaint(self):
        """What the driver should never say."""
        try:
            with open(self.area + "/driver.log", encoding="latin1") as stream:
                return "".join(line for line in stream if '"level":50' in line)[:3000]
        except OSError:
            return ""


def build(path, nodes, shift=(0, 0)):
    """A layer. `shift`: what is added to users and groups, those in ACLs included."""
    os.makedirs(path, exist_ok=True)
    trees.build(path, json.dumps(nodes))
    os.chmod(path, 0o755)
    if shift != (0, 0):
        move_owners(path, shift)


def move_owners(root, shift):
    paths = [os.path.join(directory, name) for directory, directories, files in os.walk(os.fsencode(root)) for name in (*directories, *files)]
    moved = set()
    for path in (os.fsencode(root), *paths):
        status = os.lstat(path)
        if status.st_ino in moved:
            continue
        moved.add(status.st_ino)
        os.lchown(path, status.st_uid + shift[0], status.st_gid + shift[1])
        if stat.S_ISLNK(status.st_mode):
            continue
        os.chmod(path, stat.S_IMODE(status.st_mode))
        for key in os.listxattr(path):
            if key.startswith("system.posix_acl"):
                os.setxattr(path, key, shifted_acl(os.getxattr(path, key), shift))


def shifted_acl(value, shift):
    """Entries of 8 bytes after a header of 4: tag, permissions, id."""
    entries = [list(entry) for entry in struct.iter_unpack("<HHI", value[4:])]
    for entry in entries:
        if entry[0] in (2, 8):
            entry[2] += shift[entry[0] == 8]
    return value[:4] + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def ended(pid):
    """Waits for a process that is no child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([descriptor], [], [], NO_ANSWER)[0]:
            raise Failure("driver", "the driver goes on after umount")
    finally:
        os.close(descriptor)
