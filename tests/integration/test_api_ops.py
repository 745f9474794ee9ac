"""What operators read: health, metrics, the description of the API, and the key commands."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app import cli, locales
from app.api import context
from app.models import claims, keys, migrate, workers
from app.models.database import Database
from app.models.states import WorkerState
from tests.integration.apis import Api

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Api:
    return Api(database, redis_url, tmp_path)


def probe(api: Api) -> None:
    with api.app.app_context():
        context.current().health.probe()


def test_health_is_200_when_each_model_has_a_ready_worker_and_503_with_reasons_before(
    api: Api,
) -> None:
    probe(api)
    before = api.client.get("/health")
    for pulse in (1, 2):
        for model in ("small", "large"):
            beat(api.db, model, pulse)
        probe(api)

    after = api.client.get("/health")

    assert before.status_code == 503
    assert before.json["status"] == "unhealthy"
    assert [reason["component"] for reason in before.json["reasons"]] == [
        "worker:small",
        "worker:large",
    ]
    assert all(reason["message"] for reason in before.json["reasons"])
    assert (after.status_code, after.json) == (200, {"status": "healthy"})


def beat(db: Database, model: str, pulse: int) -> None:
    slot = f"here/{model}"
    found = workers.get(db, slot)
    if found is None:
        identity = workers.Identity(slot, model, "here", 1, 1)
        workers.enroll(db, identity, max_attempts=3)
        found = workers.get(db, slot)
    assert found is not None
    holder = claims.Holder(slot, found.epoch)
    workers.update(db, holder, pulse=pulse, state=WorkerState.READY.value)


def test_metrics_count_requests_by_route_and_jobs_by_state(api: Api) -> None:
    job_id = api.submit()
    api.submit()
    api.client.post(f"/v1/jobs/{job_id}/cancel")
    api.client.get("/v1/nowhere/123")
    api.work(api.submit())

    text = api.client.get("/metrics").text

    assert (
        'autoglm_http_requests_total{method="POST",route="/v1/jobs/<job_id>/cancel",status="200"} 1.0'
        in text
    )
    assert 'autoglm_jobs{model="small",state="cancelled"} 1.0' in text
    assert 'autoglm_jobs{model="small",state="succeeded"} 1.0' in text
    assert 'autoglm_model_loads_total{model="small",slot="here/cpu:0"} 0.0' in text
    assert 'autoglm_http_request_seconds_bucket{le="0.005",method="POST",route="/v1/jobs"' in text
    assert job_id not in text
    assert "nowhere" not in text


def documented(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.client.get("/openapi.json").json
    return found


def test_every_route_is_described_and_only_health_is_open(api: Api) -> None:
    found = documented(api)

    rules = {
        re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule)
        for rule in api.app.url_map.iter_rules()
        if not rule.rule.startswith(("/docs", "/openapi"))
    }
    assert set(found["paths"]) == rules
    keyless = {
        path
        for path, operations in found["paths"].items()
        for operation in operations.values()
        if not operation["security"]
    }
    assert keyless == {"/health", "/health/live", "/health/ready"}
    assert found["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_every_reference_of_the_description_leads_somewhere(api: Api) -> None:
    found = documented(api)
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(found)))

    assert references
    assert references <= set(found["components"]["schemas"])
    errors = found["paths"]["/v1/jobs"]["post"]["responses"]
    assert {"202", "400", "401", "404", "409", "429", "503"} <= set(errors)


def test_every_status_of_the_error_table_is_described_somewhere(api: Api) -> None:
    table = set(
        re.findall(r"^\| .+? \| (\d{3}) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    )
    operations = [each for path in documented(api)["paths"].values() for each in path.values()]

    described = {status for each in operations for status in each["responses"]}

    assert len(table) >= 12
    assert table - described == {
        "414",
        "417",
        "431",
        "501",
    }  # refused before anybody knows which operation


def test_event_streams_are_described(api: Api) -> None:
    shown = documented(api)["paths"]["/v1/responses"]["post"]["responses"]["200"]["content"]

    assert set(shown) == {"application/json", "text/event-stream"}


def test_the_documentation_page_needs_no_internet(api: Api) -> None:
    page = api.client.get("/docs/", follow_redirects=True)

    assert page.status_code == 200
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    for source in sources:
        assert "//" not in source
        with api.client.get(f"/docs/{source}") as answer:
            assert answer.status_code == 200


def test_models_are_listed_with_their_aliases(api: Api) -> None:
    shown = api.client.get("/v1/models").json["data"]

    assert [model["id"] for model in shown] == ["small", "nick", "large"]
    assert api.client.get("/v1/models/nick").json["object"] == "model"


def test_every_route_is_in_the_written_documentation(api: Api) -> None:
    text = DOCS.read_text(encoding="utf-8")

    missing = [
        f"{method.upper()} {path}"
        for path, operations in documented(api)["paths"].items()
        for method in operations
        if f"`{method.upper()} {path}`" not in text
    ]

    assert missing == []


def test_every_code_named_in_the_written_documentation_has_a_text_in_every_language() -> None:
    codes = re.findall(r"^\| `(\w+)` \| \d", DOCS.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(codes) > 20
    for locale in ("en-US", "zh-CN", "ja-JP"):
        assert [code for code in codes if f"errors.{code}" not in locales.texts(locale)] == []


@pytest.fixture
def run(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AUTOGLM_DATABASE__URL", database_url)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(cli.main, list(arguments))

    return call


def test_a_key_is_made_shown_once_listed_without_its_secret_and_revoked(
    run: Any, database: Database
) -> None:
    made = run("keys", "create", "laptop", "--tenant", "team")
    secret = made.stdout.strip()

    key = keys.find(database, secret)
    assert made.exit_code == 0
    assert key is not None
    assert (key.name, key.tenant_id) == ("laptop", "team")
    listed = run("keys", "list").stdout
    assert key.id in listed
    assert "active" in listed
    assert secret not in listed
    assert run("keys", "revoke", key.id).exit_code == 0
    assert keys.find(database, secret) is None
    assert "revoked" in run("keys", "list").stdout


@pytest.mark.parametrize("words", [("", "--tenant", "team"), ("laptop", "--tenant", "")])
def test_a_key_without_a_name_or_a_tenant_is_refused(run: Any, words: tuple[str, ...]) -> None:
    """An unset variable of a script is an empty word."""
    refused = run("keys", "create", *words)

    assert (refused.exit_code, refused.stdout) == (2, "")


def test_the_stored_database_holds_no_secret(run: Any, database_url: str, tmp_path: Path) -> None:
    secret = run("keys", "create", "laptop").stdout.strip()

    stored = b"".join(path.read_bytes() for path in tmp_path.glob("autoglm.db*"))

    assert b"laptop" in stored
    assert secret.encode() not in stored


def test_revoking_an_unknown_key_fails_by_name(run: Any) -> None:
    done = run("keys", "revoke", "key_none")

    assert done.exit_code == 1
    assert "key_none" in done.output


def test_the_database_goes_down_and_up_again(run: Any) -> None:
    newest = migrate.head_revision()
    assert f"version {newest}; newest {newest}" in run("db", "current").stdout
    assert "schema version -;" in run("db", "downgrade", "base").stdout
    refused = run("keys", "list")
    assert refused.exit_code == 1
    assert "autoglm db upgrade" in refused.output
    assert run("db", "upgrade").exit_code == 0
    assert run("keys", "list").exit_code == 0
