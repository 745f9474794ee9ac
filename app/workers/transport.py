"""Kombu's Redis transport, of whose ended connections nothing stays open.

A channel of kombu 5.7 that closes gives back what it has not acknowledged, and a shift that began
before is acknowledged through it later: each opens a pool of connections again that nobody closes.
A channel that cannot give back keeps the others of its transport from closing, and the event loop
keeps every transport that it ever served. It was one open file for each connection lost in a shift.
"""

import contextlib
from typing import Any

from kombu.transport import redis


class _Receipts(redis.QoS):
    """What a channel has delivered and nobody has acknowledged yet."""

    def ack(self, delivery_tag: str) -> None:
        """A message whose acknowledgement fails frees its place all the same. A worker holds one at
        a time: alive and ready, it would never take another. Redis gives the message out again."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except Exception:
            super(redis.QoS, self).ack(delivery_tag)  # type: ignore[no-untyped-call]
            raise
        finally:
            self.channel.rest()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """As `ack`."""
        try:
            super().reject(delivery_tag, requeue=requeue)  # type: ignore[no-untyped-call]
        except Exception:
            super(redis.QoS, self).ack(delivery_tag)  # type: ignore[no-untyped-call]
            raise
        finally:
            self.channel.rest()


class Channel(redis.Channel):
    """Holds no connection when it is closed, and needs one a moment for each late answer."""

    QoS = _Receipts

    def close(self) -> None:
        try:
            super().close()  # type: ignore[no-untyped-call]
        finally:
            self.rest()

    def rest(self) -> None:
        """Ends all connections, if this is closed. Its pools stay: a later answer needs them."""
        if self.closed:
            for pool in filter(None, (self._pool, self._async_pool)):
                pool.disconnect()


class Transport(redis.Transport):
    """Closes each of its channels, and leaves the event loop."""

    Channel = Channel

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)  # type: ignore[no-untyped-call]
        self._loop: Any = None
        self._ticks: set[Any] = set()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        before = set(loop.on_tick)
        super().register_with_event_loop(connection, loop)  # type: ignore[no-untyped-call]
        self._loop, self._ticks = loop, loop.on_tick - before

    def close_connection(self, connection: Any) -> None:
        opened = [*self._avail_channels, *self.channels]
        try:
            super().close_connection(connection)  # type: ignore[no-untyped-call]
        finally:
            for channel in opened:
                with contextlib.suppress(*self.connection_errors, *self.channel_errors):
                    channel.close()
            self.channels.clear()
            self._leave_loop()

    def _leave_loop(self) -> None:
        if self._loop is not None:
            self._loop.on_tick -= self._ticks
        self._loop, self._ticks = None, set()
