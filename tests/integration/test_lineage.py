"""Conversations inside a batch: who follows on whom, who waits, who fails with whom."""

from pathlib import Path
from typing import Any

import pytest

from app import text
from app.errors import BadRequest, EngineError
from app.inference.engine import FinishReason, Output
from app.intake import links
from app.models import batches, chains, claims, jobs, lineage, sessions
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire import replies, responses
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


def reply(number: int | str, **body: Any) -> bytes:
    """A line of /v1/responses."""
    whole = {"model": makers.MODEL, "input": f"hi {number}"} | body
    return make_line(number, url=responses.ENDPOINT, body=whole)


def take_in(context: Context, content: bytes, **changes: Any) -> tuple[Batch, list[Job]]:
    batch = inputs.submit(context, content, **changes)
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


def test_a_response_follows_on_a_line_and_says_its_own_instructions_alone(context: Context):
    content = reply(1, instructions="Rule one.") + reply(
        2, previous_response_id="custom_id:c1", instructions="Rule two."
    )
    parts = [{"type": "input_text", "text": "hi 3"}]
    said = [{"role": "user", "content": parts}]
    content += reply(3, previous_response_id="custom_id:c2", input=said)
    take_in(context, content, endpoint=responses.ENDPOINT)
    holder = makers.add_worker(context.db)
    seen: dict[str | None, str] = {}
    while held := makers.take(context.db, holder):
        seen |= {job.custom_id: render(context, job) for job in held}
        claims.settle(context.db, [makers.succeed(job, f"re {job.custom_id}") for job in held])

    begin = "user: hi 1\nassistant: "
    second = f"{begin}re c1\nuser: hi 2\nassistant: "
    assert seen == {
        "c1": f"system: Rule one.\n{begin}",
        "c2": f"system: Rule two.\n{second}",
        "c3": f"{second}re c2\nuser: hi 3\nassistant: ",
    }


def test_the_object_of_a_response_repeats_what_it_follows_on(context: Context):
    content = reply(1) + reply(2, previous_response_id="custom_id:c1")
    _, (first, second) = take_in(context, content, endpoint=responses.ENDPOINT)

    shown = [replies.show(job)["previous_response_id"] for job in (first, second)]

    assert (second.parent_line, shown) == (1, [None, "custom_id:c1"])


def test_responses_of_a_session_are_its_turns_without_their_instructions(context: Context):
    session = sessions.create(context.db, DEFAULT_TENANT, None)
    content = reply(1, session_id=session.id, instructions="Rule.")
    content += reply(2, session_id=session.id)
    take_in(context, content, endpoint=responses.ENDPOINT)
    holder = makers.add_worker(context.db)
    (first,) = makers.take(context.db, holder)
    order = orders.prepare(context.db, text.Bytes(), first, None)
    output = Output(order.request.id, (1,), "re c1", FinishReason.STOP, 1)
    claims.settle(context.db, [orders.conclude(order, output, {})])

    (second,) = makers.take(context.db, holder)

    assert bytes(order.request.prompt).decode().startswith("system: Rule.\nuser: hi 1\n")
    assert render(context, second) == "user: hi 1\nassistant: re c1\nuser: hi 2\nassistant: "


REPLIES: list[tuple[dict[str, Any], str, str]] = [
    ({"previous_response_id": "resp_1"}, "unsupported_parameter", "previous_response_id"),
    ({"previous_response_id": ["c1"]}, "invalid_type", "previous_response_id"),
    ({"previous_response_id": "custom_id:"}, "previous_line_not_found", "previous_response_id"),
    ({"previous_response_id": "custom_id:c2"}, "previous_line_not_found", "previous_response_id"),
    ({"session_id": 7}, "invalid_type", "session_id"),
    ({"session_id": "sess_of_nobody"}, "session_not_found", "session_id"),
    (
        {"session_id": "s", "previous_response_id": "custom_id:c1"},
        "session_and_previous",
        "previous_response_id",
    ),
]


@pytest.mark.parametrize(("change", "code", "param"), REPLIES)
def test_a_response_that_names_no_conversation_rightly_fails_alone(
    context: Context, change: dict[str, Any], code: str, param: str
):
    content = reply(1) + reply(2, **change) + reply(3)

    _, lines = take_in(context, content, endpoint=responses.ENDPOINT)

    assert codes(lines) == [None, code, None]
    assert lines[1].error
    assert lines[1].error["param"] == param


@pytest.mark.parametrize("body", [{"session_id": None}, {"previous_response_id": None}])
def test_null_names_no_conversation(context: Context, body: dict[str, Any]):
    _, lines = take_in(context, reply(1, **body), endpoint=responses.ENDPOINT)
    named = {f"body_{name}": value for name, value in body.items()}
    _, chats = take_in(context, make_line(1, **named).replace(b"hi 1", b"hi"))

    assert codes(lines) == codes(chats) == [None]


def test_nobody_goes_on_with_the_response_of_a_line(context: Context):
    session = sessions.create(context.db, DEFAULT_TENANT, None)
    content = reply(1, session_id=session.id)
    _, (line,) = take_in(context, content, endpoint=responses.ENDPOINT)
    request = {"messages": [], "sampling": {}, "response": {"store": True}}
    new = makers.new_job(endpoint=responses.ENDPOINT, request=request)

    with pytest.raises(BadRequest, match="previous_response_not_found"):
        chains.create(context.db, new, previous_id=replies.name(line), max_queued=None)


def test_what_is_not_stored_waits_for_nothing_and_says_why(context: Context):
    def ask(previous: Job | None, *, is_stored: bool = True) -> Job:
        request = {"messages": [], "sampling": {}, "response": {"store": is_stored}}
        new = makers.new_job(endpoint=responses.ENDPOINT, request=request)
        previous_id = None if previous is None else replies.name(previous)
        return chains.create(context.db, new, previous_id=previous_id, max_queued=None)[0]

    first = ask(None)
    with pytest.raises(BadRequest, match="previous_response_unfinished"):
        ask(first, is_stored=False)

    ask(first)
    with pytest.raises(BadRequest, match="previous_response_pending"):
        ask(first)


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
    ({"body_session_id": ""}, "too_short"),
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


def test_a_line_that_the_database_refuses_fails_alone_and_is_not_logged(
    context: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Whatever comes through the checks: here they are told that every session is there."""
    monkeypatch.setattr(lineage, "check_sessions", lambda _tx, _tenant, lines: list(lines))
    content = [make_line(n) for n in range(7)]
    content[4] = make_line(4, body_session_id="sess_none")

    batch, lines = take_in(context, b"".join(content))

    assert codes(lines) == [None] * 4 + ["internal_error"] + [None] * 2
    assert [line.custom_id for line in lines] == [f"c{n}" for n in range(7)]
    assert makers.reload(context.db, batch).failed == 1
    assert "hi 4" not in caplog.text


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
    body = {"session_id": "s", "previous_response_id": "custom_id:a"}

    assert links.split(body, "/v1/completions", links.Index()) == (body, links.Links())
