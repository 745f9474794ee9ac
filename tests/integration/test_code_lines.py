"""Lines of a batch that ask for code: stored as code jobs, answered with their parts."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.models import claims, jobs, sessions
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire import render
from app.wire.rows import Job
from app.workers import ingest
from app.workers.context import Context
from tests.integration import inputs
from tests.integration.inputs import make_line
from tests.integration.test_coder import DOUBLE, Desk

pytestmark = pytest.mark.integration


@pytest.fixture
def context(database: Database, tmp_path: Path) -> Context:
    return inputs.make_context(database, tmp_path)


def take_in(context: Context, content: bytes) -> list[Job]:
    batch = inputs.submit(context, content)
    ingest.run(context, batch.id)
    return jobs.list_lines(context.db, batch.id, after_line=0, limit=100)


def test_a_line_of_kind_code_becomes_a_code_job_with_scope_and_session(context: Context):
    session = sessions.create(context.db, DEFAULT_TENANT, None)
    fields: dict[str, Any] = {"body_kind": "code", "body_scope": "project"}

    code, plain = take_in(
        context, make_line(1, body_session_id=session.id, **fields) + make_line(2)
    )

    assert (code.kind, code.session_id, code.request["scope"]) == ("code", session.id, "project")
    assert (plain.kind, "scope" in plain.request) == ("text", False)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"body_kind": "image"}, "invalid_value"),
        ({"body_kind": ["code"]}, "invalid_value"),
        ({"body_kind": ""}, "invalid_value"),
        ({"body_kind": 0}, "invalid_value"),
        ({"body_kind": False}, "invalid_value"),
        ({"body_kind": "code", "body_scope": ""}, "too_short"),
        ({"body_kind": "code", "body_scope": "/a"}, "invalid_value"),
        ({"body_kind": "code", "body_scope": "a/symbols"}, "invalid_value"),
        ({"body_kind": "code", "body_scope": "a\nb"}, "invalid_value"),
        ({"body_scope": "project"}, "scope_without_code"),
        ({"body_kind": "code", "body_scope": 5}, "invalid_type"),
        ({"body_kind": "code", "body_scope": "x" * 129}, "too_long"),
    ],
)
def test_a_wrong_kind_or_scope_fails_its_line_alone(
    context: Context, fields: dict[str, Any], error: str
):
    wrong, right = take_in(context, make_line(1, **fields) + make_line(2))

    assert (wrong.error or {})["code"] == error
    assert (right.state, right.error) == ("queued", None)


def test_the_output_line_has_code_symbols_and_checks(context: Context):
    desk = Desk(context.db)
    (line,) = take_in(context, make_line(1, body_kind="code"))
    (job,) = claims.claim(context.db, desk.holder, line.model, limit=1, may_isolate=True)

    desk.answer(job, DOUBLE)

    (done,) = jobs.list_lines(context.db, str(line.batch_id), after_line=0, limit=1)
    shown = json.loads(json.dumps(render.output_line(done, lambda code, _values: code)))
    coding = shown["response"]["body"]["coding"]
    assert (coding["code"], coding["symbols"][0]["name"]) == (DOUBLE, "double")
    assert coding["checks"][0]["state"] == "passed"
