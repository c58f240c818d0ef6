"""Steps as text, in the language of harness/steps.ts, so that what fails here can be pasted into a case there; and case files."""

import json
from typing import NamedTuple

SPECIAL = {"remount", "drop_caches", "kill", "turn", "crash"}
"""Steps that concern the whole machine, not one process. `crash MICROSECONDS OP ARGS…`: the driver is killed so long after an operation began."""


class Step(NamedTuple):
    process: str
    variable: str
    op: str
    args: tuple

    def __str__(self):
        if self.op in SPECIAL:
            return " ".join([self.op, *map(quoted, self.args)])
        process = "" if self.process == "a" else f"@{self.process} "
        variable = f"{self.variable} = " if self.variable else ""
        return " ".join([process + variable + self.op, *map(quoted, self.args)])


def quoted(word):
    if word and all(33 <= ord(c) < 127 and c != '"' for c in word) and not word.startswith("->"):
        return word
    shown = "".join(
        "\\" + c if c in '"\\' else c if 32 <= ord(c) < 127 else f"\\x{ord(c):02x}" for c in word
    )
    return f'"{shown}"'


def words(line):
    found, word, at = [], None, 0
    while at < len(line):
        c = line[at]
        if c == " ":
            if word is not None:
                found.append(word)
            word = None
        elif c != '"':
            word = (word or "") + c
        else:
            word = word or ""
            at += 1
            while line[at] != '"':
                if line[at] == "\\":
                    at += 1
                    if line[at] == "x":
                        word += chr(int(line[at + 1:at + 3], 16))
                        at += 2
                    else:
                        word += {"n": "\n", "t": "\t", "0": "\0"}.get(line[at], line[at])
                else:
                    word += line[at]
                at += 1
        at += 1
    return found if word is None else [*found, word]


def parse(line):
    parts = words(line)
    process = parts.pop(0)[1:] if parts[0].startswith("@") else "a"
    variable = ""
    if len(parts) > 2 and parts[1] == "=":
        variable, parts = parts[0], parts[2:]
    return Step(process, variable, parts[0], tuple(parts[1:]))


class Case(NamedTuple):
    """Layers and what is done with them; `kind` is `cowfs`, or `turns` where kernel overlayfs and cowfs take turns on one upper."""

    kind: str
    options: list
    lowers: list
    upper: list
    steps: list
    comment: str = ""


def write_case(case):
    lines = [f"# {line}".rstrip() for line in case.comment.splitlines()] + [f"kind {case.kind}"]
    lines += [f"options {' '.join(case.options)}"] if case.options else []
    for name, nodes in [*(("lower", nodes) for nodes in case.lowers), ("upper", case.upper)]:
        lines.append(name)
        lines += ["  " + json.dumps(node) for node in nodes]
    return "\n".join([*lines, "steps", *("  " + str(step) for step in case.steps)]) + "\n"


def read_case(text):
    kind, options, lowers, upper, steps, comment, into = "cowfs", [], [], [], [], [], None
    for line in text.splitlines():
        head, _, rest = line.partition(" ")
        if line.startswith("#"):
            comment.append(line[2:])
        elif head == "kind":
            kind = rest
        elif head == "options":
            options = rest.split()
        elif line == "lower":
            into = []
            lowers.append(into)
        elif line in ("upper", "steps"):
            into = {"upper": upper, "steps": steps}[line]
        elif line.startswith("  "):
            into.append(parse(line.strip()) if into is steps else json.loads(line))
    return Case(kind, options, lowers, upper, steps, "\n".join(comment))
