"""The lines of a batch that are run again, as they stand in its file; one that follows on an answered
line carries what was said before it, so that the answer is not made a second time."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.intake import lines
from app.models import lineage
from app.models.database import Database
from app.models.lines import Lost
from app.wire import document, responses
from app.wire.rows import Job

_PAGE_LINES = 50  # small: lines may be large, and so may be what was said before them


def copy(
    db: Database, batch_id: str, lost: Lost, path: Path, max_line_bytes: int
) -> Iterator[bytes]:
    """Each line with its end. FileNotFoundError if the file is gone."""
    with path.open("rb") as file:
        chosen = (raw for raw in lines.iterate(file, max_line_bytes) if raw.number in lost.numbers)
        while page := list(itertools.islice(chosen, _PAGE_LINES)):
            yield from _copy_page(db, batch_id, lost, page)


def _copy_page(
    db: Database, batch_id: str, lost: Lost, page: Sequence[lines.Raw]
) -> Iterator[bytes]:
    parents = {lost.follows[raw.number] for raw in page if raw.number in lost.follows}
    before = lineage.trace(db, batch_id, sorted(parents)) if parents else {}
    for raw in page:
        if raw.content is None:
            continue
        content = raw.content.rstrip(b"\r\n")
        if raw.number in lost.follows:
            content = _carry(content, _repeat(before[lost.follows[raw.number]]))
        yield content + b"\n"


def _repeat(conversation: Sequence[Job]) -> list[dict[str, Any]]:
    """Everything said and answered there."""
    said = []
    for line in conversation:
        answer = line.result.text if line.result else ""
        said += [*line.request["messages"], {"role": "assistant", "content": answer}]
    return said


def _carry(content: bytes, said: list[dict[str, Any]]) -> bytes:
    record = document.loads(content)
    body = record["body"]
    del body["previous_response_id"]
    name = "messages"
    if record["url"] == responses.ENDPOINT:
        name = "input"
        body[name] = responses.wrap_text(body.get(name))
    if isinstance(body.get(name), list):  # a line without would fail for that again
        body[name] = [*said, *body[name]]
    return json.dumps(record, ensure_ascii=False).encode()
