"""Operations of a process: identity, programs, locks, leases, events."""

import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess

from base import Volatile, check, flags, libc, number, op, path, raw, text


@op
def become(uid, gid, *groups):
    """Gives up root for good: supplementary groups, gid, uid."""
    os.setgroups([int(group) for group in groups])
    os.setresgid(int(gid), int(gid), int(gid))
    os.setresuid(int(uid), int(uid), int(uid))


@op
def umask(value):
    return f"{os.umask(number(value)):04o}"


@op
def exec_(name, *args):
    """Runs a program; `status stdout`."""
    result = subprocess.run([path(name), *[raw(a) for a in args]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            stdin=subprocess.DEVNULL, timeout=60, check=False)
    return f"{result.returncode} {text(result.stdout).strip()}"


@op
def fexec(fd, *args):
    """execveat of a descriptor."""
    child = os.fork()
    if child == 0:
        try:
            os.execve(int(fd), [b"x", *[raw(a) for a in args]], {})
        except OSError as error:
            os._exit(100 + error.errno % 100)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


CHILDREN = {}


@op
def spawn(name, *args):
    """Starts a program and leaves it running."""
    child = subprocess.Popen([path(name), *[raw(a) for a in args]], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    CHILDREN[child.pid] = child
    return Volatile(child.pid)


@op
def stop(pid):
    child = CHILDREN.pop(int(pid))
    child.kill()
    child.stdin.close()
    child.wait()


@op
def sh(script, directory="."):
    """A shell command in a directory of the tree; `status output`."""
    result = subprocess.run([b"/bin/sh", b"-c", raw(script)], cwd=path(directory), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
    return f"{result.returncode} {text(result.stdout).strip()}"


@op
def flock(fd, how):
    """`sh`, `ex` or `un`, never waiting."""
    kinds = {"sh": fcntl.LOCK_SH, "ex": fcntl.LOCK_EX, "un": fcntl.LOCK_UN}
    fcntl.flock(int(fd), kinds[how] | fcntl.LOCK_NB)


KINDS = {"read": fcntl.F_RDLCK, "write": fcntl.F_WRLCK, "un": fcntl.F_UNLCK}


def flock_struct(kind, start, length):
    return struct.pack("hhqqixxxx", KINDS[kind], 0, number(start), number(length), 0)


@op
def lock(fd, kind, start="0", length="0"):
    """F_SETLK."""
    fcntl.fcntl(int(fd), fcntl.F_SETLK, flock_struct(kind, start, length))


@op
def ofdlock(fd, kind, start="0", length="0"):
    """F_OFD_SETLK."""
    fcntl.fcntl(int(fd), 37, flock_struct(kind, start, length))


@op
def getlock(fd, kind, start="0", length="0"):
    """F_GETLK: the kind of the lock in the way."""
    answer = struct.unpack("hhqqixxxx", fcntl.fcntl(int(fd), fcntl.F_GETLK, flock_struct(kind, start, length)))
    return {value: name for name, value in KINDS.items()}[answer[0]]


@op
def lease(fd, kind):
    fcntl.fcntl(int(fd), 1024, KINDS[kind])


@op
def getlease(fd):
    return {value: name for name, value in KINDS.items()}[fcntl.fcntl(int(fd), 1025)]


SIGNALS = []


@op
def catch(name):
    """Notes a signal from now on instead of dying of it."""
    signal.signal(getattr(signal, name), lambda number_, _: SIGNALS.append(signal.Signals(number_).name))


@op
def caught():
    names = " ".join(SIGNALS)
    SIGNALS.clear()
    return names


MASKS = {
    "access": 1, "modify": 2, "attrib": 4, "close_write": 8, "close_nowrite": 16, "open": 32, "moved_from": 64,
    "moved_to": 128, "create": 256, "delete": 512, "delete_self": 1024, "move_self": 2048, "ignored": 0x8000,
}


@op
def watch(*names_and_masks):
    """inotify: `path mask|mask` pairs on a new instance; answers its descriptor."""
    fd = check(libc.inotify_init1(os.O_NONBLOCK))
    for name, masks in zip(names_and_masks[::2], names_and_masks[1::2]):
        bits = sum(MASKS[mask] for mask in masks.split("|"))
        check(libc.inotify_add_watch(fd, path(name), ctypes.c_uint32(bits)))
    return Volatile(fd)


@op
def events(fd):
    """What inotify has seen since the last time: `event name`, in order."""
    seen = []
    while select.select([int(fd)], [], [], 0.05)[0]:
        buffer, at = os.read(int(fd), 1 << 16), 0
        while at < len(buffer):
            _, mask, _, length = struct.unpack_from("iIII", buffer, at)
            name = text(buffer[at + 16:at + 16 + length].rstrip(b"\0"))
            kinds = "|".join(kind for kind, bit in MASKS.items() if mask & bit)
            seen.append(f"{kinds} {name}".strip())
            at += 16 + length
    return ", ".join(seen)


@op
def poll(fd, wanted="3"):
    """poll without waiting: the bits that are ready (1 in, 4 out)."""
    poller = select.poll()
    poller.register(int(fd), int(wanted))
    return " ".join(str(bits) for _, bits in poller.poll(0))


SOCKETS = []


@op
def bind(name):
    """Binds and listens on a unix socket (through the working directory, as such paths are short)."""
    listener = socket.socket(socket.AF_UNIX)
    directory, _, last = path(name).rpartition(b"/")
    before = os.open(".", os.O_PATH)
    os.chdir(directory)
    try:
        listener.bind(last)
        listener.listen()
    finally:
        os.fchdir(before)
        os.close(before)
    SOCKETS.append(listener)


@op
def connect(name):
    """Connects, and says what the listener of this process accepted."""
    client = socket.socket(socket.AF_UNIX)
    directory, _, last = path(name).rpartition(b"/")
    before = os.open(".", os.O_PATH)
    os.chdir(directory)
    try:
        client.connect(last)
    finally:
        os.fchdir(before)
        os.close(before)
    server, _ = SOCKETS[-1].accept()
    server.sendall(b"hello")
    answer = client.recv(5)
    server.close()
    client.close()
    return answer


@op
def setcaps(fd_or_name, value):
    """Writes security.capability as hexadecimal."""
    os.setxattr(path(fd_or_name), b"security.capability", bytes.fromhex(value))


@op
def nofile(limit):
    """Sets the soft and hard limit of descriptors of this process."""
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))


@op
def pipe_through(name, value):
    """Opens a fifo for reading and writing, sends and receives."""
    fd = os.open(path(name), flags("O_RDWR|O_NONBLOCK"))
    try:
        os.write(fd, raw(value))
        return os.read(fd, 4096)
    finally:
        os.close(fd)
