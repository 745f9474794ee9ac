"""A batch that fills the worker to the brim, and a call that does not wait for it."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.models import jobs
from app.models.keys import DEFAULT_TENANT
from tests.acceptance.stack import Stack, fake_config, running
from tests.acceptance.test_batch_depth import make_line, submit
from tests.integration.workplace import wait_for

pytestmark = pytest.mark.acceptance
STEP_SECONDS = 3.0  # long beside what a busy machine adds to a call
SEQUENCES = 8  # run at once, in fake_config
HELD = 2 * SEQUENCES + 4  # lines that a full worker has: in the engine, and ready beside it


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    config = fake_config(step_seconds=STEP_SECONDS)
    with running(tmp_path_factory.mktemp("full"), config, "--no-flower") as made:
        made.wait_healthy()
        yield made


def test_a_call_starts_at_once_while_a_batch_fills_the_worker(stack: Stack):
    """By the times that the store has: no line of the batch is claimed after the call came, none
    ends before it, and from its claim to its end there are no four steps, its own among them. The
    lines have 3000 each."""
    lines = (make_line(n, max_tokens=3000, ignore_eos=True) for n in range(3 * HELD))
    batch = submit(stack, b"".join(lines))
    before = wait_for(lambda: find_full(stack, batch["id"]), "a full worker")

    said = {"model": "fake", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    answer = stack.post("/v1/chat/completions", said)
    after = list_lines(stack, batch["id"])

    assert answer.status_code == 200, answer.text
    db = stack.database()
    call = jobs.get(db, DEFAULT_TENANT, answer.json()["id"].replace("chatcmpl-", "job_"))
    db.close()
    assert after == before  # the same lines, since the same moments, and none has ended
    assert call.finished_at is not None
    assert call.started_at is not None
    assert call.started_at - call.created_at < 60
    assert (call.finished_at - call.started_at) / STEP_SECONDS < 4


def find_full(stack: Stack, batch_id: str) -> dict[str, float] | None:
    found = list_lines(stack, batch_id)
    return found if len(found) == HELD else None


def list_lines(stack: Stack, batch_id: str) -> dict[str, float]:
    """The lines that the worker has, and since when; those that have ended count as well."""
    query: dict[str, Any] = {"batch_id": batch_id, "limit": 100}
    page = stack.http.get("/v1/jobs", params=query).json()["data"]
    return {job["id"]: job["started_at"] for job in page if job["status"] != "queued"}
