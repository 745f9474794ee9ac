"""The lines of a batch that are run again, as they stand in its file; one that follows on an answered
line carries what was said before it, so that the answer is not made a second time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.intake import lines
from app.models import lineage
from app.models.database import Database
from app.models.lines import Lost
from app.wire import document


def copy(
    db: Database, batch_id: str, lost: Lost, path: Path, max_line_bytes: int
) -> Iterator[bytes]:
    """Each line with its end. FileNotFoundError if the file is gone."""
    with path.open("rb") as file:
        for raw in lines.iterate(file, max_line_bytes):
            if raw.number not in lost.numbers or raw.content is None:
                continue
            content = raw.content.rstrip(b"\r\n")
            parent = lost.follows.get(raw.number)
            if parent is not None:
                content = _carry(content, _read_before(db, batch_id, parent))
            yield content + b"\n"


def _read_before(db: Database, batch_id: str, line_no: int) -> list[dict[str, Any]]:
    """Everything said and answered up to this line."""
    said = []
    for line in lineage.trace(db, batch_id, line_no):
        answer = line.result.text if line.result else ""
        said += [*line.request["messages"], {"role": "assistant", "content": answer}]
    return said


def _carry(content: bytes, said: list[dict[str, Any]]) -> bytes:
    record = document.loads(content)
    body = record["body"]
    del body["previous_response_id"]
    if isinstance(body.get("messages"), list):  # a line without would fail for that again
        body["messages"] = [*said, *body["messages"]]
    return json.dumps(record, ensure_ascii=False).encode()
