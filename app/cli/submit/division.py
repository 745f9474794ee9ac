"""How a file is divided into batches: at the server's limits, and never between lines that follow on
one another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.cli.submit import lines


@dataclass(frozen=True)
class Limits:
    """The server's limits: `batch_*` split a file into several batches, `line_bytes` refuses."""

    batch_lines: int = 50_000
    batch_bytes: int = 200 * 1024 * 1024
    line_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True)
class Chunk:
    """Lines that become one batch: where they are, how many, how many bytes they upload as."""

    span: lines.Span
    lines: int
    bytes: int


def take(line: lines.Line) -> Chunk:
    """A line as a chunk of its own."""
    return Chunk(lines.Span(line.number, line.start, line.end), 1, line.upload_bytes)


def append(chunks: list[Chunk], piece: Chunk, limits: Limits) -> None:
    """Adds the piece to the last chunk, or as a new one if that is full."""
    if chunks and fits(joined := _join(chunks[-1], piece), limits):
        chunks[-1] = joined
    else:
        chunks.append(piece)


def fits(chunk: Chunk, limits: Limits) -> bool:
    """Whether it can be one batch."""
    return chunk.lines <= limits.batch_lines and chunk.bytes <= limits.batch_bytes


def keep_together(path: Path, limits: Limits, reach: Mapping[int, int]) -> list[Chunk]:
    """The chunks of a file in which, by `reach`, the line of a number is followed on by lines up to
    another number. One that does not fit holds a conversation that cannot be divided."""
    chunks: list[Chunk] = []
    for piece in _tie(path, limits, reach):
        append(chunks, piece, limits)
    return chunks


def _tie(path: Path, limits: Limits, reach: Mapping[int, int]) -> Iterator[Chunk]:
    """The smallest pieces that may be cut apart."""
    piece, last = None, 0
    for line in lines.read_lines(path, lines.Span(), max_bytes=limits.line_bytes):
        alone = take(line)
        if piece is not None and line.number > last:
            yield piece
            piece = None
        piece = alone if piece is None else _join(piece, alone)
        last = max(last, reach.get(line.number, 0))
    if piece is not None:
        yield piece


def _join(chunk: Chunk, piece: Chunk) -> Chunk:
    span = lines.Span(chunk.span.number, chunk.span.start, piece.span.end)
    return Chunk(span, chunk.lines + piece.lines, chunk.bytes + piece.bytes)
