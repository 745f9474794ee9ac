"""Why a batch is not further: each thing it waits for, and what would change it."""

import time
from collections.abc import Iterator
from typing import Any

import flask
from flask_openapi.blueprint import APIBlueprint

from app import locales
from app.api import answers, batches, context, language, schemas
from app.models import batches as batch_store
from app.models import beats, waits
from app.models.states import ENDED, BatchState, WorkerState
from app.wire.rows import Batch

SILENT_SECONDS = 30.0  # without a beat; then no control process runs

routes = APIBlueprint(
    "explain", __name__, abp_tags=[{"name": "batches"}], abp_responses=answers.ERRORS
)

Reason = tuple[str, dict[str, Any]]
"""A code and the values of its texts `explain.<code>` and `explain.<code>_change`."""


@routes.get(f"{batches.PATH}/<batch_id>/explain", responses={"200": {}})
def explain(path: schemas.BatchPath, query: schemas.NoQuery) -> flask.Response:
    """What the batch waits for, and what would change it."""
    current = context.current()
    batch = batch_store.get(current.db, context.caller().tenant_id, path.batch_id)
    shown = [_show(batch, code, values) for code, values in _find_reasons(batch)]
    return flask.jsonify(
        {
            "object": "batch.explanation",
            "batch_id": batch.id,
            "status": batch.status,
            "reasons": shown,
            "outlook": {
                name: value
                for name, value in current.outlook.show(batch).items()
                if name in ("eta_at", "at_risk", "expires_at")
            },
        }
    )


def _show(batch: Batch, code: str, values: dict[str, Any]) -> dict[str, Any]:
    locale = language.choose()
    remedy = _find_remedy(batch) if code == "ended" else "change"
    return {
        "code": code,
        "message": locales.message(f"explain.{code}", locale=locale, **values),
        "change": locales.message(f"explain.{code}_{remedy}", locale=locale, **values),
        "values": values,
    }


def _find_remedy(batch: Batch) -> str:
    """Which text says what can be done about a batch that has ended: what a retry would answer."""
    if not batch.lines_ingested:
        return "unread"
    return "answered" if batch.completed == batch.total else "change"


def _find_reasons(batch: Batch) -> list[Reason]:
    """Most decisive first."""
    if batch.status in ENDED:
        return [("ended", {"status": batch.status})]
    return [*_find_halts(batch), *_find_stage(batch)]


def _find_halts(batch: Batch) -> Iterator[Reason]:
    """What stops everything."""
    current = context.current()
    if batch.paused_at is not None:
        yield "paused", {}
    beaten_at = beats.read_latest(current.db)
    if beaten_at is None or time.time() - beaten_at > SILENT_SECONDS:
        yield "no_control", {}
    if any(reason.code == "redis_unavailable" for reason in current.health.explain_not_ready()):
        yield "no_redis", {}


def _find_stage(batch: Batch) -> Iterator[Reason]:
    if batch.status == BatchState.VALIDATING:
        yield "validating", {}
        return
    if batch.status == BatchState.FINALIZING:
        yield "finalizing", {}
        return
    facts = waits.gather(context.current().db, batch)
    if batch.status == BatchState.CANCELLING:
        yield "cancelling", {"running": facts.running}
        return
    found = list(_find_queue(batch, facts))
    yield from found
    if not found and batch.paused_at is None:
        yield "soon", {}


def _find_queue(batch: Batch, facts: waits.Facts) -> Iterator[Reason]:
    yield from _find_workers(batch, facts)
    interactive = facts.ahead.get(None, 0)
    if interactive:
        yield "behind_jobs", {"jobs": interactive}
    yield from _find_batches(facts)
    if facts.in_turn:
        yield "session_order", {"lines": facts.in_turn}
    if facts.suspects:
        yield "suspects", {"lines": facts.suspects}
    if facts.twins:
        yield "identical_lines", {"lines": facts.twins}
    if batch.lines_ingested < batch.total:
        yield "ingesting", {"stored": batch.lines_ingested, "total": batch.total}
    if facts.running:
        yield "running", {"lines": facts.running}


def _find_batches(facts: waits.Facts) -> Iterator[Reason]:
    """Batches before this one: the tenant's own it may stop; of others it hears only that they are."""
    numbers = {owner: number for owner, number in facts.ahead.items() if owner is not None}
    own = {owner: number for owner, number in numbers.items() if owner not in facts.foreign}
    if own:
        yield "behind_batches", {"jobs": sum(own.values()), "batches": len(own)}
    if facts.foreign:
        yield "behind_others", {"jobs": sum(numbers[owner] for owner in facts.foreign)}


def _find_workers(batch: Batch, facts: waits.Facts) -> Iterator[Reason]:
    served = {model.name for model in context.current().settings.models}
    states = {state for state, _, _ in facts.workers}
    values = {"model": batch.model}
    if batch.model not in served:
        yield "model_not_served", values
    elif WorkerState.READY in states:
        busy = sum(in_flight for state, _, in_flight in facts.workers if state == "ready")
        if busy and not facts.running:
            yield "workers_busy", {**values, "jobs": busy}
    elif WorkerState.LOADING in states:
        yield "worker_loading", values
    elif WorkerState.FAILED in states:
        causes = [reason for state, reason, _ in facts.workers if state == "failed" and reason]
        yield "worker_failed", {**values, "cause": causes[0] if causes else "-"}
    else:
        yield "no_worker", values
