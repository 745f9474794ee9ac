"""Writes one result for every input line, in input order, from the files a batch rendered.

Servers usually render in input order; then both files are read once, side by side. Where they
do not, the rest is found by an index of offsets: about 100 bytes for each line of the batch.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from app import locales
from app.wire import packing

logger = logging.getLogger(__name__)


@dataclass
class Tally:
    """How the lines ended, and the tokens that the successful ones report."""

    succeeded: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, result: dict[str, Any]) -> None:
        if not is_success(result):
            self.failed += 1
            return
        self.succeeded += 1
        usage = result["response"]["body"].get("usage") or {}
        self.prompt_tokens += _count(usage, "prompt_tokens", "input_tokens")
        self.completion_tokens += _count(usage, "completion_tokens", "output_tokens")


def _count(usage: dict[str, Any], *names: str) -> int:
    """Completions and responses name their tokens differently."""
    return next((int(usage[name]) for name in names if usage.get(name)), 0)


def is_success(result: dict[str, Any]) -> bool:
    """True if the model answered: a 2xx response with an object as its body, and no error."""
    response = result.get("response")
    if result.get("error") or not isinstance(response, dict):
        return False
    status = response.get("status_code")
    return isinstance(status, int) and status // 100 == 2 and isinstance(response.get("body"), dict)


class Results:
    """Finds results by custom_id in result files; cheapest when asked in the files' own order. An
    error of a line whose custom_id the server did not read, or read differently, has its number."""

    def __init__(self, files: list[BinaryIO]) -> None:
        self._files = files
        self._heads = [_take(file) for file in files]
        self._index: dict[int, int] | None = None

    def find(self, custom_id: str, line_no: int) -> dict[str, Any] | None:
        """The result of this line; None if the server rendered none."""
        if self._index is None:
            result = self._next(custom_id)
            if result is not None:
                return result
            self._index = self._build_index()
        found = self._look_up(custom_id)
        if found is not None and found.get("custom_id") == custom_id:
            return found
        found = self._look_up(line_no)
        is_its = found is not None and _number(found) == line_no
        return {**found, "custom_id": custom_id} if found and is_its else None

    def _next(self, custom_id: str) -> dict[str, Any] | None:
        for number, head in enumerate(self._heads):
            if head is not None and head.get("custom_id") == custom_id:
                self._heads[number] = _take(self._files[number])
                return head
        return None

    def _build_index(self) -> dict[int, int]:
        """hash(custom_id) -> offset * number of files + number of the file."""
        logger.info("results are not in input order, or some are missing: building an index")
        index = {}
        for number, file in enumerate(self._files):
            for offset, result in _scan(file):
                place = offset * len(self._files) + number
                if _number(result) is None:
                    index[hash(result.get("custom_id"))] = place
                else:
                    index.setdefault(hash(result.get("custom_id")), place)
                    index.setdefault(hash(_number(result)), place)
        return index

    def _look_up(self, key: str | int) -> dict[str, Any] | None:
        place = (self._index or {}).get(hash(key))
        if place is None:
            return None
        offset, number = divmod(place, len(self._files))
        self._files[number].seek(offset)
        return _take(self._files[number])


def _number(result: dict[str, Any]) -> int | None:
    """The number of the line that an error is about: it stands in the error, or in the body that
    a call would have been answered with."""
    response = result.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    for place in (result, body):
        error = place.get("error") if isinstance(place, dict) else None
        number = error.get("line") if isinstance(error, dict) else None
        if isinstance(number, int):
            return number
    return None


def merge_results(
    custom_ids: Iterable[str], paths: list[Path], out: BinaryIO, tally: Tally, *, missing: str
) -> None:
    """Writes a line for each custom_id to `out`; `missing` is the error code where none exists."""
    files: list[BinaryIO] = [path.open("rb") for path in paths]
    try:
        results = Results(files)
        for line_no, custom_id in enumerate(custom_ids, start=1):
            result = results.find(custom_id, line_no) or _missing(custom_id, missing)
            tally.add(result)
            out.write(packing.pack_line(result))
    finally:
        for file in files:
            file.close()


def _take(file: BinaryIO) -> dict[str, Any] | None:
    """The next result of the file; None at its end."""
    return next((result for _, result in _scan(file, whole=False)), None)


def _scan(file: BinaryIO, *, whole: bool = True) -> Iterator[tuple[int, dict[str, Any]]]:
    """(offset, result) of each line, from the start of the file or from where it stands."""
    offset = file.seek(0) if whole else file.tell()
    for content in iter(file.readline, b""):
        if content.strip():
            yield offset, orjson.loads(content)
        offset += len(content)


def _missing(custom_id: str, code: str) -> dict[str, Any]:
    """What stands in for a line that the server rendered no result for."""
    message = locales.message(f"submit.missing_{code}", locale="en-US")
    error = {"code": code, "message": message}
    return {"id": None, "custom_id": custom_id, "response": None, "error": error}
