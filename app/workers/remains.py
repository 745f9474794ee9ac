"""What a child leaves for whoever finds it dead: its last log lines, and its stacks if it hung or broke.

Two files of the slot, written while the child lives: a signal that cannot be caught leaves no time.
"""

import contextlib
import faulthandler
import json
import logging
import re
import sys
import traceback
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from app import log
from app.wire.rows import Evidence

_LINES = 40
_LINE_BYTES = 2_000
_STACK_BYTES = 16_000
_LOG_BYTES = 64_000
_HUNG = "step_timeout"
_PATH = re.compile(r'(File ")[^"]*?((?:app|site-packages|python3\.\d+)/[^"]*")')


class Remains:
    """The files of one slot, below `folder`."""

    def __init__(self, folder: Path, slot: str) -> None:
        name = re.sub(r"[^\w.-]", "_", slot)
        self._stacks, self._log = folder / f"{name}.stacks", folder / f"{name}.log"

    def begin(self, epoch: int) -> None:
        """The child's: forgets what was there, and writes from now on. Installs the handlers of
        fatal signals, which Celery's pool resets: see `install`."""
        self._stacks.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (self._stacks, self._log, self._log.with_name(f"{self._log.name}.1")):
            path.unlink(missing_ok=True)
        self._out = self._stacks.open("w")
        print(_write_header(epoch), file=self._out, flush=True)
        self._handler = RotatingFileHandler(self._log, maxBytes=_LOG_BYTES, backupCount=1)
        self._handler.setFormatter(log.JsonFormatter())
        logging.getLogger().addHandler(self._handler)
        faulthandler.enable(self._out)

    def renew(self, epoch: int) -> None:
        """The child's, which goes on under another epoch: what it leaves is this one's."""
        with self._stacks.open("r+b") as out:
            out.write(_write_header(epoch).encode())

    def close(self) -> None:
        """Ends what `begin` began; the files stay."""
        faulthandler.disable()
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        self._out.close()

    def install(self, signal: int) -> None:
        """From now on `signal` writes all stacks here; so does what ends the process."""
        faulthandler.register(signal, self._out, all_threads=True)
        faulthandler.enable(self._out)

    def note(self, error: BaseException) -> None:
        """The child's: an error that it will not survive."""
        traceback.print_exception(error, file=self._out)
        self._out.flush()

    def mark_hung(self) -> None:
        """Anybody's: the child is killed because its step did not end."""
        with contextlib.suppress(OSError), self._stacks.open("a") as out:
            print(_HUNG, file=out)

    def mark_stopping(self) -> None:
        """The parent's, or the child's whose jobs cannot be given back: it ends in order. Written
        over what is there, so that a full disk takes it; OSError if it does not."""
        with self._stacks.open("r+b") as out:
            header = out.readline()
            out.seek(0)
            out.write(header.replace(b"false", b"true "))

    def read(self) -> tuple[int, Evidence] | None:
        """The epoch that wrote here last and what it left; None if there was none."""
        epoch, _, stacks = self._read_stacks()
        if epoch is None:
            return None
        return epoch, Evidence(_judge(stacks), _shorten(stacks), self._read_log())

    def is_crash(self, epoch: int) -> bool | None:
        """Whether the end of this epoch counts against its jobs: one that broke by itself does, one
        that was killed after it was told to stop does not. None: nothing here tells."""
        found, is_stopping, stacks = self._read_stacks()
        if found != epoch:
            return None
        if _judge(stacks) != "killed":
            return True
        return False if is_stopping else None

    def _read_stacks(self) -> tuple[int | None, bool, str]:
        """The epoch that wrote here last, whether it was told to stop, and its stacks."""
        try:
            first, _, stacks = self._stacks.read_text(errors="replace").partition("\n")
            header = json.loads(first)
            return int(header["epoch"]), bool(header.get("stopping")), stacks
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None, False, ""

    def _read_log(self) -> tuple[dict[str, Any], ...]:
        lines: list[str] = []
        for path in (self._log.with_name(f"{self._log.name}.1"), self._log):
            if path.exists():
                lines += path.read_text(errors="replace").splitlines()
        return tuple(_parse(lines[-_LINES:]))


def _write_header(epoch: int) -> str:
    """The first line, of the same length for every epoch: it is written over."""
    return json.dumps({"epoch": f"{epoch:>20}", "stopping": False})


def _judge(stacks: str) -> str:
    """`hang`, `fault` (the process broke by itself), `error` (the engine raised), else `killed`."""
    if _HUNG in stacks or "StepTimeout" in stacks:
        return "hang"
    if "Fatal Python error" in stacks:
        return "fault"
    return "error" if "Traceback" in stacks else "killed"


def _shorten(stacks: str) -> str:
    """Paths begin with our package or the library's: where they lie on this machine is no one's
    business."""
    known = stacks.replace(f"{_HUNG}\n", "").replace(sys.prefix, "")
    return _PATH.sub(r"\1\2", known)[-_STACK_BYTES:]


def _parse(lines: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for line in lines:
        try:
            entry = json.loads(line[:_LINE_BYTES])
        except ValueError:
            continue  # cut off by the end of the process
        found.append({name: entry[name] for name in entry if name != "exception"})
    return found
