#!/usr/bin/env python3
"""A process that does exact system calls on request, and holds descriptors, mappings and locks from one step to the next.

    ops.py SOCKET

Each connection to the unix socket is a process of its own. Its first line is {"base": path of the tree under test}, answered with
{"r": pid}; then one request a line. Request {"op": name, "args": [text…]}; answer {"r": text} or {"e": errno name}; "v": true marks a result that is not the same
in another run. Texts stand for bytes, one character a byte (latin1). The base is left out of answers.
"""

import json
import os
import select
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import base  # noqa: E402
import bulk_ops  # noqa: E402,F401
import io_ops  # noqa: E402,F401
import meta_ops  # noqa: E402,F401
import name_ops  # noqa: E402,F401
import process_ops  # noqa: E402,F401
import state_ops  # noqa: E402,F401
import trees  # noqa: E402,F401


def render(value):
    if value is None:
        return ""
    if isinstance(value, bytes):
        return base.text(value)
    return str(value)


def answer(request):
    try:
        value = base.OPS[request["op"]](*request["args"])
    except OSError as error:
        return {"e": base.errname(error.errno)}
    shown = render(value)
    if len(base.state["base"]) > 1:
        shown = shown.replace(base.text(base.state["base"]), "MNT")
    return {"r": shown, "v": True} if isinstance(value, base.Volatile) else {"r": shown}


def serve(reader, writer):
    """Answers requests until the other end goes away."""
    for line in reader:
        try:
            reply = answer(json.loads(line))
        except Exception as error:  # a mistake in a test must be told, not end the process
            reply = {"x": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(reply) + "\n")
        writer.flush()


def main():
    """One fork for each connection: a new process in a millisecond, without starting Python again."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(16)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        # The end of stdin is the end of the test run.
        if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
            os.unlink(sys.argv[1])
            os.rmdir(os.path.dirname(sys.argv[1]))
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            null = os.open("/dev/null", os.O_RDWR)
            for fd in (0, 1):
                os.dup2(null, fd)
            os.close(null)
            os.umask(0o022)
            # Two streams: writing to one would drop what was already read ahead of it.
            reader = connection.makefile("r", encoding="latin1", newline="\n")
            writer = connection.makefile("w", encoding="latin1", newline="\n")
            hello = json.loads(reader.readline())
            base.state["base"] = base.raw(hello["base"])
            writer.write(json.dumps({"r": str(os.getpid())}) + "\n")
            writer.flush()
            serve(reader, writer)
            os._exit(0)
        connection.close()


main()
