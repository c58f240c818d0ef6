"""Makes a failing sequence small: steps that are not needed go, first many at once, then one by one; then layers' objects."""

import time


def smaller(items, fails, until):
    """A part of the list that still fails; `fails` takes a list."""
    size = max(1, len(items) // 2)
    while True:
        at, dropped = 0, False
        while at < len(items):
            if time.monotonic() > until:
                return items
            fewer = items[:at] + items[at + size:]
            if fails(fewer):
                items, dropped = fewer, True
            else:
                at += size
        if size == 1 and not dropped:
            return items
        size = max(1, size // 2) if not dropped or size > 1 else 1


def shrink(case, fails, until):
    """The smallest case found that still fails. `fails` takes a case."""
    for last in (10, 30, 100, 300, 1000):
        if last < len(case.steps) and time.monotonic() < until and fails(case._replace(steps=case.steps[-last:])):
            case = case._replace(steps=case.steps[-last:])
            break
    case = case._replace(steps=smaller(case.steps, lambda steps: fails(case._replace(steps=steps)), until))
    for index in range(len(case.lowers)):
        def with_lower(nodes, index=index):
            return case._replace(lowers=[*case.lowers[:index], nodes, *case.lowers[index + 1:]])
        case = with_lower(nodes_without(case.lowers[index], lambda nodes: fails(with_lower(nodes)), until))
    case = case._replace(upper=nodes_without(case.upper, lambda nodes: fails(case._replace(upper=nodes)), until))
    kept = smaller(case.lowers, lambda lowers: bool(lowers) and fails(case._replace(lowers=lowers)), until)
    case = case._replace(lowers=kept)
    return case._replace(steps=smaller(case.steps, lambda steps: fails(case._replace(steps=steps)), until))


def nodes_without(nodes, fails, until):
    """Parents of what is left are implied by its path, so any part of a layer is a layer (but for links without a target)."""
    def whole(part):
        paths = {node["path"] for node in part}
        return all(node["type"] != "hard" or node["target"] in paths for node in part) and fails(part)

    return smaller(nodes, whole, until)
