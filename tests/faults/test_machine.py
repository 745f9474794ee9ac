"""No sequence of operations and faults breaks the promises, on either database."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from app.models.states import MOVES, TERMINAL, JobState
from tests.conftest import copy_file
from tests.faults.machine import Service
from tests.postgres import running_postgres

pytestmark = [pytest.mark.integration, pytest.mark.databases, pytest.mark.timeout(1500)]

EXAMPLES = {"sqlite": 80, "postgresql": 30}
STEPS = 40


def test_no_sequence_of_operations_and_faults_breaks_the_promises(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    options = hypothesis.settings(
        max_examples=EXAMPLES[database_kind],
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    make = _maker(database_kind, request, tmp_path)
    machine = type("Bound", (Service,), {"make_url": staticmethod(make), "folder": tmp_path})
    run_state_machine_as_test(machine, settings=options)


def _maker(kind: str, request: pytest.FixtureRequest, folder: Path) -> Callable[[], str]:
    """Makes a fresh database each time it is called."""
    if kind == "sqlite":
        migrated = request.getfixturevalue("migrated_file")

        def copy() -> str:
            place = folder / uuid.uuid4().hex
            place.mkdir()
            return copy_file(migrated, place)

        return copy
    server: running_postgres = request.getfixturevalue("migrated_postgres")
    made: list[str] = []

    def create() -> str:
        if made:
            server.execute(f'DROP DATABASE "{made.pop()}" WITH (FORCE)')
        made.append(f"machine_{uuid.uuid4().hex}")
        return server.create(made[0], template="migrated")

    return create


def test_terminal_states_lead_nowhere_and_every_other_state_can_end() -> None:
    assert {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED} == TERMINAL
    open_states: dict[JobState, Any] = {s: m for s, m in MOVES.items() if s not in TERMINAL}
    assert all(moves & TERMINAL for moves in open_states.values())
    assert all(JobState.RUNNING not in moves for s, moves in MOVES.items() if s != "queued")
