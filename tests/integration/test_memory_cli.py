"""`autoglm memory` against a real API: every verb for symbols and turns, of a session and a scope."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app import cli
from app.models.database import Database
from tests.integration.apis import Api
from tests.integration.test_api_symbols import make_session

pytestmark = pytest.mark.integration


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    made = Api(database, redis_url, tmp_path)
    with made.serve():
        yield made


def run(api: Any, *words: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(cli.main, ["memory", *words, "--url", api.url, "--timeout", "5"])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.output.splitlines()]


def names(found: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in found]


def test_symbols_are_listed_pinned_exported_and_forgotten(api: Api, tmp_path: Path):
    session_id = make_session(api, *(f"f{number}" for number in range(102)))

    assert len(names(run(api, "symbols", session_id))) == 102
    assert run(api, "pin", session_id, "f1")[0]["pinned"] is True
    assert run(api, "pin", session_id, "f1", "--off")[0]["pinned"] is False
    assert run(api, "forget", session_id, "f1")[0]["deleted"] is True
    assert "f1" not in names(run(api, "symbols", session_id))
    assert len(run(api, "export", session_id)) == 102  # with the session itself
    run(api, "export", session_id, "-o", str(tmp_path / "out.jsonl"))
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 102
    assert run(api, "forget", session_id)[0]["deleted"] == 101
    assert run(api, "symbols", session_id) == []


def test_turns_are_listed_pinned_exported_and_forgotten(api: Api):
    session_id = make_session(api)
    for prompt in ("one", "two"):
        api.work(api.submit(prompt=prompt, session_id=session_id))

    assert [turn["number"] for turn in run(api, "turns", session_id)] == [1, 2]
    assert run(api, "pin", session_id, "2")[0]["pinned"] is True
    assert run(api, "forget", session_id, "1")[0]["deleted"] is True
    assert [turn["number"] for turn in run(api, "turns", session_id)] == [2]
    assert len(run(api, "export", session_id)) == 2


def test_symbols_of_a_scope_are_listed_pinned_and_forgotten(api: Api):
    make_session(api, "a", "b", scope="team")

    assert names(run(api, "symbols", "team", "--scope")) == ["a", "b"]
    assert run(api, "pin", "team", "a", "--scope")[0]["pinned"] is True
    assert run(api, "symbols", "team", "--scope")[0]["pinned"] is True
    assert run(api, "forget", "team", "a", "--scope")[0]["deleted"] is True
    assert run(api, "forget", "team", "--scope")[0]["deleted"] == 1


def test_an_unknown_symbol_is_an_error_in_words(api: Any):
    session_id = make_session(api)

    done = CliRunner().invoke(cli.main, ["memory", "pin", session_id, "gone", "--url", api.url])

    assert done.exit_code != 0
    assert "gone" in done.output
