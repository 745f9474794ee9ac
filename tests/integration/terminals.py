"""A command as a person at a terminal sees it."""

import os
import pty
import subprocess
import sys

CLI = [sys.executable, "-c", "from app.cli import main; main()"]


def show(*arguments: str) -> tuple[int, str]:
    """Runs `autoglm` with these arguments; its exit status and what it drew on standard error."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [*CLI, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "LC_ALL": "C", "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    shown = _read(master)
    return process.wait(120), shown


def _read(master: int) -> str:
    pieces = []
    try:
        while piece := os.read(master, 4096):
            pieces.append(piece)
    except OSError:  # how Linux reports that the other end is closed
        pass
    os.close(master)
    return b"".join(pieces).decode()
