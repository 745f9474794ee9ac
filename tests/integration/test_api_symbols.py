"""Context memory over HTTP: listed, read, pinned, exported, forgotten; never another tenant's."""

import json
from pathlib import Path

import pytest

from app.cli.client import name_part
from app.models import keys, symbols
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Memo, NewSymbol
from tests.integration.apis import Api

pytestmark = pytest.mark.integration
SESSIONS = "/v1/sessions"


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Api:
    return Api(database, redis_url, tmp_path)


def make_session(api: Api, *names: str, scope: str | None = None) -> str:
    session_id = str(api.client.post(SESSIONS, json={}).json["id"])
    new = tuple(NewSymbol(n, "function", "python", f"def {n}(): pass", f"{n}()") for n in names)
    with api.db.write() as tx:
        symbols.store(tx, Memo(DEFAULT_TENANT, "job_1", session_id, scope, new, 500))
    return session_id


def read_names(answer: object) -> list[str]:
    return [symbol["name"] for symbol in answer.json["data"]]  # type: ignore[attr-defined]


def test_symbols_are_listed_in_pages(api: Api):
    path = f"{SESSIONS}/{make_session(api, 'a', 'b', 'c')}/symbols"

    first = api.client.get(f"{path}?limit=2")
    rest = api.client.get(f"{path}?after={first.json['last_id'].removeprefix('sym_')}")

    assert (read_names(first), first.json["has_more"]) == (["a", "b"], True)
    assert (read_names(rest), rest.json["has_more"]) == (["c"], False)


def test_a_symbol_shows_its_versions_and_who_made_it(api: Api):
    session_id = make_session(api, "f")
    newer = NewSymbol("f", "function", "python", "def f(x): pass", "f(x)")
    with api.db.write() as tx:
        symbols.store(tx, Memo(DEFAULT_TENANT, "job_2", session_id, None, (newer,), 500))

    found = api.client.get(f"{SESSIONS}/{session_id}/symbols/f").json

    assert (found["version"], found["signature"], found["job_id"]) == (2, "f(x)", "job_2")
    assert [(v["version"], v["job_id"]) for v in found["versions"]] == [(1, "job_1")]


def test_symbols_are_pinned_and_forgotten(api: Api):
    path = f"{SESSIONS}/{make_session(api, 'a', 'b', 'c')}/symbols"

    pinned = api.client.post(f"{path}/a/pin", json={"pinned": True})
    gone = api.client.delete(f"{path}/b")

    assert pinned.json["pinned"] is True
    assert gone.json == {"id": "b", "object": "session.symbol", "deleted": True}
    assert read_names(api.client.get(path)) == ["a", "c"]
    assert api.client.delete(path).json == {"object": "list", "deleted": 2}
    assert api.client.delete(f"{path}/b").json["error"]["code"] == "symbol_not_found"


def test_a_scope_is_listed_and_forgotten_as_a_whole(api: Api):
    make_session(api, "a", scope="project")
    make_session(api, "b", scope="project")
    make_session(api, "c")

    path = "/v1/scopes/project/symbols"

    assert read_names(api.client.get(path)) == ["a", "b"]
    assert api.client.delete(path).json["deleted"] == 2
    assert read_names(api.client.get(path)) == []


def test_turns_are_pinned_and_forgotten(api: Api):
    session_id = make_session(api)
    for _ in range(2):
        api.work(api.submit(session_id=session_id))
    path = f"{SESSIONS}/{session_id}/turns"

    pinned = api.client.post(f"{path}/2/pin", json={"pinned": True})
    gone = api.client.delete(f"{path}/1")

    assert (pinned.json["number"], pinned.json["pinned"]) == (2, True)
    assert gone.status_code == 200
    assert [turn["number"] for turn in api.client.get(path).json["data"]] == [2]
    assert api.client.delete(f"{path}/1").json["error"]["code"] == "turn_not_found"


def test_a_session_is_exported_with_turns_and_symbols(api: Api):
    session_id = make_session(api, "a")
    api.work(api.submit(session_id=session_id))

    answer = api.client.get(f"{SESSIONS}/{session_id}/export")

    kinds = [json.loads(line)["object"] for line in answer.text.splitlines()]
    assert kinds == ["session", "session.turn", "session.symbol"]


@pytest.mark.parametrize("scope", ["team/geometry", "..", ".", "a b?#", "幾何"])
def test_every_scope_that_a_job_may_name_is_listed_pinned_and_forgotten(api: Api, scope: str):
    make_session(api, "a", scope=scope)
    path = f"/v1/scopes/{name_part(scope)}/symbols"

    assert read_names(api.client.get(path)) == ["a"]
    assert api.client.post(f"{path}/a/pin", json={"pinned": True}).json["pinned"] is True
    assert api.client.delete(f"{path}/a").json["deleted"] is True
    assert read_names(api.client.get(path)) == []


@pytest.mark.parametrize("scope", ["/a", "a/", "a//b", "a/symbols", "symbols", "a\nb", " "])
def test_a_scope_that_no_route_could_name_is_refused(api: Api, scope: str):
    body = {"model": "small", "kind": "code", "prompt": "write f", "scope": scope}

    refused = api.client.post("/v1/jobs", json=body)

    assert (refused.status_code, refused.json["error"]["code"]) == (400, "invalid_value")
    assert refused.json["error"]["param"] == "scope"


def test_a_code_job_is_accepted_with_a_scope_and_a_text_job_with_a_scope_is_not(api: Api):
    body = {"model": "small", "prompt": "write f", "scope": "project"}

    code = api.client.post("/v1/jobs", json={**body, "kind": "code"})
    text = api.client.post("/v1/jobs", json=body)

    assert (code.status_code, code.json["kind"]) == (202, "code")
    assert text.json["error"]["code"] == "scope_without_code"


def test_another_tenant_finds_nothing(api: Api):
    session_id = make_session(api, "secret", scope="project")
    _, key = keys.create(api.db, "n", "stranger")
    headers = {"Authorization": f"Bearer {key}"}

    paths = ["symbols", "symbols/secret", "export"]
    answers = [api.client.get(f"{SESSIONS}/{session_id}/{p}", headers=headers) for p in paths]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    shared = api.client.get("/v1/scopes/project/symbols", headers=headers)
    assert read_names(shared) == []
