"""The file that `autoglm batches results -o` writes: lines are added to results of the same batch,
and to nothing else."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from app.cli import client
from app.cli.batches import calls
from app.errors import BadRequest, InputError
from app.wire import packing
from app.wire.endings import Cursor

_FIRST = b'{"id":"batch_req_'  # how a line begins


def find_cursor(api: client.Client, batch_id: str, output: Path | None) -> str | None:
    """Where an earlier run that wrote this file was; a last line that was cut off is removed.
    InputError("output_not_results"), and the file as it was, if it holds anything else than results
    of this batch: of its lines the first and the last are compared with the server's."""
    if output is None or not output.is_file() or not output.stat().st_size:
        return None
    first, last, size = _read_lines(output)
    for line in (first, last) if size else ():
        if not _is_served(api, batch_id, line):
            raise InputError("output_not_results", path=str(output), batch=batch_id)
    if size < output.stat().st_size:
        os.truncate(output, size)
    return str(last["cursor"]) if size else None


def _read_lines(output: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """The first and the last whole result, and the bytes up to its end: none, if the first one was
    not written to its end."""
    first: dict[str, Any] | None = None
    last, size = {}, 0
    with output.open("rb") as file:
        for number, line in enumerate(file, 1):
            if _is_torn(line) and (first is not None or line.startswith(_FIRST)):
                break
            last = _read_line(line)
            if not last:
                raise InputError("output_not_result", path=str(output), line=number)
            first = first or last
            size += len(line)
    return first or {}, last, size


def _is_torn(line: bytes) -> bool:
    """Whether this is the beginning of a line that we wrote, and could not end."""
    return not line.endswith(b"\n") and line.startswith(_FIRST[: len(line)])


def _read_line(line: bytes) -> dict[str, Any]:
    """A result; empty if this is none."""
    try:
        found: Any = orjson.loads(line) if line.endswith(b"\n") else None
        Cursor.parse(found["cursor"], "cursor")
    except (ValueError, TypeError, KeyError, BadRequest):
        return {}
    return found if isinstance(found, dict) else {}


def _is_served(api: client.Client, batch_id: str, line: dict[str, Any]) -> bool:
    """Whether the batch has this very result at this place."""
    place = Cursor.parse(line["cursor"], "cursor")
    before = Cursor(place.group, place.line - 1) if place.line else Cursor()
    found = calls.read_page(api, batch_id, str(before), limit=1)["data"]
    return bool(found) and found[0]["id"] == line.get("id")


def write(lines: Iterator[dict[str, Any]], output: Path | None) -> int:
    """Writes each line as it comes, to the end of the file or on standard output; returns how many
    there were."""
    number = 0
    out = sys.stdout.buffer if output is None else output.open("ab")
    try:
        for line in lines:
            out.write(packing.pack_line(line))
            out.flush()
            number += 1
        if output is not None:
            os.fsync(out.fileno())
    finally:
        if output is not None:
            out.close()
    return number
