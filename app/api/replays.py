"""Streams of responses that do not depend on their listeners: anybody may leave, and come back.

Everything that is told follows from stored rows, so a listener who names the last event it has seen
gets exactly those after it.
"""

import logging
from collections.abc import Callable, Iterator

import flask

from app import clock
from app.api import context, hangup, interactive, streams
from app.api.pieces import Piece, Pieces
from app.errors import AutoglmError, BadRequest, Unavailable
from app.models import chunks, jobs
from app.wire import beats
from app.wire.rows import Job

_MARGIN_SECONDS = 60.0  # between the last promise to tell events again and their deletion

_logger = logging.getLogger(__name__)


def answer(job: Job, *, after: int = -1) -> flask.Response:
    """The events of a response numbered above `after`, as far as they are, and then as they come.
    Raises BadRequest("stream_forgotten") for a response that ended too long ago."""
    ended_at = job.finished_at
    if ended_at is not None and clock.earliest() - ended_at > chunks.KEPT_SECONDS - _MARGIN_SECONDS:
        raise BadRequest(
            "stream_forgotten", param="stream", hours=round(chunks.KEPT_SECONDS / 3600)
        )
    return streams.respond(_write(job, after, hangup.make_probe()))


def _write(job: Job, after: int, is_gone: Callable[[], bool]) -> Iterator[bytes]:
    """The events. One that is cut off (the API stops, a fault of ours) just ends: the listener may
    come back for the rest, and an event would take the number of one that is still to come."""
    shape = beats.Response(job)
    try:
        for frame in _narrate(job, shape, is_gone):
            if frame["sequence_number"] > after:
                yield streams.encode(frame)
    except Unavailable as error:
        _logger.warning("stream cut off: %s", error, extra={"action": "cut_off", "job_id": job.id})
    except Exception:  # the status line is sent
        _logger.exception("stream failed", extra={"action": "failed", "job_id": job.id})


def _narrate(job: Job, shape: beats.Response, is_gone: Callable[[], bool]) -> Iterator[beats.Frame]:
    yield from shape.announce()
    pieces = Pieces(is_patient=True)
    try:
        for piece in _gather(job, pieces, is_gone):
            yield from streams.show(shape, piece)
        ended = jobs.get(context.current().db, job.tenant_id, job.id)
        if ended.finished_at is not None:
            yield from _conclude(ended, shape, pieces)
    except Unavailable as error:
        if error.code != "stream_broken":
            raise
        yield from streams.describe(shape, error)


def _gather(job: Job, pieces: Pieces, is_gone: Callable[[], bool]) -> Iterator[Piece]:
    has_ended = False
    with context.current().feed.follow(job.id) as line:
        while not has_ended and not is_gone():
            gained, has_ended = line.take(interactive.LOOK_SECONDS)
            yield from pieces.accept(gained)


def _conclude(job: Job, shape: beats.Response, pieces: Pieces) -> Iterator[beats.Frame]:
    """What the ended job adds."""
    try:
        interactive.refuse_unsuccessful(job)
    except AutoglmError as error:
        yield from streams.describe(shape, error)
        return
    for piece in pieces.rest(job):
        yield from streams.show(shape, piece)
    yield from shape.end(job)
