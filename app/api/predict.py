"""POST /predict: the likeliest next tokens of a text, with their probabilities."""

from collections.abc import Mapping
from typing import Any

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, context, interactive, schemas
from app.errors import BadRequest
from app.settings import Model
from app.wire import predictions

PATH = "/predict"

routes = APIBlueprint(
    "predict", __name__, abp_tags=[{"name": "predict"}], abp_responses=answers.WAITS
)


@routes.post(PATH, responses={"200": answers.PredictionObject})
def predict(query: schemas.NoQuery, body: schemas.PredictBody) -> flask.Response:
    """What could follow a raw text: the `top_k` likeliest tokens. Waits for an interactive job."""
    if not body.text.strip():
        raise BadRequest("empty_prompt", param="text")
    catalog = context.current().catalog
    model = catalog.find(catalog.names[0] if body.model is None else body.model)
    request = predictions.ask(body.text, body.top_k)
    _check_length(model, request)
    job = interactive.finish(interactive.start(model, PATH, request))
    return flask.jsonify(predictions.show(job))


def _check_length(model: Model, request: Mapping[str, Any]) -> None:
    """BadRequest("context_length_exceeded") under the name that the text has here."""
    try:
        context.current().catalog.check_length(model, request)
    except BadRequest as error:
        raise BadRequest(error.code, param="text", **error.values) from error
