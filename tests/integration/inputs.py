"""Input files of batches for tests: stored as an upload stores them."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app import settings
from app.models import files
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch, File, Job
from app.workers.context import Context
from tests.integration import makers

MODEL = settings.Model(name=makers.MODEL, backend="fake", aliases=("alias",))


def make_context(db: Database, folder: Path, **changes: Any) -> Context:
    options = settings.Settings(
        models=(MODEL, settings.Model(name="n", backend="fake")), data_dir=folder, **changes
    )
    context = Context(db, options)
    context.files.mkdir(parents=True, exist_ok=True)
    return context


def make_record(number: int | str, **changes: Any) -> dict[str, Any]:
    """A good line; `body_...` changes the body, None removes."""
    body: dict[str, Any] = {
        "model": makers.MODEL,
        "messages": [{"role": "user", "content": f"hi {number}"}],
    }
    record: dict[str, Any] = {
        "custom_id": f"c{number}",
        "method": "POST",
        "url": makers.ENDPOINT,
        "body": body,
    }
    for name, value in changes.items():
        target = body if name.startswith("body_") else record
        target[name.removeprefix("body_")] = value
    return {name: value for name, value in record.items() if value is not None}


def make_line(number: int | str, **changes: Any) -> bytes:
    return json.dumps(make_record(number, **changes)).encode() + b"\n"


def add_input(context: Context, content: bytes | Iterable[bytes], **changes: Any) -> File:
    name = f"input{time.monotonic_ns()}"
    pieces = [content] if isinstance(content, bytes) else content
    with (context.files / name).open("wb") as file:
        for piece in pieces:
            file.write(piece)
    size = (context.files / name).stat().st_size
    fields: dict[str, Any] = {"expires_at": None, "tenant_id": DEFAULT_TENANT} | changes
    stored = File(
        id=f"file-{name}",
        key_id=None,
        filename="in.jsonl",
        purpose="batch",
        bytes=size,
        sha256="0" * 64,
        path=name,
        created_at=time.time(),
        **fields,
    )
    return files.add(context.db, stored)


def submit(context: Context, content: bytes | Iterable[bytes], **changes: Any) -> Batch:
    """A batch that is validating, over a file with this content."""
    return makers.add_batch(context.db, input_file_id=add_input(context, content).id, **changes)


def settle_all(context: Context) -> list[Job]:
    """Every queued job succeeds, by one worker."""
    from app.models import claims

    holder = makers.add_worker(context.db)
    done: list[Job] = []
    while held := makers.take(context.db, holder, limit=500):
        claims.settle(context.db, [makers.succeed(job, f"re {job.custom_id}") for job in held])
        done += held
    return done
