"""/v1/sessions/{id}/symbols: the context memory of a session, listed, pinned, exported, forgotten."""

import json
from collections.abc import Iterator
from typing import Any

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, context, schemas
from app.models import sessions, symbols
from app.models.database import Database
from app.wire import objects
from app.wire.rows import Session

PATH = "/v1/sessions/<session_id>/symbols"
_PIECE = 500

routes = APIBlueprint(
    "symbols", __name__, abp_tags=[{"name": "sessions"}], abp_responses=answers.CHANGES
)


@routes.get(PATH, responses={"200": answers.ListObject})
def list_symbols(path: schemas.SessionPath, query: schemas.SymbolPage) -> flask.Response:
    """The newest version of everything that the session's code answers defined."""
    found = _find(path.session_id)
    page = symbols.list_page(
        context.current().db,
        found.tenant_id,
        ("session_id", found.id),
        limit=query.limit + 1,
        after=query.after,
    )
    shown = [objects.show_symbol(symbol) for symbol in page[: query.limit]]
    return flask.jsonify(objects.show_list(shown, has_more=len(page) > query.limit))


def _find(session_id: str) -> Session:
    return sessions.get(context.current().db, context.caller().tenant_id, session_id)


@routes.get(f"{PATH}/<name>", responses={"200": answers.SymbolObject})
def read(path: schemas.SymbolPath, query: schemas.NoQuery) -> flask.Response:
    """One symbol with the history of its versions."""
    return flask.jsonify(_show(_find(path.session_id), path.name))


def _show(session: Session, name: str) -> dict[str, Any]:
    versions = symbols.list_versions(context.current().db, session.tenant_id, session.id, name)
    shown = [objects.show_symbol(version) for version in versions]
    return {**shown[0], "versions": shown[1:]}


@routes.post(f"{PATH}/<name>/pin", responses={"200": answers.SymbolObject})
def pin(path: schemas.SymbolPath, body: schemas.PinBody) -> flask.Response:
    """Keep a symbol beyond limit and age, or no longer."""
    db, found = context.current().db, _find(path.session_id)
    symbols.pin(db, found.tenant_id, ("session_id", found.id), path.name, pinned=body.pinned)
    return flask.jsonify(_show(found, path.name))


@routes.delete(f"{PATH}/<name>", responses={"200": answers.DeletedObject})
def delete(path: schemas.SymbolPath, query: schemas.NoQuery) -> flask.Response:
    """Forget one symbol with its history."""
    found = _find(path.session_id)
    place = ("session_id", found.id)
    symbols.delete(context.current().db, found.tenant_id, place, path.name)
    return flask.jsonify(objects.show_deleted("session.symbol", path.name))


@routes.delete(PATH, responses={"200": answers.ForgottenObject})
def delete_all(path: schemas.SessionPath, query: schemas.NoQuery) -> flask.Response:
    """Forget every symbol of the session; its turns stay."""
    found = _find(path.session_id)
    place = ("session_id", found.id)
    number = symbols.delete_place(context.current().db, found.tenant_id, place)
    return flask.jsonify({"object": "list", "deleted": number})


@routes.get("/v1/sessions/<session_id>/export")
def export(path: schemas.SessionPath, query: schemas.NoQuery) -> flask.Response:
    """The session, its turns and its symbols as JSON lines, read in pieces."""
    db, found = context.current().db, _find(path.session_id)
    lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in _iterate(db, found))
    return flask.Response(lines, mimetype="application/jsonl")


def _iterate(db: Database, session: Session) -> Iterator[dict[str, Any]]:
    yield objects.show_session(session)
    last = 0
    while turns := sessions.list_turns(db, session.id, after=last, limit=_PIECE):
        yield from map(objects.show_turn, turns)
        last = turns[-1].turn_no
    last = 0
    place = ("session_id", session.id)
    while page := symbols.list_page(db, session.tenant_id, place, limit=_PIECE, after=last):
        yield from map(objects.show_symbol, page)
        last = page[-1].id
