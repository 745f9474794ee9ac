"""From a batch's input file to its jobs: checks every line, then stores them in resumable pieces."""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from app import locales, queue
from app.errors import AutoglmError, NotFound
from app.intake import kinds, lines, links, places, schemas, twins
from app.models import backlog, batches, bulk, files, manifests, sweeps
from app.models.states import BatchState
from app.settings import Settings
from app.wire import generation
from app.wire.rows import Batch, Line, Problem
from app.workers.context import Context

PIN = files.PIN
_PIECE_LINES = 1000
_PIECE_BYTES = 8 * 1024 * 1024
_HINTED = 100
_logger = logging.getLogger(__name__)


def run(context: Context, batch_id: str) -> dict[str, Any]:
    """Takes the batch as far as it can; may be repeated, and resumed after a kill at any point.
    Raises Stopped, with what was stored kept, when the process is to end."""
    started = time.monotonic()
    batch = batches.find(context.db, batch_id)
    if batch is not None and batch.status == BatchState.VALIDATING:
        batch = _check(context, batch)
    if batch is not None and batch.status in (BatchState.IN_PROGRESS, BatchState.CANCELLING):
        batch = _store(context, batch)
        _wake_finalizer(context, batch)
    return _summarize(batch, time.monotonic() - started)


def _summarize(batch: Batch | None, seconds: float) -> dict[str, Any]:
    if batch is None:
        return {"status": "unknown"}
    errors = len(batch.errors or ())
    counts = {"status": batch.status, "lines": batch.lines_ingested, "errors": errors}
    return {**counts, "seconds": round(seconds, 3)}


def _check(context: Context, batch: Batch) -> Batch | None:
    """validating -> in_progress or failed."""
    rules = make_rules(context.settings, batch)
    try:
        path = _find_input(context, batch)
    except NotFound:
        missing = lines.describe(_miss_file(batch), None, batch.locale)
        batches.refuse(context.db, batch.id, [missing])
        return batches.find(context.db, batch.id)
    survey = lines.Survey(rules)
    with path.open("rb") as file:
        survey.read(file, context.require_running)
    if survey.num_problems:
        batches.refuse(context.db, batch.id, survey.close())
        unpin(context, batch.id)
    else:
        batches.accept(context.db, batch.id, model=survey.model, total=survey.total)
    return batches.find(context.db, batch.id)


def _miss_file(batch: Batch) -> lines.BadLine:
    return lines.BadLine(
        "invalid_request",
        param="file_id",
        text="file_not_found",
        id=batch.input_file_id,
        organization=batch.tenant_id,
    )


def make_rules(settings: Settings, batch: Batch) -> lines.Rules:
    """What this batch's lines must be under this configuration."""
    names = {name: model.name for model in settings.models for name in (model.name, *model.aliases)}
    return lines.Rules(batch.endpoint, names, settings.limits, batch.locale)


def _find_input(context: Context, batch: Batch) -> Path:
    """The pinned input file; pins it first. NotFound if there is none that the tenant may use."""
    pinned = context.files / f"{PIN}{batch.id}"
    if not pinned.exists():
        file = files.get(context.db, batch.tenant_id, batch.input_file_id)
        manifests.remember_input(context.db, batch.id, file.sha256)
        try:
            _pin(context.files / file.path, pinned)
        except FileNotFoundError as error:
            raise NotFound("file_not_found", param="id", id=file.id) from error
    return pinned


def _pin(source: Path, pinned: Path) -> None:
    try:
        os.link(source, pinned)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        partial = pinned.with_suffix(".part")
        shutil.copyfile(source, partial)
        partial.replace(pinned)


def unpin(context: Context, batch_id: str) -> None:
    """Gives the second name of the input file up."""
    (context.files / f"{PIN}{batch_id}").unlink(missing_ok=True)


def _store(context: Context, batch: Batch) -> Batch | None:
    """Adds the lines that are missing, a piece at a time, each in its own transaction."""
    if batches.count_lines(context.db, batch.id) < batch.total:
        try:
            path = _find_input(context, batch)
        except NotFound as error:
            _give_up(context, batch, error)
        else:
            _store_pieces(context, batch, path)
            bulk.analyze(context.db)
        _hint(context, batch)
    unpin(context, batch.id)
    return batches.find(context.db, batch.id)


_REFUSED = Problem("internal_error")


def _store_pieces(context: Context, batch: Batch, path: Path) -> None:
    for number, (piece, last_line) in enumerate(_pieces(path, batch, context)):
        if not _add(context, batch, piece, last_line):
            return
        if number == 0:
            _hint(context, batch)


def _add(context: Context, batch: Batch, piece: list[Line], last_line: int) -> bool:
    """Stores a piece. What the store refuses for its content is found line by line and fails alone:
    the batch would break off there, run after run. False if the batch takes no more lines."""
    try:
        return batches.add_lines(context.db, batch, piece, last_line=last_line)
    except batches.UnstorableError:
        where = {"action": "ingest", "batch_id": batch.id}
        line = piece[0]
        if len(piece) == 1 and line.problem == _REFUSED:
            raise
        _logger.exception("lines %d to %d", line.line_no, last_line, extra=where)
        if len(piece) == 1:
            bare = Line(line.line_no, line.custom_id, line.model, {}, _REFUSED, kind=line.kind)
            return _add(context, batch, [bare], last_line)
        half = len(piece) // 2
        return _add(context, batch, piece[:half], piece[half].line_no - 1) and _add(
            context, batch, piece[half:], last_line
        )


def _give_up(context: Context, batch: Batch, error: NotFound) -> None:
    """Somebody removed the bytes behind our back: the batch ends with the lines that were read."""
    _logger.error("%s", error, extra={"action": "input_lost", "batch_id": batch.id})
    lost = lines.BadLine("input_lost", param="file_id", id=batch.input_file_id)
    batches.close_input(context.db, batch.id, [lines.describe(lost, None, batch.locale)])


def _pieces(path: Path, batch: Batch, context: Context) -> Iterator[tuple[list[Line], int]]:
    """The lines after those ingested, in lists of bounded length and size. Stopped when the process is
    to end."""
    settings = context.settings
    piece: list[Line] = []
    size = 0
    index, alike = links.Index(), twins.Index()
    with path.open("rb") as file:
        for raw in lines.iterate(file, settings.limits.max_line_bytes):
            context.require_running()
            line = _make_line(raw, batch, settings, index)
            index.add(line.custom_id, raw.number)
            line = _place_line(line, batch, settings, alike)
            if raw.number <= batch.lines_ingested:
                continue  # an earlier run stored it; later lines may name it
            piece.append(line)
            size += len(raw.content or b"")
            if len(piece) == _PIECE_LINES or size >= _PIECE_BYTES:
                yield piece, raw.number
                piece, size = [], 0
    if piece:
        yield piece, piece[-1].line_no


def _make_line(raw: lines.Raw, batch: Batch, settings: Settings, index: links.Index) -> Line:
    """A checked line as it is stored: with its request, or with why it cannot run."""
    custom_id: str | None = None
    request, problem, named, asked = {}, None, links.Links(), kinds.Kind()
    try:
        record = lines.read_record(raw, settings.limits)
        custom_id = str(record["custom_id"])
        lines.refuse_unknown(record)
        body, asked = kinds.split(record["body"], batch.endpoint)
        body, named = links.split(body, batch.endpoint, index)
        request = generation.parse(body, endpoint=batch.endpoint, limits=settings.limits)
        schemas.check(request, batch.endpoint)
        request |= {} if asked.scope is None else {"scope": asked.scope}
    except lines.BadLine as error:  # it was good when the file was checked
        _logger.error("%s", error, extra={"action": "ingest", "batch_id": batch.id})  # noqa: TRY400
        problem = Problem("internal_error")
    except lines.RefusedLine as error:
        custom_id, problem = error.custom_id, _make_problem(error, batch.locale)
    except AutoglmError as error:
        problem = _make_problem(error, batch.locale)
    except Exception:
        _logger.exception("line %d", raw.number, extra={"action": "ingest", "batch_id": batch.id})
        problem = Problem("internal_error")
    return Line(
        raw.number,
        custom_id,
        batch.model or "",
        request,
        problem,
        kind=asked.kind,
        **vars(named),
    )


def _place_line(line: Line, batch: Batch, settings: Settings, alike: twins.Index) -> Line:
    """The line with its place and the line it repeats. One that cannot be stored ends: its batch
    would break off at it, run after run."""
    options = settings.batches
    try:
        orjson.dumps((line.request, line.problem and line.problem.as_json()))  # as the store will
        place_key = places.make_key(line.request) if options.group_prefixes else ""
        twin_no = alike.find(line) if options.reuse_answers else None
    except Exception:
        where = {"action": "ingest", "batch_id": batch.id}
        _logger.exception("line %d", line.line_no, extra=where)
        return replace(line, request={}, problem=Problem("internal_error"))
    return replace(line, place_key=place_key, twin_no=twin_no)


def _make_problem(error: AutoglmError, locale: str) -> Problem:
    """What is stored of an error; words inside its values are put into the batch's language."""
    values = {
        name: locales.explain(value, locale) if isinstance(value, AutoglmError) else value
        for name, value in error.values.items()
    }
    return Problem(error.code, error.param, values)


def _hint(context: Context, batch: Batch) -> None:
    """One hint for each ready worker, and one in any case: a message wakes a single worker."""
    if batch.model is None:
        return
    job_ids = sweeps.count_claimable(context.db, limit=_HINTED).get(batch.model, [])
    ready = max(1, backlog.count_ready(context.db, batch.model))
    for _ in range(min(ready, len(job_ids))):
        context.hint(batch.model, job_ids)


def _wake_finalizer(context: Context, batch: Batch | None) -> None:
    if batch is not None and batch.completed + batch.failed >= batch.total:
        context.publish(queue.FINALIZE_TASK, queue.CONTROL, batch_id=batch.id)
