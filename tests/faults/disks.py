"""A small disk of its own for a database, where this machine lets us mount one."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

_SIZE = "256m"


@contextlib.contextmanager
def small(folder: Path, size: str = _SIZE) -> Iterator[bool]:
    """Mounts a small tmpfs at `folder`; False (and a plain folder) where that is not permitted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    is_mounted = os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)
