"""What a worker and the control process answer to over Celery's remote control."""

from collections.abc import Iterator
from typing import Any

import pytest

from app import queue
from app.models.database import Database
from tests.integration.workplace import HOST, Workplace, opened, wait_for

pytestmark = pytest.mark.integration
WORKER, CONTROL = f"cpu-0@{HOST}", f"control@{HOST}"
ASKED_BY_FLOWER = (
    "stats",
    "active_queues",
    "registered",
    "scheduled",
    "active",
    "reserved",
    "revoked",
    "conf",
)
REFUSED: dict[str, dict[str, Any]] = {
    "pool_shrink": {"n": 1},
    "pool_grow": {"n": 1},
    "pool_restart": {},
    "autoscale": {"max": 0, "min": 0},
    "shutdown": {},
    "cancel_consumer": {"queue": queue.CONTROL},
    "add_consumer": {"queue": "other"},
    "rate_limit": {"task_name": queue.SHIFT_TASK, "rate_limit": "1/h"},
    "time_limit": {"task_name": queue.SHIFT_TASK, "hard": 0.1},
    "revoke": {"task_id": "x", "terminate": True},
    "terminate": {"task_id": "x", "signal": "KILL"},
    "disable_events": {},
}


@pytest.fixture(scope="module")
def place(
    module_database: Database, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workplace]:
    folder = tmp_path_factory.mktemp("commands")
    with opened(module_database, f"{redis_server}?virtual_host=6", folder) as made:
        made.start_worker()
        made.start_control()
        made.wait_ready()
        wait_for(lambda: set(ask(made, "ping", seconds=2)) == {WORKER, CONTROL}, "both to answer")
        yield made


def ask(place: Workplace, command: str, seconds: float = 60.0, **arguments: Any) -> dict[str, Any]:
    """What each node answers."""
    answers = place.app.control.broadcast(
        command, arguments=arguments, reply=True, timeout=seconds, limit=2
    )
    return {node: said for answer in answers for node, said in answer.items()}


@pytest.mark.parametrize("command", REFUSED)
def test_a_command_that_could_stop_or_starve_a_worker_is_refused(place: Workplace, command: str):
    row = place.wait_ready()

    answers = ask(place, command, **REFUSED[command])

    assert set(answers) == {WORKER, CONTROL}
    assert all("KeyError" in said["error"] for said in answers.values())
    assert (now := place.row()) is not None
    assert (now.epoch, now.state) == (row.epoch, "ready")


@pytest.mark.parametrize("command", ASKED_BY_FLOWER)
def test_what_flower_asks_is_answered(place: Workplace, command: str):
    answers = ask(place, command)

    assert set(answers) == {WORKER, CONTROL}
    assert not [said for said in answers.values() if isinstance(said, dict) and "error" in said]


def test_after_all_commands_a_job_is_done_and_everything_runs(place: Workplace):
    job = place.add()
    place.hint([job])

    assert place.wait_ended(job)[0].state == "succeeded"
    assert [program.process.poll() for program in place.programs] == [None, None]


def test_nothing_else_is_left_to_be_asked(place: Workplace):
    from celery.worker.control import Panel

    for command in set(Panel.data) - queue.REMOTE_COMMANDS - set(REFUSED):
        assert all("KeyError" in said["error"] for said in ask(place, command).values()), command
