"""A batch's results as server-sent events: each line once, in order, resumable after any break."""

import logging
from collections.abc import Generator, Iterator
from typing import Any

import flask

from app import locales
from app.api import context
from app.errors import Unavailable
from app.models import batches, results
from app.models.database import Database
from app.models.states import ENDED
from app.wire import endings, packing, render
from app.wire.endings import Cursor
from app.wire.rows import Batch

TYPE = "text/event-stream"
POLL_SECONDS = 0.25
BEAT_SECONDS = 15.0  # a comment this often, so that proxies keep a quiet stream open
_PAGE_LINES = 200
_RETRY_MILLISECONDS = 1000
_logger = logging.getLogger(__name__)


def explainer(batch: Batch) -> render.Explain:
    """Texts in the batch's own language, as its files will have them."""
    return lambda code, values: locales.message(f"errors.{code}", locale=batch.locale, **values)


def make_page(db: Database, batch: Batch, after: Cursor, limit: int) -> dict[str, Any]:
    """A page of results. The batch was read before them: once it has ended, nothing is missing."""
    found, has_more = results.list_page(db, batch.id, after=after, limit=limit)
    shown = [endings.show_ending(each, explainer(batch)) for each in found]
    return endings.show_page(shown, after=after, has_more=has_more, status=batch.status)


def answer(batch: Batch, after: Cursor) -> flask.Response:
    """The stream of what ended after a cursor."""
    current = context.current()
    stream = _Stream(current, batch, after)
    response = flask.Response(stream.events(), content_type=f"{TYPE}; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


class _Stream:
    def __init__(self, current: context.Context, batch: Batch, after: Cursor) -> None:
        self._db = current.db
        self._notifier = current.notifier
        self._outlook = current.outlook
        self._batch = batch
        self._after = after
        self._quiet = 0.0
        self._is_warned = False

    def events(self) -> Iterator[bytes]:
        """`line` events, one `at_risk` event if the window will be missed, at last one `batch`
        event. A stream without that was cut off: the client comes back with Last-Event-ID."""
        yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
        try:
            yield from self._follow()
        except Unavailable as error:
            _logger.warning("stream ended: %s", error, extra={"action": "stream_failed"})

    def _follow(self) -> Iterator[bytes]:
        while True:
            batch = batches.find(self._db, self._batch.id)  # before the lines: see make_page
            if batch is None:
                return
            page, has_more = results.list_page(
                self._db, batch.id, after=self._after, limit=_PAGE_LINES
            )
            yield from map(self._write_line, page)
            if not page and batch.status in ENDED:
                yield _write("batch", self._outlook.show(batch), str(self._after))
                return
            yield from self._warn(batch)
            if not has_more and (yield from self._wait(is_quiet=not page)):
                return

    def _write_line(self, ending: endings.Ending) -> bytes:
        self._after = ending.cursor
        shown = endings.show_ending(ending, explainer(self._batch))
        return _write("line", shown, str(ending.cursor))

    def _warn(self, batch: Batch) -> Iterator[bytes]:
        """Once a stream, as soon as the batch is at risk."""
        if not self._is_warned and self._outlook.is_at_risk(batch):
            self._is_warned = True
            yield _write("at_risk", self._outlook.show(batch), str(self._after))

    def _wait(self, *, is_quiet: bool) -> Generator[bytes, None, bool]:
        """Waits for the next look; returns whether the server is stopping."""
        self._quiet = self._quiet + POLL_SECONDS if is_quiet else 0.0
        if self._quiet >= BEAT_SECONDS:
            self._quiet = 0.0
            yield b": waiting\n\n"
        return self._notifier.pause(POLL_SECONDS)


def _write(name: str, value: dict[str, Any], cursor: str) -> bytes:
    head = f"event: {name}\nid: {cursor}\ndata: ".encode()
    return head + packing.pack_line(value) + b"\n"
