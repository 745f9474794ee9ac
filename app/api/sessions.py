"""/v1/sessions: conversations that jobs can go on with."""

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, context, schemas
from app.models import sessions
from app.wire import objects

PATH = "/v1/sessions"

routes = APIBlueprint(
    "sessions", __name__, abp_tags=[{"name": "sessions"}], abp_responses=answers.CHANGES
)


@routes.post(PATH, responses={"201": answers.SessionObject})
def create(query: schemas.NoQuery, body: schemas.SessionBody) -> flask.Response:
    """Start an empty conversation."""
    caller = context.caller()
    session = sessions.create(
        context.current().db, caller.tenant_id, caller.key_id, metadata=body.metadata
    )
    response = flask.jsonify(objects.show_session(session))
    response.status_code = 201
    response.headers["Location"] = f"{PATH}/{session.id}"
    return response


@routes.get(PATH, responses={"200": answers.ListObject})
def list_sessions(query: schemas.Page) -> flask.Response:
    """The tenant's conversations, newest first."""
    page, has_more = sessions.list_page(
        context.current().db, context.caller().tenant_id, limit=query.limit, after=query.after
    )
    return flask.jsonify(
        objects.show_list(list(map(objects.show_session, page)), has_more=has_more)
    )


@routes.get(f"{PATH}/<session_id>", responses={"200": answers.SessionObject})
def read(path: schemas.SessionPath, query: schemas.NoQuery) -> flask.Response:
    """One conversation."""
    found = sessions.get(context.current().db, context.caller().tenant_id, path.session_id)
    return flask.jsonify(objects.show_session(found))


@routes.get(f"{PATH}/<session_id>/turns", responses={"200": answers.ListObject})
def list_turns(path: schemas.SessionPath, query: schemas.TurnPage) -> flask.Response:
    """What was said so far, in order."""
    db = context.current().db
    found = sessions.get(db, context.caller().tenant_id, path.session_id)
    turns = sessions.list_turns(db, found.id, after=query.after, limit=query.limit + 1)
    page = [objects.show_turn(turn) for turn in turns[: query.limit]]
    return flask.jsonify(objects.show_list(page, has_more=len(turns) > query.limit))


@routes.post(f"{PATH}/<session_id>/turns/<number>/pin", responses={"200": answers.TurnObject})
def pin_turn(path: schemas.TurnPath, body: schemas.PinBody) -> flask.Response:
    """Keep a turn in the prompt when others have to make room, or no longer."""
    db = context.current().db
    found = sessions.get(db, context.caller().tenant_id, path.session_id)
    turn = sessions.pin_turn(db, found.id, path.number, pinned=body.pinned)
    return flask.jsonify(objects.show_turn(turn))


@routes.delete(f"{PATH}/<session_id>/turns/<number>", responses={"200": answers.DeletedObject})
def delete_turn(path: schemas.TurnPath, query: schemas.NoQuery) -> flask.Response:
    """Forget one turn; the jobs and symbols that it made stay."""
    db = context.current().db
    found = sessions.get(db, context.caller().tenant_id, path.session_id)
    sessions.delete_turn(db, found.id, path.number)
    return flask.jsonify(objects.show_deleted("session.turn", str(path.number)))


@routes.delete(f"{PATH}/<session_id>", responses={"200": answers.DeletedObject})
def delete(path: schemas.SessionPath, query: schemas.NoQuery) -> flask.Response:
    """Delete a conversation with its turns and its jobs."""
    sessions.delete(context.current().db, context.caller().tenant_id, path.session_id)
    return flask.jsonify(objects.show_deleted("session", path.session_id))
