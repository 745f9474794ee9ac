"""/v1/scopes: symbols that the sessions of one tenant share under a name."""

import flask
from flask_openapi.blueprint import APIBlueprint

from app.api import answers, context, schemas
from app.models import symbols
from app.wire import objects

PATH = "/v1/scopes/<path:scope>/symbols"  # a scope may be "team/geometry"

routes = APIBlueprint(
    "scopes", __name__, abp_tags=[{"name": "sessions"}], abp_responses=answers.CHANGES
)


@routes.get(PATH, responses={"200": answers.ListObject})
def list_symbols(path: schemas.ScopePath, query: schemas.SymbolPage) -> flask.Response:
    """The newest version of every symbol in the scope, whichever session made it."""
    page = symbols.list_page(
        context.current().db,
        context.caller().tenant_id,
        ("scope", path.scope),
        limit=query.limit + 1,
        after=query.after,
    )
    shown = [objects.show_symbol(symbol) for symbol in page[: query.limit]]
    return flask.jsonify(objects.show_list(shown, has_more=len(page) > query.limit))


@routes.post(f"{PATH}/<name>/pin", responses={"200": answers.PinnedObject})
def pin(path: schemas.ScopedPath, body: schemas.PinBody) -> flask.Response:
    """Keep a symbol beyond limit and age, or no longer, in every session that shares it."""
    place, tenant_id = ("scope", path.scope), context.caller().tenant_id
    symbols.pin(context.current().db, tenant_id, place, path.name, pinned=body.pinned)
    return flask.jsonify({"object": "scope.symbol", "name": path.name, "pinned": body.pinned})


@routes.delete(f"{PATH}/<name>", responses={"200": answers.DeletedObject})
def delete(path: schemas.ScopedPath, query: schemas.NoQuery) -> flask.Response:
    """Forget one symbol of the scope with its history, in the sessions that made it too."""
    place = ("scope", path.scope)
    symbols.delete(context.current().db, context.caller().tenant_id, place, path.name)
    return flask.jsonify(objects.show_deleted("scope.symbol", path.name))


@routes.delete(PATH, responses={"200": answers.ForgottenObject})
def delete_all(path: schemas.ScopePath, query: schemas.NoQuery) -> flask.Response:
    """Forget every symbol of the scope, in the sessions that made them too."""
    tenant_id = context.caller().tenant_id
    number = symbols.delete_place(context.current().db, tenant_id, ("scope", path.scope))
    return flask.jsonify({"object": "list", "deleted": number})
