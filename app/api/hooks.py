"""Webhooks as clients meet them: where to tell, and what was told."""

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, context, schemas
from app.models import batches, deliveries, jobs
from app.wire import bodies, callbacks, objects

routes = APIBlueprint(
    "webhooks", __name__, abp_tags=[{"name": "webhooks"}], abp_responses=answers.ERRORS
)


def read(webhook: bodies.Webhook | None) -> str | None:
    """The URL that a client wants to be told at; BadRequest if it may not be called."""
    if webhook is None:
        return None
    options = context.current().settings.webhooks
    return callbacks.check_url(webhook.url, options, param="webhook.url")


@routes.get("/v1/batches/<batch_id>/deliveries", responses={"200": answers.ListObject})
def list_of_batch(path: schemas.BatchPath, query: schemas.NoQuery) -> flask.Response:
    """What was told about a batch, to whom, and how that went."""
    current, tenant_id = context.current(), context.caller().tenant_id
    return show(batches.get(current.db, tenant_id, path.batch_id).id)


@routes.get("/v1/jobs/<job_id>/deliveries", responses={"200": answers.ListObject})
def list_of_job(path: schemas.JobPath, query: schemas.NoQuery) -> flask.Response:
    """What was told about a job, to whom, and how that went."""
    current, tenant_id = context.current(), context.caller().tenant_id
    return show(jobs.get(current.db, tenant_id, path.job_id).id)


def show(object_id: str) -> flask.Response:
    """The deliveries of a batch or job."""
    current, tenant_id = context.current(), context.caller().tenant_id
    found = deliveries.list_all(current.db, tenant_id, object_id)
    shown = [objects.show_delivery(delivery) for delivery in found]
    return flask.jsonify(objects.show_list(shown, has_more=False))
