"""/v1/instructions: what an instruction says, as a syntax tree. Nothing is stored or run."""

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, schemas
from app.coding import instruction

PATH = "/v1/instructions/parse"

routes = APIBlueprint(
    "instructions", __name__, abp_tags=[{"name": "instructions"}], abp_responses=answers.CHANGES
)


@routes.post(PATH, responses={"200": answers.InstructionObject})
def parse(query: schemas.NoQuery, body: schemas.InstructionBody) -> flask.Response:
    """Parse an instruction in English, Chinese or Japanese; no text is refused."""
    tree = instruction.parse(body.instruction).as_json()
    return flask.jsonify({"object": "instruction", **tree})
