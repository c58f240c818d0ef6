"""Files of random layers whose data are elsewhere: their nodes have `metacopy`, which says where: `{}` under the same name in a layer below,
`redirect` at another place of those, and with `store` in one of the layers that hold nothing but data. Such a node has the data too, for those who want the file in one piece."""

CONTENT = ("data", "fill", "seed", "parts", "size")
STORES = 2


def part(random, stack, kernel):
    """Takes the data of some files of a stack of layers (the top one first, which is the upper) apart from the files. `kernel`: as kernel
    overlayfs reads it, which finds no data of the upper's own files in layers that only hold data, and takes such a file for the same as the one
    with the data, if that can be seen too."""
    for index in reversed(range(len(stack))):
        linked = {node["target"] for node in stack[index] if node["type"] == "hard"}
        for node in [*stack[index]]:
            if node["type"] != "file" or random.random() < 0.75:
                continue
            where = random.choice(("store", "store", "elsewhere", "below"))
            if where == "store" and kernel and index == 0:
                continue
            if where == "store":
                node["metacopy"] = {"redirect": f"/{random.choice(('', 'dir/'))}{index}-{len(node['path'])}-{random.randrange(1 << 30)}", "store": random.randrange(STORES)}
            elif where == "elsewhere" and index < len(stack) - 1 and not (kernel and index == 0):
                name = f"m{random.randrange(6)}"
                give(node, stack[-1], name)
                node["metacopy"] = {"redirect": f"/{name}"}
            elif where == "below" and "/" not in node["path"] and node["path"] not in linked:
                below = next((other for layer in stack[index + 1:] for other in layer if other["path"] == node["path"]), None)
                if below is not None and below["type"] == "file":
                    copy(below, node)
                    node["metacopy"] = {}


def give(node, lowest, name):
    """Makes a file of this name in the root of the lowest layer the one with the data."""
    there = next((other for other in lowest if other["path"] == name), None)
    if there is None:
        there = {"path": name, "type": "file", "mode": 0o644}
        copy(node, there)
        lowest.append(there)
    copy(there, node)


def copy(node, other):
    for key in CONTENT:
        other.pop(key, None)
        if key in node:
            other[key] = node[key]


def whole(nodes):
    """The nodes with their data."""
    return [{key: value for key, value in node.items() if key != "metacopy"} for node in nodes]


def apart(nodes, stores):
    """The nodes with marks instead of data, where they are to have those; `stores` gets what belongs into the layers that hold data."""
    result = []
    for node in nodes:
        where = node.get("metacopy")
        if where is not None:
            content = {key: node[key] for key in CONTENT if key in node}
            size = content.get("size", content.get("fill", len(content.get("data", ""))))
            marks = {"trusted.overlay.metacopy": "", **({"trusted.overlay.redirect": where["redirect"]} if "redirect" in where else {})}
            if "store" in where:
                stores[where["store"]].append({"path": where["redirect"][1:], "type": "file", **content})
            node = {key: value for key, value in node.items() if key not in (*CONTENT, "metacopy")}
            node.update(size=size, xattrs={**node.get("xattrs", {}), **marks})
        result.append(node)
    return result
