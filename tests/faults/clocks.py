"""A wall clock of our processes that jumps at a word, by a small preloaded library."""

import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


class Clock:
    """`environ` makes a process obey; `shift(seconds)` moves the wall clock of all that do."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file, library = folder / "offset", folder / "clock.so"
        self.shift(0)
        compiler = find_compiler()
        assert compiler is not None, "no C compiler"
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        self.environ = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self._file)}

    def shift(self, seconds: int) -> None:
        """Seconds from the true time. The file is written in place: it is mapped."""
        mode = "r+b" if self._file.exists() else "xb"
        with self._file.open(mode) as out:
            out.write(struct.pack("q", seconds))


def find_compiler() -> str | None:
    """Where a C compiler is, if there is one."""
    return shutil.which("cc") or shutil.which("gcc")
