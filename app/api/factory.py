"""Builds the Flask app from the parts it is handed."""

from typing import Any

from flask.json.provider import DefaultJSONProvider
from flask_openapi.models.info import Info
from flask_openapi.models.security_scheme import SecurityScheme
from flask_openapi.openapi import OpenAPI

import app as package
from app import queue
from app.api import (
    answers,
    auth,
    batches,
    completions,
    context,
    controls,
    docs,
    explain,
    files,
    hooks,
    instructions,
    jobs,
    lines,
    manifests,
    ops,
    predict,
    preflight,
    problems,
    request,
    responses,
    results,
    scopes,
    sessions,
    symbols,
    tracing,
)
from app.api.backlog import Backlog
from app.api.catalog import Catalog
from app.api.feed import Feed
from app.api.health import Health, Ping
from app.api.notifier import Notifier
from app.api.outlook import Outlook
from app.metrics import Metrics
from app.models.database import Database
from app.settings import Settings

_INTERFACES = (
    jobs.routes,
    sessions.routes,
    symbols.routes,
    scopes.routes,
    instructions.routes,
    files.routes,
    batches.routes,
    hooks.routes,
    manifests.routes,
    completions.routes,
    results.routes,
    controls.routes,
    lines.routes,
    explain.routes,
    preflight.routes,
    responses.routes,
    predict.routes,
    ops.routes,
)
_BEARER: dict[str, SecurityScheme | dict[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer"}
}


class _Json(DefaultJSONProvider):
    """Answers in plain UTF-8, in the order they are written."""

    ensure_ascii = False
    sort_keys = False


def create_app(
    settings: Settings, db: Database, publisher: queue.Publisher, *, ping: Ping
) -> OpenAPI:
    """The API over this database and publisher; `ping` tells whether Redis answers.

    Starts nothing: the health probes begin with `context.health.start()`.
    """
    app = _make_flask(settings)
    context.bind(app, _make_context(settings, db, publisher, ping))
    app.before_request(tracing.begin)
    app.before_request(auth.authenticate)
    app.before_request(request.refuse_nul)
    app.before_request(request.refuse_repeats)
    app.before_request(files.prepare_upload)
    app.after_request(tracing.end)
    app.teardown_request(files.discard_sinks)
    problems.register(app)
    for interface in _INTERFACES:
        app.register_api(interface)
    docs.register(app)
    return app


def _make_flask(settings: Settings) -> OpenAPI:
    app = OpenAPI(
        "app.api",
        info=Info(title="Open-AutoGLM", version=package.__version__),
        security_schemes=_BEARER,
        validation_error_status=400,
        validation_error_model=answers.ErrorBody,
        validation_error_callback=docs.refuse,
        doc_prefix="/docs",
        static_folder=None,
    )
    app.request_class = request.Request
    app.json = _Json(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.limits.max_body_bytes
    return app


def _make_context(
    settings: Settings, db: Database, publisher: queue.Publisher, ping: Ping
) -> context.Context:
    return context.Context(
        settings=settings,
        db=db,
        publisher=publisher,
        catalog=Catalog(settings.models),
        backlog=Backlog(db, settings.queue.max_queued_jobs),
        notifier=Notifier(db),
        feed=Feed(db),
        outlook=Outlook(db),
        health=Health(settings, db, ping),
        metrics=Metrics(lambda: ops.read_figures(db)),
    )
