"""Reads an input file line by line with its numbers and offsets, holding one line at a time."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Line:
    """A line that is not blank, without its line end; `content` is None if it is too long."""

    number: int  # 1-based, blank lines counted
    start: int  # byte offsets in the file
    end: int
    content: bytes | None

    @property
    def upload_bytes(self) -> int:
        return len(self.content or b"") + 1


@dataclass(frozen=True)
class Span:
    """A run of whole lines of the file; `number` is that of its first line."""

    number: int = 1
    start: int = 0
    end: int | None = None


def read_lines(path: Path, span: Span, *, max_bytes: int) -> Iterator[Line]:
    """The lines of `span` that are not blank; a byte order mark at the start is skipped."""
    with path.open("rb") as source:
        source.seek(span.start)
        number, start = span.number, span.start
        while span.end is None or start < span.end:
            content = source.readline(max_bytes + 2)
            if not content:
                return
            complete = _finish(source, content, max_bytes)
            text = _strip(content, is_first=start == 0)
            if text or not complete:
                yield Line(number, start, source.tell(), text if complete else None)
            number, start = number + 1, source.tell()


def _finish(source: BinaryIO, content: bytes, max_bytes: int) -> bool:
    """False if the line is longer than `max_bytes`; then its rest is skipped."""
    if len(content.rstrip(b"\r\n")) <= max_bytes:
        return True
    while content and not content.endswith(b"\n"):
        content = source.readline(max_bytes)
    return False


def _strip(content: bytes, *, is_first: bool) -> bytes:
    return (content.removeprefix(codecs.BOM_UTF8) if is_first else content).strip()
