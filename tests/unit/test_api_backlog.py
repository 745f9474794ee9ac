"""The queue's cap: exact when near, not counted each time when far."""

import pytest

from app.api import backlog
from app.api.backlog import Backlog
from app.models import jobs
from app.models.database import Database
from app.wire.rows import NewJob

REQUEST = {"messages": [{"role": "user", "content": "x"}], "sampling": {}}


def add(db: Database, number: int) -> None:
    for _ in range(number):
        jobs.create(db, NewJob("default", None, "m", REQUEST))


def test_a_small_cap_is_always_checked_exactly(database: Database) -> None:
    assert Backlog(database, 1000).find_cap() == 1000


def test_a_queue_far_below_its_cap_is_not_counted_with_every_submission(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "COUNT_SECONDS", 3600.0)  # a second that lasts
    found = Backlog(database, 1003)

    assert [found.find_cap() for _ in range(4)] == [None, None, 1003, 1003]


def test_what_others_have_added_is_seen_after_a_second(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "COUNT_SECONDS", 3600.0)
    found = Backlog(database, 1010)
    assert found.find_cap() is None

    add(database, 10)
    assert found.find_cap() is None
    monkeypatch.setattr(backlog, "COUNT_SECONDS", 0.0)

    assert found.find_cap() == 1010


def test_a_place_in_the_queue_counts_what_is_more_urgent_and_what_came_before(
    database: Database,
) -> None:
    priorities = (0, 5, -5, 0, 0)
    made = [
        jobs.create(database, NewJob("default", None, "m", REQUEST, priority=priority))[0]
        for priority in priorities
    ]

    places = [jobs.explain_wait(database, job)[0] for job in made]

    assert places == [2, 1, 5, 3, 4]
