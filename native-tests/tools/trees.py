"""Whole trees: built from a description, recorded as text that can be compared, deleted."""

import hashlib
import json
import os
import stat as st

from base import op, path, raw, text, time_number, time_text, TYPES
from io_ops import extents, pattern

NOATIME = os.O_NOATIME


def make(root, node):
    """One object of a description; times come later, when nothing changes any more."""
    name = root + b"/" + raw(node["path"])
    kind = node["type"]
    os.makedirs(os.path.dirname(name), exist_ok=True)
    if kind == "dir":
        os.makedirs(name, exist_ok=True)
    elif kind == "link":
        os.symlink(raw(node["target"]), name)
    elif kind == "hard":
        os.link(root + b"/" + raw(node["target"]), name)
        return
    elif kind == "many":
        for index in range(node["count"]):
            os.close(os.open(name.replace(b"%", b"%d" % index), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        return
    elif kind == "file":
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(fd, raw(node.get("data", "")))
            for offset, data in node.get("parts", []):
                os.pwrite(fd, raw(data), offset)
            if node.get("fill"):
                os.write(fd, pattern(0, node["fill"], node.get("seed", 1)))
            if "size" in node:
                os.ftruncate(fd, node["size"])
            if node.get("fill", 0) > 1 << 20:
                os.fsync(fd)  # its blocks are allocated now, not while a test looks on
        finally:
            os.close(fd)
    else:
        kinds = {"fifo": st.S_IFIFO, "socket": st.S_IFSOCK, "char": st.S_IFCHR, "block": st.S_IFBLK}
        os.mknod(name, kinds[kind] | 0o600, os.makedev(node.get("major", 0), node.get("minor", 0)))
    os.lchown(name, node.get("uid", 0), node.get("gid", 0))
    if kind != "link":
        os.chmod(name, node.get("mode", 0o755 if kind == "dir" else 0o644))
    for key, value in node.get("xattrs", {}).items():
        os.setxattr(name, raw(key), raw(value), follow_symlinks=False)


@op
def build(root, description):
    """Fills an existing directory. Every object gets its own time, long ago, with nanoseconds."""
    top, nodes = path(root), json.loads(description)
    times = {b"": 1_400_000_000_100_000_007}
    for index, node in enumerate(nodes):
        make(top, node)
        parts = raw(node["path"]).split(b"/")
        if node["type"] == "many":
            parts.pop()
        for depth in range(1, len(parts) + 1):
            # Directories that were only implied get a time too.
            times.setdefault(b"/".join(parts[:depth]), 1_400_000_000_100_000_007 + (index + 1) * 1_000_000_003)
        if "mtime" in node:
            times[raw(node["path"])] = time_number(node["mtime"])
    for name in sorted(times, key=lambda name: -name.count(b"/") - bool(name)):
        os.utime(top + b"/" + name, ns=(times[name] + 5, times[name]), follow_symlinks=False)


def fingerprint(directory, name, status, wanted):
    """What is to be said about one object besides its inode: content, target, device, attributes."""
    kind, words = TYPES[st.S_IFMT(status.st_mode)], []
    if kind == "file" and status.st_size > 0:
        try:
            fd = os.open(name, os.O_RDONLY | NOATIME, dir_fd=directory)
        except OSError as error:
            return [f"unreadable({os.strerror(error.errno)})"]
        try:
            digest = hashlib.sha256()
            if status.st_size <= 64 << 20:
                while chunk := os.read(fd, 1 << 20):
                    digest.update(chunk)
            else:
                for start, end in extents(fd):
                    # How a union cuts its holes is not part of the content: only what is not zero counts.
                    for at in range(start - start % 4096, end, 4096):
                        block = os.pread(fd, 4096, at)
                        if block.strip(b"\0"):
                            digest.update(b"%d:" % at + block)
            words.append("sha=" + digest.hexdigest()[:16])
            if "holes" in wanted:
                words.append("data=" + ",".join(f"{start}-{end}" for start, end in extents(fd)))
        finally:
            os.close(fd)
    elif kind == "link":
        words.append("-> " + text(os.readlink(name, dir_fd=directory)))
    elif kind in ("char", "block"):
        words.append(f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
    where = b"/proc/self/fd/%d/%s" % (directory, name)
    for key in sorted(os.listxattr(where, follow_symlinks=False)):
        if "marks" not in wanted and key.startswith(("trusted.overlay.", "security.selinux")):
            words.append(key + "=?")
            continue
        words.append(key + "=" + os.getxattr(where, key, follow_symlinks=False).hex())
    return words


class Snapshot:
    """Walks with descriptors, never changing an access time, whatever the depth."""

    def __init__(self, wanted, now):
        self.wanted, self.now, self.links, self.lines = wanted, now, {}, {}

    def when(self, nanoseconds):
        return "now" if self.now and nanoseconds >= self.now else time_text(nanoseconds)

    def add(self, shown, directory, name):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        kind = TYPES[st.S_IFMT(status.st_mode)]
        words = [kind, f"{st.S_IMODE(status.st_mode):04o}", f"{status.st_uid}:{status.st_gid}"]
        if kind != "dir":
            words += [f"n{status.st_nlink}", f"s{status.st_size}"]
            if status.st_nlink > 1:
                first = self.links.setdefault((status.st_dev, status.st_ino), shown)
                if first != shown:
                    words.append("=" + first)
        if "notimes" not in self.wanted and (kind != "dir" or "dirtimes" in self.wanted):
            words.append("m" + self.when(status.st_mtime_ns))
        if "ctime" in self.wanted and shown != ".":
            words.append("c" + self.when(status.st_ctime_ns))
        if "exact" in self.wanted:
            words += [f"i{status.st_ino}", f"b{status.st_blocks}", f"N{status.st_nlink}", f"s{status.st_size}"]
            words.append("c" + time_text(status.st_ctime_ns))
            if kind != "link":  # reading a link's target changes it, and nothing can ask for that not to happen
                words.append("a" + time_text(status.st_atime_ns))
        try:
            words += fingerprint(directory, name, status, self.wanted)
        except OSError as error:
            words.append(f"error({os.strerror(error.errno)})")
        self.lines[shown] = " ".join(words)
        if kind == "dir":
            self.enter(shown, directory, name)

    def enter(self, shown, directory, name):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | NOATIME | os.O_NOFOLLOW, dir_fd=directory)
        except OSError as error:
            self.lines[shown] += f" unlistable({os.strerror(error.errno)})"
            return
        try:
            for entry in sorted(os.fsencode(entry) for entry in os.listdir(fd)):
                self.add(("" if shown == "." else shown + "/") + text(entry), fd, entry)
        finally:
            os.close(fd)


@op
def snapshot(root, wanted, now="0"):
    """JSON of path -> line. `wanted`: comma-separated words of exact, marks, holes, dirtimes, notimes, ctime."""
    taken = Snapshot(set(wanted.split(",")), int(now))
    fd = os.open(path(root), os.O_RDONLY | os.O_DIRECTORY | NOATIME)
    try:
        taken.add(".", fd, b".")
    finally:
        os.close(fd)
    return json.dumps(taken.lines)


@op
def remove_tree(root):
    """Deletes everything, at any depth, immutable files included."""
    os.system(b"chattr -R -f -i -a '%s' 2>/dev/null; rm -rf --one-file-system '%s'" % (path(root), path(root)))


@op
def litter(work):
    """What a work directory holds that no longer means anything: all but its two fixed directories and the index."""
    left = []
    for directory, names, files in os.walk(path(work)):
        inside = os.path.relpath(directory, path(work))
        if inside.split(b"/")[0] == b"index" or inside.startswith(b"work/incompat"):
            continue
        for name in names + files:
            shown = name if inside == b"." else inside + b"/" + name
            if shown not in (b"work", b"index", b"work/incompat"):
                left.append(shown)
    return b" ".join(sorted(left))


@op
def copy_tree(source, target):
    """A copy with owners, modes, times, links between names, holes and all attributes."""
    if os.system(b"cp -a --sparse=auto '%s/.' '%s'" % (path(source), path(target))) != 0:
        raise OSError(5, "cp")
    # A target that is the root of a file system keeps its sticky bit otherwise.
    status = os.stat(path(source))
    os.chmod(path(target), st.S_IMODE(status.st_mode))
    os.utime(path(target), ns=(status.st_atime_ns, status.st_mtime_ns))


@op
def remount_read_only(target):
    """Makes a directory a read-only mount of itself."""
    if os.system(b"mount --bind '%s' '%s' && mount -o remount,bind,ro '%s'" % ((path(target),) * 3)) != 0:
        raise OSError(5, "mount")
