"""POST /v1/batches/validate: what a batch would meet. Nothing is queued; the answer is a stream."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import flask
import orjson
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, batches, context, hooks, language, schemas
from app.errors import BadRequest, NotFound
from app.intake import lines
from app.intake.preflight import Preflight
from app.models import files, pace, sessions
from app.models.database import Database
from app.wire.forecast import Throughput

BLANK_SECONDS = 5.0  # a space this often while nothing is found, so that nobody hangs up

routes = APIBlueprint(
    "preflight", __name__, abp_tags=[{"name": "batches"}], abp_responses=answers.CHANGES
)


@routes.post(f"{batches.PATH}/validate", responses={"200": answers.ValidationObject})
def validate(query: schemas.NoQuery, body: schemas.ValidateBody) -> flask.Response:
    """Judge an uploaded file: every bad line, and how much work it would be. Queues nothing."""
    current = context.current()
    hooks.read(body.webhook)
    path = _find_file(body.input_file_id)
    known = current.settings.models
    names = {name: model.name for model in known for name in (model.name, *model.aliases)}
    rules = lines.Rules(body.endpoint, names, current.settings.limits, language.choose())
    catalog = current.catalog
    judge = Preflight(
        rules,
        lambda name, request: catalog.measure(catalog.find(name), request),
        partial(sessions.exists, current.db, context.caller().tenant_id),
    )
    report = _write(current.db, judge, path)
    return flask.Response(report, mimetype="application/json")


def _find_file(file_id: str) -> Path:
    current = context.current()
    file = files.get(current.db, context.caller().tenant_id, file_id, param="input_file_id")
    if file.purpose != "batch":
        raise BadRequest("file_purpose", param="input_file_id", purpose=file.purpose)
    path = current.files_dir / file.path
    if not path.is_file():
        raise NotFound("file_content_missing", param="input_file_id", id=file.id)
    return path


def _write(db: Database, judge: Preflight, path: Path) -> Iterator[bytes]:
    """One JSON object: the findings first, as they are made, then what they add up to."""
    yield b'{"object":"batch.validation","data":['
    separator, last = b"\n", time.monotonic()
    with path.open("rb") as file:
        for finding in judge.read(file):
            if finding is not None:
                yield separator + orjson.dumps(finding.show())
                separator, last = b",\n", time.monotonic()
            elif time.monotonic() - last >= BLANK_SECONDS:
                yield b" "
                last = time.monotonic()
    summary = _summarize(db, judge)
    yield b"],\n" + orjson.dumps(summary)[1:]


def _summarize(db: Database, judge: Preflight) -> dict[str, Any]:
    done = pace.measure_model(db, judge.model) if judge.model else None
    return {
        "valid": not judge.batch_errors,
        "model": judge.model,
        "lines": judge.total,
        "errors": judge.batch_errors + judge.line_errors,
        "warnings": judge.warnings,
        "prompt_tokens": judge.prompt_tokens,
        "max_answer_tokens": judge.max_answer_tokens,
        "estimate": _estimate(judge, done),
    }


def _estimate(judge: Preflight, done: Throughput | None) -> dict[str, Any]:
    """Device time from what devices did for this model lately. Duplicates and shared prefixes may
    make it less."""
    if done is None or judge.prompt_tokens is None:
        reason = "no_finished_work" if done is None else "lengths_unknown"
        return {"device_minutes": None, "reason": reason, "answer_tokens": None}
    answers_tokens = min(judge.max_answer_tokens, round(judge.num_answers * done.mean_answer))
    seconds = (judge.prompt_tokens + answers_tokens) / max(done.tokens_per_second, 0.001)
    return {
        "device_minutes": round(seconds / 60, 2),
        "reason": None,
        "answer_tokens": answers_tokens,
        "tokens_per_second": round(done.tokens_per_second, 1),
    }
