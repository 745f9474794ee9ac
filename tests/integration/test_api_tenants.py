"""Keys and tenants: who is let in, and that nobody sees another's objects on any route."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.routing import Rule

from app import settings
from app.api import auth, wsgi
from app.errors import SettingsError
from app.models import keys
from app.models.database import Database
from tests.integration.apis import Api

OPEN = {"/health", "/health/live", "/health/ready"}
OWNED = {"job_id", "session_id", "file_id", "batch_id", "response_id"}
WITHIN = {"number": "1", "line": "1", "name": "double"}  # in an owned object


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Api:
    return Api(database, redis_url, tmp_path)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def rules(api: Api) -> Iterator[tuple[str, Rule]]:
    for rule in api.app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule


def path_of(rule: Rule, ids: dict[str, str]) -> str:
    path = rule.rule.replace("<path:", "<")
    for name in rule.arguments:
        path = path.replace(f"<{name}>", (WITHIN | ids).get(name, "small")).replace(
            "<filename>", "x.css"
        )
    return path


@pytest.mark.parametrize("headers", [{}, bearer("anything"), {"Authorization": "Basic eA=="}])
def test_while_no_key_exists_every_request_is_the_default_tenants(
    api: Api, headers: dict[str, str]
) -> None:
    assert api.client.get("/v1/jobs", headers=headers).status_code == 200


def test_once_a_key_exists_every_route_but_health_needs_one(api: Api) -> None:
    keys.create(api.db, "first")

    answers = {
        f"{method} {rule.rule}": api.client.open(path_of(rule, {}), method=method)
        for method, rule in rules(api)
    }

    refused = {name for name, answer in answers.items() if answer.status_code == 401}
    assert set(answers) - refused == {f"GET {path}" for path in OPEN}
    answer = answers["GET /v1/jobs"]
    assert answer.json["error"]["code"] == "key_missing"
    assert answer.json["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("header", ["Bearer wrong", "bearer", "Basic x", "Bearer \xe9"])
def test_a_wrong_key_is_401(api: Api, header: str) -> None:
    keys.create(api.db, "first")

    answer = api.client.get("/v1/jobs", headers={"Authorization": header})

    assert answer.status_code == 401


def test_a_revoked_key_is_refused_on_the_next_request(api: Api) -> None:
    key, secret = keys.create(api.db, "first")
    assert api.client.get("/v1/jobs", headers=bearer(secret)).status_code == 200

    keys.revoke(api.db, key.id)

    answer = api.client.get("/v1/jobs", headers=bearer(secret))
    assert (answer.status_code, answer.json["error"]["code"]) == (401, "key_invalid")


def make_objects(api: Api, headers: dict[str, str]) -> dict[str, str]:
    """One object of each kind that has an id in some route."""

    def post(path: str, **body: Any) -> str:
        return str(api.client.post(path, json=body, headers=headers).json["id"])

    form = {"purpose": "batch", "file": (io.BytesIO(b"{}\n"), "x.jsonl")}
    file_id = api.client.post("/v1/files", data=form, headers=headers).json["id"]
    window = {"endpoint": "/v1/completions", "completion_window": "24h"}
    return {
        "job_id": post("/v1/jobs", model="small", prompt="x"),
        "session_id": post("/v1/sessions"),
        "file_id": file_id,
        "batch_id": post("/v1/batches", input_file_id=file_id, **window),
        "response_id": post("/v1/responses", model="small", input="x", background=True),
    }


def test_another_tenants_ids_are_answered_exactly_like_unknown_ids_on_every_route(
    api: Api,
) -> None:
    mine = bearer(keys.create(api.db, "a", "tenant-a")[1])
    other = bearer(keys.create(api.db, "b", "tenant-b")[1])
    theirs = make_objects(api, other)
    unknown = {name: value[:-4] + "0000" for name, value in theirs.items()}
    tried = set()

    for method, rule in rules(api):
        if not rule.arguments & OWNED:
            continue
        tried |= rule.arguments & OWNED
        body = {"pinned": True} if rule.rule.endswith("/pin") else None
        query = {"custom_id": "a"} if rule.rule.endswith("/lines") else None
        foreign, absent = (
            api.client.open(
                path_of(rule, ids), method=method, headers=mine, json=body, query_string=query
            )
            for ids in (theirs, unknown)
        )
        (name,) = rule.arguments & OWNED
        assert foreign.status_code == absent.status_code == 404, rule
        assert foreign.text.replace(theirs[name], unknown[name]) == absent.text

    assert tried == OWNED
    scope = api.client.get("/v1/scopes/small/symbols", headers=mine)
    assert scope.json["data"] == []  # a tenant's own, whatever its name
    still_there = api.client.get(f"/v1/sessions/{theirs['session_id']}", headers=other)
    assert still_there.status_code == 200
    cancelled = api.client.get(f"/v1/jobs/{theirs['job_id']}", headers=other)
    assert cancelled.json["status"] == "queued"


def test_every_argument_of_every_route_is_known_to_the_tenant_test(api: Api) -> None:
    known = OWNED | WITHIN.keys() | {"model", "filename", "scope"}

    assert set().union(*(rule.arguments for _, rule in rules(api))) <= known


def test_ids_in_bodies_and_queries_cannot_reach_another_tenant(api: Api) -> None:
    mine = bearer(keys.create(api.db, "a", "tenant-a")[1])
    theirs = make_objects(api, bearer(keys.create(api.db, "b", "tenant-b")[1]))

    job = {"model": "small", "prompt": "x", "session_id": theirs["session_id"]}
    assert api.client.post("/v1/jobs", json=job, headers=mine).status_code == 404
    for query in ("session_id", "batch_id"):
        found = api.client.get(f"/v1/jobs?{query}={theirs[query]}", headers=mine)
        assert found.json["data"] == []
    for path, name in (("jobs", "job_id"), ("sessions", "session_id"), ("files", "file_id")):
        found = api.client.get(f"/v1/{path}?after={theirs[name]}", headers=mine)
        assert found.status_code == 404
    body = {
        "input_file_id": theirs["file_id"],
        "endpoint": "/v1/completions",
        "completion_window": "24h",
    }
    assert api.client.post("/v1/batches", json=body, headers=mine).json["status"] == "validating"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("jobs", "job_id"),
        ("sessions", "session_id"),
        ("files", "file_id"),
        ("batches", "batch_id"),
    ],
)
def test_lists_show_the_tenants_own_objects_only(api: Api, path: str, name: str) -> None:
    mine = bearer(keys.create(api.db, "a", "tenant-a")[1])
    other = bearer(keys.create(api.db, "b", "tenant-b")[1])
    theirs = make_objects(api, other)

    assert api.client.get(f"/v1/{path}", headers=mine).json["data"] == []
    listed = api.client.get(f"/v1/{path}", headers=other).json["data"]
    assert theirs[name] in {each["id"] for each in listed}


def test_two_tenants_may_use_the_same_idempotency_key(api: Api) -> None:
    ids = set()
    for tenant in ("a", "b"):
        headers = {**bearer(keys.create(api.db, tenant, tenant)[1]), "Idempotency-Key": "same"}
        body = {"model": "small", "prompt": tenant}
        ids.add(api.client.post("/v1/jobs", json=body, headers=headers).json["id"])

    assert len(ids) == 2


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("gpu1.example", False),
    ],
)
def test_only_loopback_is_served_without_keys(
    database: Database, host: str, is_loopback: bool
) -> None:
    options = settings.Settings(server=settings.Server(host=host))
    assert auth.is_loopback(host) is is_loopback

    if is_loopback:
        auth.require_safe(options, database)
    else:
        with pytest.raises(SettingsError, match="keys_required"):
            auth.require_safe(options, database)
    keys.create(database, "first")
    auth.require_safe(options, database)


def test_a_process_does_not_start_on_an_open_address_without_keys(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    options = settings.Settings(
        server=settings.Server(host="0.0.0.0"),
        database=settings.Database(url=database_url),
        redis=settings.Redis(url=redis_url),
        data_dir=tmp_path,
    )

    with pytest.raises(SettingsError, match="keys_required"):
        wsgi.start(options)
