"""One line of a batch: where it is, what became of it, and every attempt at it."""

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, batches, context, events, schemas
from app.models import batches as batch_store
from app.models import evidence, lines
from app.wire import history

routes = APIBlueprint(
    "lines", __name__, abp_tags=[{"name": "batches"}], abp_responses=answers.ERRORS
)


@routes.get(f"{batches.PATH}/<batch_id>/lines/<path:line>", responses={"200": {}})
def read_line(path: schemas.LinePath, query: schemas.LineQuery) -> flask.Response:
    """A line by its custom_id, else by its number in the input file."""
    return _show(path.batch_id, path.line, query.by)


@routes.get(f"{batches.PATH}/<batch_id>/lines", responses={"200": {}})
def find_line(path: schemas.BatchPath, query: schemas.LineName) -> flask.Response:
    """A line by its custom_id, also one that no path can hold (`/a`, `a/`, `.`, `..`)."""
    return _show(path.batch_id, query.custom_id, "custom_id", param="custom_id")


def _show(batch_id: str, name: str, by: str | None, *, param: str = "line") -> flask.Response:
    db = context.current().db
    batch = batch_store.get(db, context.caller().tenant_id, batch_id)
    job, attempts = lines.find(db, batch.id, name, by=by, param=param)
    left = evidence.find(db, job.id) if job.crashes else {}
    return flask.jsonify(history.show_line(job, attempts, events.explainer(batch), left))
