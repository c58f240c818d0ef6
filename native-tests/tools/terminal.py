"""Runs a program on a terminal of its own, types, and waits for what it shows.

    terminal.py PROGRAM WORD…  <<< [{"type": "text", "until": "regular expression"}, …]

Each step types, and waits until what has appeared since matches. Exit code 1, with all that was shown, if it does not.
"""

import json
import os
import pty
import re
import select
import signal
import sys
import time


def plain(shown):
    """What was shown, without colours and movements of the cursor."""
    return re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|[()].|[=>78])|[\0\a\b]|(?<=[^\n])\r(?!\n)", "", shown)


def main():
    steps = json.load(sys.stdin)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    shown = ""
    try:
        for step in steps:
            start = len(shown)
            os.write(terminal, step["type"].encode())
            deadline = time.monotonic() + 60
            while not re.search(step["until"], plain(shown[start:]), re.S):
                ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
                data = os.read(terminal, 65536) if ready else b""
                if data == b"":
                    print(f"{step!r} was not answered:\n{plain(shown)}")
                    return 1
                shown += data.decode(errors="replace")
    finally:
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    print(plain(shown))
    return 0


sys.exit(main())
