"""Random layers. A layer is a list of nodes as tools/trees.py builds them, and of two kinds of its own: `whiteout`, and directories with `opaque`,
each with the format in which it is written."""

ACL = "\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x05\0\xe8\x03\0\0\x04\0\x05\0\xff\xff\xff\xff\x10\0\x07\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff"
"""user::rwx user:1000:r-x group::r-x mask::rwx other::r--"""

WHITEOUTS = ("char", "file", "xattr")
OPAQUES = ("trusted", "user", "fuse", "file")
DIRECTORIES, FILES, MOVED = ("d0", "d1", "d2", "e"), ("f0", "f1", "f2", "g", "s"), ("r0", "r1")


class Layers:
    """What a seed makes of layers. `foreign`: also marks that kernel overlayfs does not read."""

    def __init__(self, random, foreign, hard):
        self.random, self.foreign, self.hard, self.serial = random, foreign, hard, 0

    def stack(self):
        """Lower layers, top first, and an upper with something of an earlier life or nothing."""
        count = self.random.choice((1, 1, 2, 2, 3, 5))
        lowers = [self.layer(lowest=index == count - 1) for index in range(count)]
        return lowers, self.layer(lowest=False) if self.random.random() < 0.5 else []

    def layer(self, lowest):
        nodes, files = [], []
        # Where redirects may lead: directories at the root of the layers below, each by one redirect, so that nothing shows twice.
        self.targets = [] if lowest else [name for name in MOVED if self.random.random() < 0.4]
        moved = list(self.targets)
        self.fill("", 0, nodes, files, lowest)
        for name in MOVED:
            if name in moved and name not in self.targets:
                nodes.append({"path": name, "type": "whiteout", "format": "char"})
            elif name not in moved and self.random.random() < 0.6:
                nodes.append({"path": name, "type": "dir", "mode": 0o755})
                self.fill(name + "/", 2, nodes, files, lowest=True)
        if self.hard:
            for _ in range(self.random.randrange(4) if files else 0):
                directory = self.random.choice([node["path"] + "/" for node in nodes if node["type"] == "dir"] or [""])
                self.serial += 1
                nodes.append({"path": f"{directory}h{self.serial}", "type": "hard", "target": self.random.choice(files)})
        return nodes

    def fill(self, prefix, depth, nodes, files, lowest):
        random = self.random
        for name in FILES:
            roll = random.random()
            if roll < 0.1 and not lowest:
                nodes.append(self.whiteout(prefix, name, nodes))
            elif roll < 0.6:
                node = self.leaf(prefix + name)
                nodes.append(node)
                files += [node["path"]] if node["type"] == "file" else []
        for name in DIRECTORIES:
            roll = random.random()
            if roll < 0.12 and not lowest:
                nodes.append(self.whiteout(prefix, name, nodes))
            elif roll < 0.18:
                nodes.append(self.leaf(prefix + name))
            elif roll < (0.85 if depth == 0 else 0.45 if depth < 3 else 0):
                nodes.append(self.directory(prefix + name, lowest))
                self.fill(prefix + name + "/", depth + 1, nodes, files, lowest)

    def whiteout(self, prefix, name, nodes):
        kind = self.random.choice(WHITEOUTS) if self.foreign and self.random.random() < 0.5 else "char"
        parent = next((node for node in nodes if node["path"] + "/" == prefix), None)
        if kind == "xattr" and (parent is None or "opaque" in parent or "trusted.overlay.redirect" in parent.get("xattrs", {})):
            kind = "char"
        if kind == "xattr":
            parent["xwhiteouts"] = True
        return {"path": prefix + name, "type": "whiteout", "format": kind}

    def owner(self):
        return {"uid": self.random.choice((0, 0, 1000, 7)), "gid": self.random.choice((0, 0, 1000, 1001))}

    def directory(self, path, lowest):
        random = self.random
        node = {"path": path, "type": "dir", "mode": random.choice((0o755, 0o755, 0o777, 0o1777, 0o2775, 0o700)), **self.owner()}
        roll = random.random()
        if roll < 0.1 and not lowest:
            node["opaque"] = random.choice(OPAQUES) if self.foreign else "trusted"
        elif roll < 0.25 and not lowest:
            if self.targets:
                target = self.targets.pop()
                node["xattrs"] = {"trusted.overlay.redirect": target if "/" not in path and random.random() < 0.5 else f"/{target}"}
        elif roll < 0.4:
            node["xattrs"] = {"user.layer": "dir", **({"system.posix_acl_default": ACL} if random.random() < 0.5 else {})}
        return node

    def leaf(self, path):
        random = self.random
        self.serial += 1
        base = {"path": path, **self.owner()}
        roll = random.random()
        if roll < 0.12:
            return {**base, "type": "link", "target": random.choice(("f0", "d0/f1", "d1", "g", "nowhere", path.split("/")[-1]))}
        if roll < 0.17:
            return {**base, "type": random.choice(("fifo", "socket"))}
        if roll < 0.19:
            return {**base, "type": "char", "major": 1, "minor": 3, "mode": 0o666}
        node = {**base, "type": "file", "mode": random.choice((0o644, 0o644, 0o666, 0o600, 0o755, 0o6755))}
        if random.random() < 0.25:
            node["xattrs"] = {"user.layer": f"v{self.serial}", **({"trusted.t": "t"} if random.random() < 0.5 else {})}
        if random.random() < 0.1:
            node["xattrs"] = {**node.get("xattrs", {}), "system.posix_acl_access": ACL}
        roll = random.random()
        if roll < 0.15:
            node["data"] = ""
        elif roll < 0.6:
            node["data"] = f"file {self.serial} of a layer\n" * random.randrange(1, 40)
        elif roll < 0.8:
            node.update(fill=random.randrange(3_000, 70_000), seed=self.serial)
        elif roll < 0.9:
            node.update(parts=[[random.randrange(1, 40) * 4096, f"part {self.serial}"]], size=random.randrange(200_000, 400_000))
        elif roll < 0.96:
            node.update(fill=random.randrange(1 << 20, (1 << 20) + 9_000), seed=self.serial)
        else:
            node.update(parts=[[random.randrange(1, 1 << 18) * 4096, "far"]], size=1 << 31)
        return node


def for_libfuse_2(nodes):
    """The same, without set-id bits and default ACLs, which a driver that does not know who calls cannot honour, and without holes
    of gigabytes, which cannot be told from data."""
    for node in nodes:
        if node.get("size", 0) == 1 << 31:
            node.update(parts=[[4096, "far"]], size=1 << 20)
        if "mode" in node:
            node["mode"] &= 0o1777
        node.get("xattrs", {}).pop("system.posix_acl_default", None)
    return nodes


def written(nodes, kernel):
    """The nodes as tools/trees.py takes them; `kernel`: all marks as kernel overlayfs writes them."""
    result, added = [], []
    for node in nodes:
        node = dict(node)
        directory, _, name = ("/" + node["path"]).rpartition("/")
        directory = directory[1:] + "/" if directory else ""
        if node["type"] == "whiteout":
            kind = "char" if kernel else node.pop("format")
            node = {"path": node["path"]}
            if kind == "char":
                node.update(type="char", mode=0)
            elif kind == "file":
                node.update(type="file", path=f"{directory}.wh.{name}")
            else:
                node.update(type="file", xattrs={"trusted.overlay.whiteout": ""})
        xwhiteouts, opaque = node.pop("xwhiteouts", False), node.pop("opaque", None)
        marks = {}
        if xwhiteouts and not kernel:
            marks = {"trusted.overlay.opaque": "x"}
        if opaque == "file" and not kernel:
            added.append({"path": node["path"] + "/.wh..wh..opq", "type": "file"})
        elif opaque is not None:
            key = {"user": "user.overlay.opaque", "fuse": "user.fuseoverlayfs.opaque"}
            marks = {"trusted.overlay.opaque" if kernel else key.get(opaque, "trusted.overlay.opaque"): "y"}
        if marks:
            node["xattrs"] = {**node.get("xattrs", {}), **marks}
        result.append(node)
    return result + added
