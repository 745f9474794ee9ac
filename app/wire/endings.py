"""Results of a batch while it runs: ended lines, and the cursor that says how far a reader is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from app.errors import BadRequest
from app.wire import render
from app.wire.rows import Job

_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


@dataclass(frozen=True)
class Cursor:
    """A place in the order of endings: the group of lines that ended together, and the line."""

    group: int = 0
    line: int = 0

    def __str__(self) -> str:
        return f"{self.group}-{self.line}"

    @classmethod
    def parse(cls, text: str, param: str) -> Self:
        """The cursor that a client sends back; BadRequest("invalid_value") for anything else."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise BadRequest("invalid_value", param=param, value=text[:40], allowed="GROUP-LINE")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class Ending:
    """A line that has ended."""

    cursor: Cursor
    job: Job


def show_ending(ending: Ending, explain: render.Explain) -> dict[str, Any]:
    """The line as output and error file have it, with its number and its cursor."""
    line = render.output_line(ending.job, explain)
    return {**line, "line": ending.job.line_no, "cursor": str(ending.cursor)}


def show_page(
    shown: Sequence[dict[str, Any]], *, after: Cursor, has_more: bool, status: str
) -> dict[str, Any]:
    """A page of results. `cursor` is where to go on, also after an empty page."""
    return {
        "object": "list",
        "data": list(shown),
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": has_more,
        "cursor": shown[-1]["cursor"] if shown else str(after),
        "batch_status": status,
    }
