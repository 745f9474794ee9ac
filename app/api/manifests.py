"""GET /v1/batches/{batch_id}/manifest: what binds a batch's files to what made them."""

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, context, schemas
from app.models import manifests

routes = APIBlueprint(
    "manifests", __name__, abp_tags=[{"name": "batches"}], abp_responses=answers.ERRORS
)


@routes.get("/v1/batches/<batch_id>/manifest", responses={"200": answers.ManifestObject})
def read(path: schemas.BatchPath, query: schemas.NoQuery) -> flask.Response:
    """The manifest of a batch that has ended; it never changes."""
    current, tenant_id = context.current(), context.caller().tenant_id
    return flask.jsonify(manifests.read(current.db, tenant_id, path.batch_id))
