"""Conversations inside a batch: who follows on whom, who waits, who fails with whom."""

from pathlib import Path
from typing import Any

import pytest

from app import text
from app.errors import EngineError
from app.intake import links
from app.models import batches, claims, jobs, sessions
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch, Job, Line
from app.workers import ingest, orders
from app.workers.context import Context
from tests.integration import inputs, makers
from tests.integration.inputs import make_line

pytestmark = [pytest.mark.integration, pytest.mark.databases]


@pytest.fixture
def context(database: Database, tmp_path: Path) -> Context:
    return inputs.make_context(database, tmp_path)


def follow(number: int | str, name: str) -> bytes:
    return make_line(number, body_previous_response_id=f"custom_id:{name}")


def take_in(context: Context, content: bytes) -> tuple[Batch, list[Job]]:
    batch = inputs.submit(context, content)
    ingest.run(context, batch.id)
    return batch, jobs.list_lines(context.db, batch.id, after_line=0, limit=1000)


def codes(lines: list[Job]) -> list[str | None]:
    return [line.error["code"] if line.error else None for line in lines]


def render(context: Context, job: Job) -> str:
    """The prompt that the engine gets."""
    return bytes(orders.prepare(context.db, text.Bytes(), job, None).request.prompt).decode()


def test_conversations_run_in_order_and_beside_each_other(context: Context):
    take_in(context, make_line(1) + follow(2, "c1") + make_line(3) + follow(4, "c2"))
    holder = makers.add_worker(context.db)

    rounds: list[list[str | None]] = []
    while held := makers.take(context.db, holder):
        rounds.append([job.custom_id for job in held])
        claims.settle(context.db, [makers.succeed(job) for job in held])

    assert rounds == [["c1", "c3"], ["c2"], ["c4"]]


def test_a_line_sees_what_was_said_before_it_and_two_may_follow_on_one(context: Context):
    take_in(context, make_line(1) + follow(2, "c1") + follow(3, "c2") + follow(4, "c1"))
    holder = makers.add_worker(context.db)
    seen: dict[str | None, str] = {}
    while held := makers.take(context.db, holder):
        seen |= {job.custom_id: render(context, job) for job in held}
        claims.settle(context.db, [makers.succeed(job, f"re {job.custom_id}") for job in held])

    begin = "user: hi 1\nassistant: re c1\n"
    assert seen["c3"] == f"{begin}user: hi 2\nassistant: re c2\nuser: hi 3\nassistant: "
    assert seen["c4"] == f"{begin}user: hi 4\nassistant: "


def test_what_follows_on_a_failed_line_fails_with_it_and_others_go_on(context: Context):
    take_in(context, make_line(1) + follow(2, "c1") + follow(3, "c2") + make_line(4))
    holder = makers.add_worker(context.db)
    first, other = makers.take(context.db, holder)
    claims.settle(context.db, [makers.fail(first), makers.succeed(other)])

    for name in ("c2", "c3"):
        (job,) = makers.take(context.db, holder)
        assert job.custom_id == name
        with pytest.raises(EngineError) as caught:
            render(context, job)
        assert caught.value.code == "dependency_failed"
        claims.settle(context.db, [orders.refuse(job, caught.value)])


@pytest.mark.parametrize("name", ["c2", "c3", "nobody", ""])
def test_a_line_that_names_itself_a_later_or_no_line_fails_alone(context: Context, name: str):
    _, lines = take_in(context, make_line(1) + follow(2, name) + make_line(3))

    assert codes(lines) == [None, "previous_line_not_found", None]
    assert lines[1].error
    assert lines[1].error["param"] == "previous_response_id"


BODIES: list[tuple[dict[str, Any], str]] = [
    ({"body_session_id": "s", "body_previous_response_id": "custom_id:c1"}, "session_and_previous"),
    ({"body_session_id": 7}, "invalid_type"),
    ({"body_previous_response_id": ["c1"]}, "invalid_type"),
    ({"body_previous_response_id": "resp_1"}, "previous_line_not_found"),
    ({"body_session_id": "sess_of_nobody"}, "session_not_found"),
]


@pytest.mark.parametrize(("change", "code"), BODIES)
def test_a_line_that_names_no_conversation_rightly_fails_alone(
    context: Context, change: dict[str, Any], code: str
):
    _, lines = take_in(context, make_line(1) + make_line(2, **change) + make_line(3))

    assert codes(lines) == [None, code, None]


def test_lines_of_a_session_run_in_order_past_a_failed_one(context: Context):
    session = sessions.create(context.db, DEFAULT_TENANT, None)
    content = b"".join(make_line(n, body_session_id=session.id) for n in range(3))
    take_in(context, content)
    holder = makers.add_worker(context.db)

    (first,) = makers.take(context.db, holder)
    claims.settle(context.db, [makers.fail(first)])
    (second,) = makers.take(context.db, holder)
    claims.settle(context.db, [makers.succeed(second)])
    (third,) = makers.take(context.db, holder)

    assert [job.custom_id for job in (first, second, third)] == ["c0", "c1", "c2"]
    assert len(sessions.list_turns(context.db, session.id)) == 1


def test_a_deleted_session_leaves_the_lines_of_its_batch_to_be_counted(context: Context):
    session = sessions.create(context.db, DEFAULT_TENANT, None)
    batch, _ = take_in(context, make_line(1, body_session_id=session.id) + make_line(2))

    sessions.delete(context.db, DEFAULT_TENANT, session.id)

    found = makers.reload(context.db, batch)
    lines = jobs.list_lines(context.db, batch.id, after_line=0, limit=10)
    assert [line.state for line in lines] == ["cancelled", "queued"]
    assert (found.total, found.failed) == (2, 1)
    assert lines[0].error == {"code": "session_deleted", "values": {"id": session.id}}


def test_an_ingest_that_goes_on_after_a_kill_knows_the_earlier_lines(context: Context):
    batch = inputs.submit(context, make_line(1) + follow(2, "c1"))
    batches.accept(context.db, batch.id, model=makers.MODEL, total=2)
    first = Line(1, "c1", makers.MODEL, {"messages": [], "sampling": {}})
    batches.add_lines(context.db, batch, [first], last_line=1)

    ingest.run(context, batch.id)

    lines = jobs.list_lines(context.db, batch.id, after_line=0, limit=10)
    assert [line.parent_line for line in lines] == [None, 1]


def test_lines_without_messages_have_no_conversation():
    body = {"session_id": "s"}

    assert links.split(body, "/v1/completions", links.Index()) == (body, links.Links())
