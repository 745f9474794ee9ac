"""From a batch's ended jobs to its output and error files, streamed in the order of the input."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from app import clock, locales
from app.models import batches, bulk, files, jobs
from app.models.states import BatchState, JobState
from app.wire import packing, render
from app.wire.rows import Batch, File, Job
from app.workers import manifests
from app.workers.context import Context

PARTIAL = ".part"  # the ending of files that are being written
_PAGE_LINES = 200
_DAY_SECONDS = 86_400
_PURPOSE = "batch_output"


def run(context: Context, batch_id: str) -> dict[str, Any]:
    """Finishes a batch whose lines have all ended; leaves any other as it is. The files depend on
    the rows alone, so this may be repeated, and done twice at once. Raises Stopped, leaving no file, when
    the process is to end."""
    started = time.monotonic()
    batch = _begin(context, batch_id)
    if batch is None:
        return {"status": "not ready"}
    bulk.analyze(context.db)
    origins = manifests.Origins()
    output, errors = _render(context, batch, origins)
    manifests.keep(context, batch, origins, output, errors)
    status = _finish(context, batch, output, errors)
    counts = {"lines": batch.completed, "errors": batch.failed}
    return {"status": status, **counts, "seconds": round(time.monotonic() - started, 3)}


def is_countable(batch: Batch) -> bool:
    """Whether every line of the batch has ended, so that its files can be written."""
    active = (BatchState.IN_PROGRESS, BatchState.FINALIZING, BatchState.CANCELLING)
    return batch.status in active and batch.completed + batch.failed >= batch.total


def _begin(context: Context, batch_id: str) -> Batch | None:
    batch = batches.find(context.db, batch_id)
    if batch is None or not is_countable(batch):
        return None
    if batch.status == BatchState.IN_PROGRESS:
        batches.start_finalizing(context.db, batch_id)
    return batches.find(context.db, batch_id)


def _finish(context: Context, batch: Batch, output: File | None, errors: File | None) -> str:
    """The state the batch got. A cancellation that came while the files were written wins."""
    names = {
        "output_file_id": output.id if output else None,
        "error_file_id": errors.id if errors else None,
    }
    ended = BatchState.COMPLETED
    if batches.has_expired_jobs(context.db, batch.id):
        ended = BatchState.EXPIRED
    for state in (ended, BatchState.CANCELLED):
        if batches.finish(context.db, batch.id, state, **names):
            return state.value
    latest = batches.find(context.db, batch.id)
    return latest.status if latest else "unknown"


def _render(
    context: Context, batch: Batch, origins: manifests.Origins
) -> tuple[File | None, File | None]:
    """Both files, None for one without a line."""
    context.files.mkdir(parents=True, exist_ok=True, mode=0o700)
    output, errors = _Writer(context.files), _Writer(context.files)
    try:
        for job in _iterate(context, batch.id):
            writer = output if job.state == JobState.SUCCEEDED else errors
            if job.result is not None:
                origins.add(job.result.provenance)
            writer.write(render.output_line(job, lambda *what: _explain(batch.locale, *what)))
        return (
            _keep(context, batch, output, "output"),
            _keep(context, batch, errors, "error"),
        )
    finally:
        output.discard()
        errors.discard()


def _iterate(context: Context, batch_id: str) -> Iterator[Job]:
    last = 0
    while page := jobs.list_lines(
        context.db, batch_id, after_line=last, limit=_PAGE_LINES, has_requests=False
    ):
        context.require_running()
        yield from page
        last = page[-1].line_no or 0


def _explain(locale: str, code: str, values: Mapping[str, Any]) -> str:
    return locales.message(f"errors.{code}", locale=locale, **values)


class _Writer:
    """A file in the making: nobody sees it before `publish`."""

    def __init__(self, folder: Path) -> None:
        number, name = tempfile.mkstemp(dir=folder, suffix=PARTIAL)
        self._path: Path | None = Path(name)
        self._file: BinaryIO = os.fdopen(number, "wb")
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, line: Mapping[str, Any]) -> None:
        content = packing.pack_line(line)
        self._file.write(content)
        self._digest.update(content)
        self.bytes += len(content)

    def publish(self, target: Path) -> None:
        """Gives the file its name, once its bytes are safe on disk."""
        assert self._path is not None
        files.publish(self._file, self._path, target)
        self._path = None

    def discard(self) -> None:
        """Removes what was not published, also when a full disk takes not even the last bytes."""
        try:
            self._file.close()
        finally:
            if self._path is not None:
                self._path.unlink(missing_ok=True)


def _keep(context: Context, batch: Batch, writer: _Writer, kind: str) -> File | None:
    """Publishes a file that has lines and records it, under an id made from the batch's."""
    if not writer.bytes:
        return None
    name = hashlib.sha256(f"{batch.id} {kind}".encode()).hexdigest()[:32]
    writer.publish(context.files / name)
    now = clock.latest()
    seconds = batch.output_expires_seconds or context.settings.retention.days * _DAY_SECONDS
    file = File(
        id=f"file-{name}",
        tenant_id=batch.tenant_id,
        key_id=batch.key_id,
        filename=f"{batch.id}_{kind}.jsonl",
        purpose=_PURPOSE,
        bytes=writer.bytes,
        sha256=writer.sha256,
        path=name,
        created_at=now,
        expires_at=now + seconds,
    )
    return files.add(context.db, file)
