"""Retention: forgets old rows and files in pieces, and removes what broken writers left on disk."""

import logging
import time
from pathlib import Path

from app import clock
from app.models import batches, chunks, cursors, events, evidence, files, sessions, sweeps, symbols
from app.models.states import ENDED
from app.workers import finalize, ingest
from app.workers.context import Context

_DAY_SECONDS = 86_400
_ORPHAN_SECONDS = 3 * 3600  # by the wall clock, as the disk's times are: it may jump by an hour
_MAX_PIECES = 20
_logger = logging.getLogger(__name__)


def run(context: Context) -> None:
    """One round; what is left of a large backlog waits for the next."""
    rows = _forget_rows(context)
    chunks.forget(context.db, before=clock.earliest() - chunks.KEPT_SECONDS)
    cursors.forget(context.db, before=clock.earliest() - cursors.KEPT_SECONDS)
    expired = _delete_files(context)
    orphans = _remove_partials(context.files) + _remove_pins(context)
    if rows or expired or orphans:
        what = (rows, expired, orphans)
        _logger.info("forgot %d rows, %d files, %d orphans", *what, extra={"action": "clean"})


def _forget_rows(context: Context) -> int:
    before = clock.earliest() - context.settings.retention.days * _DAY_SECONDS
    gone = _forget_memory(context)
    for _ in range(_MAX_PIECES):
        piece = sweeps.forget(context.db, before=before)
        gone += piece
        if not piece:
            break
    evidence.forget(context.db, before=before)
    return gone + events.forget(context.db, before=before)


def _forget_memory(context: Context) -> int:
    """Symbols and turns that are too old, and turns beyond a session's limit."""
    options = context.settings.memory
    before = clock.earliest() - options.days * _DAY_SECONDS
    gone = symbols.forget(context.db, before=before)
    for _ in range(_MAX_PIECES):
        piece = sessions.forget_turns(context.db, before=before, most=options.max_turns)
        gone += piece
        if not piece:
            break
    return gone


def _delete_files(context: Context) -> int:
    gone = 0
    for _ in range(_MAX_PIECES):
        expired = files.delete_expired(context.db)
        for file in expired:
            (context.files / file.path).unlink(missing_ok=True)
        gone += len(expired)
        if not expired:
            break
    return gone


def _remove_partials(folder: Path) -> int:
    """Files whose writer died; a living one touches them far more often."""
    oldest = time.time() - _ORPHAN_SECONDS
    old = [path for path in folder.glob(f"*{finalize.PARTIAL}") if _changed_at(path) < oldest]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _remove_pins(context: Context) -> int:
    """Pinned input files of batches that read them no more."""
    pins = [path for path in context.files.glob(f"{ingest.PIN}*") if not path.suffix]
    unused = [pin for pin in pins if _is_over(context, pin.name.removeprefix(ingest.PIN))]
    for pin in unused:
        pin.unlink(missing_ok=True)
    return len(unused)


def _is_over(context: Context, batch_id: str) -> bool:
    batch = batches.find(context.db, batch_id)
    return batch is None or batch.status in ENDED
