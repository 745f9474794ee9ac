"""What is no message of ours is logged and dropped; Celery alone would end the worker by it.

Whoever can write into Redis can put anything into a queue. Messages are hints, the rows are the
truth: one that is dropped is missed by nobody. Written for kombu's Redis transport 5.7, which
parses a message (`_brpop_read`; `_receive_one`, if it was broadcast), gives it to the channel's
Message (`_deliver`), notes it as unacknowledged, and only then asks Celery's consumer.
"""

import logging
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from celery.worker.consumer import Consumer
from kombu.connection import Connection
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.transport import virtual

from app.workers import transport

_SHORTEST_SECONDS = 60.0  # queue.make_app(hard_limit_seconds) is always more
_SHOWN = 200  # characters of what was wrong
_FLAWS = (
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
    *(ContentDisallowed, DecodeError),
)
_PROPERTIES = {"delivery_tag": str, "delivery_info": dict}
_DELIVERY = {"exchange": str, "routing_key": str}
_logger = logging.getLogger(__name__)


class MalformedError(ValueError):
    """What Redis held is no message."""


class _Message(virtual.Message):
    """Raises MalformedError before anything is noted of what cannot be read."""

    def __init__(self, payload: Any, channel: Any = None, **named: Any) -> None:
        try:
            _check(payload)
            super().__init__(payload, channel, **named)  # type: ignore[no-untyped-call]
        except _FLAWS as error:
            raise MalformedError(f"no message: {error!r}") from error


def _check(payload: Any) -> None:
    properties = payload["properties"]
    for fields, kinds in (properties, _PROPERTIES), (properties["delivery_info"], _DELIVERY):
        for name, kind in kinds.items():
            if not isinstance(fields[name], kind):
                raise TypeError(name)
    if not isinstance(payload.get("headers") or {}, dict):
        raise TypeError("headers")
    if not isinstance(payload.get("body"), str):
        raise TypeError("body")


class _Channel(transport.Channel):
    Message = _Message

    def _brpop_read(self, **options: Any) -> bool:
        return self._read(super()._brpop_read, **options)

    def _receive_one(self, client: Any) -> bool:
        return self._read(super()._receive_one, client)

    def _read(self, read: Callable[..., bool | None], *given: Any, **named: Any) -> bool:
        try:
            return bool(read(*given, **named))
        except _FLAWS as error:  # of a text that is no JSON: what comes later ends in _deliver
            _drop(error)
            return True


class _Transport(transport.Transport):
    Channel = _Channel

    def _deliver(self, message: Any, queue: str) -> None:
        try:
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]
        except MalformedError as error:
            _drop(error)


class _Connection(Connection):
    def get_transport_cls(self) -> type[_Transport]:
        return _Transport


class OurAMQP(AMQP):
    Connection = _Connection


class OurConsumer(Consumer):
    """Refuses messages that have the form of one and cannot be a task of ours."""

    def create_task_handler(self, *given: Any, **named: Any) -> Any:
        handle = super().create_task_handler(*given, **named)

        def take(message: Any) -> None:
            try:
                _check_call(message)
                handle(message)
            except _FLAWS as error:
                _drop(error)
                if not message.acknowledged:
                    message.reject_log_error(_logger, self.connection_errors)

        return take


def _check_call(message: Any) -> None:
    """Of a task: ours have an id and no times but a limit, and nothing is to follow. A body of another
    form would fail in the pool, where nobody would answer for the message any more."""
    headers, (args, kwargs, embedded) = message.headers, message.payload
    if not isinstance(headers["task"], str) or not isinstance(headers["id"], str):
        raise TypeError("task, id")
    if not (isinstance(args, list) and isinstance(kwargs, dict)):
        raise TypeError("arguments")
    if any((headers.get("eta"), headers.get("expires"), *embedded.values())):
        raise ValueError("a time, or what is to follow")
    if any(limit < _SHORTEST_SECONDS for limit in headers.get("timelimit") or () if limit):
        raise ValueError("a time limit")


def _drop(error: Exception) -> None:
    extra = {"action": "message_dropped"}
    _logger.error("message dropped: %.*s", _SHOWN, repr(error), extra=extra)


def harden(app: Celery) -> None:
    """Lets the workers of an app live on beside hostile messages. Before its first connection."""
    app.amqp_cls = f"{__name__}:OurAMQP"
    app.conf.worker_consumer = f"{__name__}:OurConsumer"
