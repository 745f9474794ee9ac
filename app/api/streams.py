"""Answers that are sent while they are generated, as server-sent events."""

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import flask

from app.api import context, hangup, interactive, problems
from app.api.pieces import Piece, Pieces
from app.errors import AutoglmError, BadRequest, ClientGone, Failed, Overdue
from app.wire.rows import Job

_logger = logging.getLogger(__name__)
Frame = dict[str, Any]


class Shape(Protocol):
    """How an endpoint writes its events."""

    def begin(self) -> Iterator[Frame]:
        """Before any text."""

    def add(self, choice: int, text: str, logprobs: list[dict[str, Any]] | None) -> Iterator[Frame]:
        """More text of a choice, and the log-probabilities of its tokens, if asked for."""

    def end(self, job: Job) -> Iterator[Frame]:
        """After all text, of the succeeded job."""

    def fail(self, error: dict[str, Any], *, is_final: bool) -> Iterator[Frame]:
        """Instead of an end: the error's envelope, and whether the job itself came to this."""

    @property
    def last(self) -> str:
        """The line that follows all events."""


def answer(job: Job, shape: Shape) -> flask.Response:
    """The stream of a job. Nothing is sent before there is something to say, so that a job that
    fails at once is answered with its proper status."""
    steps = _follow(job, hangup.make_probe())
    first = next(steps)
    return respond(_write(job, shape, first, steps))


def respond(events: Iterator[bytes]) -> flask.Response:
    """Events as an answer."""
    body = flask.stream_with_context(events)
    response = flask.Response(body, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"  # nginx passes each event on at once
    return response


def _follow(job: Job, is_gone: Callable[[], bool]) -> Iterator[Piece | Job]:
    """The job's text in pieces, and at last the succeeded job."""
    current, pieces, has_ended = context.current(), Pieces(), False
    with current.feed.follow(job.id) as line:
        while not has_ended:
            gained, has_ended = line.take(interactive.LOOK_SECONDS)
            yield from pieces.accept(gained)
            if is_gone():
                interactive.give_up(job)
                raise ClientGone("client_gone")
    ended = interactive.conclude(current.db, job)
    yield from pieces.rest(ended)
    yield ended


def _write(
    job: Job, shape: Shape, first: Piece | Job, rest: Iterator[Piece | Job]
) -> Iterator[bytes]:
    """The events. Whatever ends them early gives the job up."""
    try:
        for frame in _frames(shape, first, rest):
            yield encode(frame)
        yield shape.last.encode()
    except AutoglmError as error:
        interactive.give_up(job)
        yield from map(encode, describe(shape, error))
    except GeneratorExit:  # the server could not write any more
        interactive.give_up(job)
        raise
    except Exception:  # the status line is sent: only an event can tell
        _logger.exception("stream failed", extra={"action": "failed", "job_id": job.id})
        yield from map(encode, describe(shape, AutoglmError("internal_error")))


def _frames(shape: Shape, first: Piece | Job, rest: Iterator[Piece | Job]) -> Iterator[Frame]:
    yield from shape.begin()
    for step in itertools.chain([first], rest):
        yield from show(shape, step)


def show(shape: Shape, step: Piece | Job) -> Iterator[Frame]:
    """A piece of the text, or the end."""
    if isinstance(step, Piece):
        return shape.add(step.choice, step.text, step.logprobs)
    return shape.end(step)


def encode(frame: Frame) -> bytes:
    """One event; a frame that has a type is named by it."""
    name = f"event: {frame['type']}\n" if "type" in frame else ""
    return f"{name}data: {flask.json.dumps(frame)}\n\n".encode()


def describe(shape: Shape, error: AutoglmError) -> Iterator[Frame]:
    """An error after the status line is out."""
    is_final = isinstance(error, BadRequest | Failed | Overdue)
    return shape.fail(problems.envelope(error, error.type), is_final=is_final)
