"""POST /predict: the likeliest next tokens of a text, with their probabilities."""

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, context, interactive, schemas
from app.errors import BadRequest
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
    catalog.check_length(model, request)
    job = interactive.finish(interactive.start(model, PATH, request))
    return flask.jsonify(predictions.show(job))
