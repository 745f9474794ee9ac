"""What operators and machines ask: health, metrics, the models served."""

import time
from collections.abc import Sequence
from typing import Any

import flask
from flask_openapi.blueprint import APIBlueprint

from app import locales
from app.api import answers, context, language, schemas
from app.api.health import Reason
from app.errors import AutoglmError
from app.metrics import Figures, WorkerFigures
from app.models import sweeps, workers
from app.models.database import Database
from app.wire import objects

_STARTED = int(time.time())
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

routes = APIBlueprint(
    "ops", __name__, abp_tags=[{"name": "operations"}], abp_responses=answers.ERRORS
)


@routes.get("/health", responses={"200": answers.HealthObject, "503": answers.HealthObject})
def health() -> flask.Response:
    """Healthy when jobs can be served: database, Redis, and a ready worker for each model."""
    return _answer(context.current().health.explain_unhealthy())


@routes.get("/health/ready", responses={"200": answers.HealthObject, "503": answers.HealthObject})
def ready() -> flask.Response:
    """Healthy when requests can be accepted: database and Redis."""
    return _answer(context.current().health.explain_not_ready())


@routes.get("/health/live", responses={"200": answers.HealthObject})
def live() -> flask.Response:
    """Healthy while this process answers."""
    return _answer([])


def _answer(reasons: Sequence[Reason]) -> flask.Response:
    if not reasons:
        return flask.jsonify({"status": "healthy"})
    shown = [_show_reason(reason) for reason in reasons]
    response = flask.jsonify({"status": "unhealthy", "reasons": shown})
    response.status_code = 503
    response.headers["Retry-After"] = "1"
    return response


def _show_reason(reason: Reason) -> dict[str, str]:
    error = AutoglmError(reason.code, **reason.values)
    message = locales.explain(error, language.choose())
    return {"component": reason.component, "code": reason.code, "message": message}


@routes.get("/metrics", responses={"200": {"content": {"text/plain": {}}}})
def metrics() -> flask.Response:
    """Figures for Prometheus."""
    return flask.Response(context.current().metrics.render(), content_type=_METRICS_TYPE)


def read_figures(db: Database) -> Figures:
    """What the store says now, for the metrics."""
    shown = [
        WorkerFigures(
            slot=worker.slot,
            model=worker.model,
            state=worker.state,
            model_loads=worker.model_loads_total,
            shifts=worker.shifts,
            in_flight=worker.in_flight,
        )
        for worker in workers.list_all(db)
    ]
    return Figures(sweeps.count_states(db), shown)


@routes.get("/v1/models", responses={"200": answers.ListObject})
def list_models(query: schemas.NoQuery) -> flask.Response:
    """The names a client may send, aliases too."""
    shown = [_show_model(name) for name in context.current().catalog.names]
    return flask.jsonify(objects.show_list(shown, has_more=False))


@routes.get("/v1/models/<path:model>", responses={"200": {}})
def read_model(path: schemas.ModelPath, query: schemas.NoQuery) -> flask.Response:
    """One model."""
    context.current().catalog.find(path.model)
    return flask.jsonify(_show_model(path.model))


def _show_model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _STARTED, "owned_by": "open-autoglm"}
