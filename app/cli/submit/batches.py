"""The batches of a submission on the server: making them, watching them, fetching their files."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from app import errors
from app.cli import client
from app.cli.submit import check, progress, state
from app.cli.submit.source import Source

TERMINAL = frozenset({"completed", "failed", "expired", "cancelled"})
MIN_POLL_SECONDS = 0.2
MAX_POLL_SECONDS = 2.0


def upload(api: client.Client, source: Source, current: state.State, index: int) -> state.State:
    """The state with this part's file on the server. A repeated upload leaves an unused file."""
    part = current.parts[index]
    if part.file_id:
        return current
    name = _file_name(source.path, index, len(current.parts))
    file = api.upload_file(name, part.chunk.bytes, lambda: source.read(part.chunk.span))
    return current.with_part(index, replace(part, file_id=str(file["id"])))


def create(api: client.Client, source: Source, current: state.State, index: int) -> state.State:
    """The state with this part's batch on the server; a repeated call finds the same batch."""
    part = current.parts[index]
    if part.batch_id:
        return current
    key = _idempotency_key(current, index)
    batch = api.create_batch(str(part.file_id), current.endpoint, idempotency_key=key)
    return current.with_part(index, replace(part, batch_id=str(batch["id"])))


def follow(
    api: client.Client, display: progress.Display, current: state.State
) -> tuple[list[dict[str, Any]], int]:
    """The batches once all have ended or one was refused, and how many lines had ended before."""
    started = time.monotonic()
    found: list[dict[str, Any]] = [{"id": part.batch_id, "status": ""} for part in current.parts]
    before: int | None = None
    while True:
        found = [_refresh(api, batch) for batch in found]
        done = sum(_ended_lines(batch) for batch in found)
        before = done if before is None else before
        display.show(done, current.lines)
        if _is_over(found):
            return found, before
        time.sleep(_poll_seconds(time.monotonic() - started))


def problems(source: Source, part: state.Part, batch: dict[str, Any]) -> Iterator[check.Problem]:
    """Why the server refused the batch, by the line numbers of the input file."""
    found = (batch.get("errors") or {}).get("data") or []
    sent = {error["line"] for error in found if error.get("line")}
    numbers = source.line_numbers(part.chunk.span, sent)
    for error in found:
        number, param = numbers.get(error.get("line") or 0), error.get("param")
        text = str(error.get("message"))
        yield check.Problem(number, str(error.get("code")), param, text=text)


def cancel_rest(api: client.Client, found: list[dict[str, Any]]) -> None:
    """Stops the batches that still run."""
    for batch in found:
        if batch["status"] not in TERMINAL:
            api.cancel_batch(batch["id"])


def download(api: client.Client, batch: dict[str, Any], results: Path) -> list[Path]:
    """Fetches the batch's output and error files, as far as it has them, beside the results."""
    paths = []
    for kind in ("output", "error"):
        path = results.with_name(f"{results.name}.{kind}.tmp")
        path.unlink(missing_ok=True)  # an interrupted run may have left one
        if file_id := batch.get(f"{kind}_file_id"):
            api.save_content(file_id, path)
            paths.append(path)
    return paths


def missing_code(batch: dict[str, Any]) -> str:
    """The error code of a line that the batch has no result for."""
    status = batch["status"]
    return "result_missing" if status == "completed" else f"batch_{status}"


def _file_name(path: Path, index: int, count: int) -> str:
    return f"{path.stem}.jsonl" if count == 1 else f"{path.stem}.{index + 1}-of-{count}.jsonl"


def _idempotency_key(current: state.State, index: int) -> str:
    """The same for every retry of this part of this run, and for nothing else."""
    facts = "\n".join((current.run, current.sha256, current.url, str(index)))
    return f"submit-{hashlib.sha256(facts.encode()).hexdigest()[:40]}"


def _refresh(api: client.Client, batch: dict[str, Any]) -> dict[str, Any]:
    if batch["status"] in TERMINAL:
        return batch
    try:
        return api.fetch_batch(batch["id"])
    except errors.RequestError as error:
        if error.values.get("status") != HTTPStatus.NOT_FOUND:
            raise
        message = error.values["message"]
        raise errors.NotFound("batch_lost", batch=batch["id"], message=message) from error


def _ended_lines(batch: dict[str, Any]) -> int:
    counts = batch.get("request_counts") or {}
    return int(counts.get("completed", 0)) + int(counts.get("failed", 0))


def _is_over(found: list[dict[str, Any]]) -> bool:
    """True when all have ended, or when one was refused and no other is still being validated."""
    statuses = {batch["status"] for batch in found}
    return statuses <= TERMINAL or ("failed" in statuses and "validating" not in statuses)


def _poll_seconds(elapsed: float) -> float:
    """Often at first, so that small files end at once; then gently."""
    return min(MAX_POLL_SECONDS, max(MIN_POLL_SECONDS, elapsed / 20))
