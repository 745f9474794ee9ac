"""Ingests one batch in a process of its own: DATABASE_URL DATA_DIR BATCH [PIECES_UNTIL_SIGKILL | slowly]."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from app.models import batches
from app.models.database import Database
from app.workers import ingest
from tests.integration import inputs


def die_after(pieces: int) -> None:
    """The process is killed as it would store the next piece."""
    add_lines = batches.add_lines
    rest = iter(range(pieces))

    def add_or_die(*args: Any, **options: Any) -> bool:
        if next(rest, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return add_lines(*args, **options)

    setattr(batches, "add_lines", add_or_die)  # noqa: B010  a fault, not a binding


def slow_down() -> None:
    """Each piece takes a second: whoever looks can end the process between two."""
    add_lines = batches.add_lines

    def add_late(*args: Any, **options: Any) -> bool:
        time.sleep(1.0)
        return add_lines(*args, **options)

    setattr(batches, "add_lines", add_late)  # noqa: B010  a fault, not a binding


if __name__ == "__main__":
    if sys.argv[4:] == ["slowly"]:
        slow_down()
    elif len(sys.argv) > 4:
        die_after(int(sys.argv[4]))
    ingest.run(inputs.make_context(Database(sys.argv[1]), Path(sys.argv[2])), sys.argv[3])
