"""The input file of a submission, guarded against changing under it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import orjson

from app import errors
from app.cli.submit import division, lines

_CHUNK_BYTES = 256 * 1024


class Source:
    """A checked input file; InputError as soon as it is no longer the file that was checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark = self._stat()
        with path.open("rb") as content:
            self.sha256 = hashlib.file_digest(content, "sha256").hexdigest()

    def read(self, span: lines.Span) -> Iterator[bytes]:
        """What to upload for the span: its lines that are not blank, in pieces of some 256 KiB."""
        pieces: list[bytes] = []
        size = 0
        for line in self._lines(span):
            pieces += (line.content or b"", b"\n")
            size += line.upload_bytes
            if size >= _CHUNK_BYTES:
                yield b"".join(pieces)
                pieces, size = [], 0
        yield b"".join(pieces)

    def custom_ids(self, span: lines.Span) -> Iterator[str]:
        """The custom_id of each line of the span, in order."""
        for line in self._lines(span):
            yield orjson.loads(line.content or b"")["custom_id"]

    def line_numbers(self, span: lines.Span, uploaded: set[int]) -> dict[int, int]:
        """Line number in the uploaded text -> line number in this file."""
        numbered = enumerate(self._lines(span), start=1)
        return {sent: line.number for sent, line in numbered if sent in uploaded}

    def _lines(self, span: lines.Span) -> Iterator[lines.Line]:
        """The lines of the span, each vouched for after it was read."""
        for line in lines.read_lines(self.path, span, max_bytes=division.Limits().batch_bytes):
            self._guard()
            yield line
        self._guard()

    def _guard(self) -> None:
        if self._stat() != self._mark:
            raise errors.InputError("input_changed", path=str(self.path))

    def _stat(self) -> tuple[int, int]:
        found = self.path.stat()
        return found.st_size, found.st_mtime_ns
