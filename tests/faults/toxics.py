"""A TCP proxy that can be cruel: the eight toxics of Shopify/toxiproxy, in a thread of its own.

latency (delays), bandwidth (slow), slicer (small pieces with pauses), slow_close (closing takes long),
timeout (nothing comes through), limit_data (cut after some bytes), reset_peer (RST), down (refuses).
A ninth knows PostgreSQL: lost_commit (a COMMIT goes through, and the connection ends before its answer).
"""

import asyncio
import contextlib
import random
import re
import socket
import struct
import threading
import time

KINDS = (
    "latency",
    "bandwidth",
    "slicer",
    "slow_close",
    "timeout",
    "limit_data",
    "reset_peer",
    "down",
)
LOST_COMMIT = "lost_commit"
_CHUNK = 16_384
_LATENCY_SECONDS = 0.15
_SLICE_BYTES = 64
_BYTES_PER_SECOND = 20_000
_SLOW_CLOSE_SECONDS = 1.0
_LIMIT_BYTES = 2_000
_PATIENCE_SECONDS = 45.0
_TAIL_BYTES = 256
# https://www.postgresql.org/docs/current/protocol-message-formats.html: what a client has sent when it
# waits for the answer of its COMMIT. A Query alone; or Parse and all until Sync (a pipeline).
_COMMIT_SENT = re.compile(
    rb"(?:Q\0\0\0\x0bCOMMIT\0|P\0\0\0.[^\0]*\0COMMIT\0.*S\0\0\0\x04)\Z", re.DOTALL
)
_CHANGE = re.compile(rb"INSERT INTO |UPDATE \w+ SET |DELETE FROM ")  # others have nothing to lose
_COMMITTED = b"C\0\0\0\x0bCOMMIT\0"  # CommandComplete; after a failed transaction it is ROLLBACK
_READY = b"Z\0\0\0\x05I"  # ReadyForQuery, in no transaction


class _Link:
    """A client's connection: the end of what it has sent. Once it is severed, what PostgreSQL
    answers to nobody is gathered here."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.is_severed = False
        self._has_changes = False  # in the transaction that is open
        self._sent = b""
        self._answer = b""

    def is_committing(self, content: bytes) -> bool:
        """Takes what is sent; whether the COMMIT of changes goes with it."""
        self._has_changes |= _CHANGE.search(content) is not None
        self._sent = (self._sent + content)[-_TAIL_BYTES:]
        if _COMMIT_SENT.search(self._sent) is None:
            return False
        has_changes, self._has_changes = self._has_changes, False
        return has_changes

    def is_answered(self, content: bytes) -> bool:
        """Takes a piece of an answer; whether it was the last one."""
        self._answer += content
        return self._answer.endswith(_READY)

    @property
    def is_committed(self) -> bool:
        """Whether PostgreSQL said so."""
        return _COMMITTED in self._answer


class Proxy:
    """Listens on a free loopback port for `target`; `toxic` is the fault in force, or None."""

    def __init__(self, target: tuple[str, int], seed: int) -> None:
        self._target = target
        self._random = random.Random(seed)
        self._pairs: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self.toxic: str | None = None
        self.num_touched = 0  # pieces of traffic or connections that a toxic met
        self.num_lost = 0  # commits that PostgreSQL confirmed, and whose client never heard of it
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])

    def set(self, toxic: str | None) -> None:
        """Brings a toxic into force; those that end connections meet the open ones at once."""
        self.toxic = toxic
        if toxic in ("reset_peer", "down"):
            self._run(self._cut(toxic))

    def poison(self, toxic: str, seconds: float) -> int:
        """Brings a toxic into force for a while, longer if it meets nobody: after a fault clients wait
        before they connect again. Returns what it met."""
        before, started = self.num_touched, time.monotonic()
        self.set(toxic)
        while (past := time.monotonic() - started) < seconds or self.num_touched == before:
            time.sleep(0.1)
            if past > _PATIENCE_SECONDS:
                break
        self.set(None)
        return self.num_touched - before

    def lose_commits(self, seconds: float) -> int:
        """Severs connections behind their COMMIT for a while; returns how many of these PostgreSQL
        confirmed to nobody."""
        before = self.num_lost
        self.poison(LOST_COMMIT, seconds)
        return self.num_lost - before

    def close(self) -> None:
        try:
            self._run(self._end())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(60)
            self._loop.close()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _end(self) -> None:
        self._server.close()  # here: closed from another thread it may meet its last connection's end
        await self._cut("down")
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _cut(self, toxic: str) -> None:
        for writer in list(self._pairs):
            self.num_touched += 1
            _abort(writer, toxic)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.toxic in ("down", "reset_peer"):
            self.num_touched += 1
            _abort(writer, self.toxic)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _abort(writer, "down")
            return
        self._pairs |= {writer, far_writer}
        link = _Link(writer)
        with contextlib.suppress(asyncio.CancelledError):  # by close()
            await asyncio.gather(
                self._pump(reader, far_writer, link), self._pump(far_reader, writer, link)
            )
        self.num_lost += link.is_committed
        if self.toxic == "slow_close":
            self.num_touched += 1
            await asyncio.sleep(_SLOW_CLOSE_SECONDS)
        for each in (writer, far_writer):
            self._pairs.discard(each)
            each.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while content := await reader.read(_CHUNK):
                if link.is_severed:
                    if link.is_answered(content):
                        break
                    continue
                passed = passed + len(content) if self.toxic == "limit_data" else 0
                if passed > _LIMIT_BYTES:
                    self.num_touched += 1
                    break
                if self.toxic == LOST_COMMIT and writer is not link.client:
                    link.is_severed = link.is_committing(content)
                await self._pass(content, writer)
                if link.is_severed:
                    self._sever(link)
                    return  # PostgreSQL learns nothing: it is to do as it was told
        with contextlib.suppress(OSError):  # also after a reset: the other side must hear of it
            writer.write_eof()

    def _sever(self, link: _Link) -> None:
        self.num_touched += 1
        _abort(link.client, "reset_peer")

    async def _pass(self, content: bytes, writer: asyncio.StreamWriter) -> None:
        toxic = self.toxic
        self.num_touched += toxic in ("latency", "bandwidth", "slicer", "timeout")
        while self.toxic == "timeout":
            await asyncio.sleep(0.05)
        if toxic == "latency":
            await asyncio.sleep(self._random.uniform(0, 2 * _LATENCY_SECONDS))
        elif toxic == "bandwidth":
            await asyncio.sleep(len(content) / _BYTES_PER_SECOND)
        for piece in _slice(content) if toxic == "slicer" else [content]:
            writer.write(piece)
            await writer.drain()
            if toxic == "slicer":
                await asyncio.sleep(0.001)


def _slice(content: bytes) -> list[bytes]:
    return [content[at : at + _SLICE_BYTES] for at in range(0, len(content), _SLICE_BYTES)]


def _abort(writer: asyncio.StreamWriter, toxic: str) -> None:
    """Ends a connection: by RST for reset_peer, else by FIN."""
    sock = writer.get_extra_info("socket")
    if toxic == "reset_peer" and sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort() if toxic == "reset_peer" else writer.close()
