"""The order of endings: readers of a running batch miss nothing and see nothing twice."""

import functools
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.models import batches, claims, jobs, results, sizes, sweeps
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.endings import Cursor, Ending
from app.wire.rows import Batch, Job, Problem
from tests.integration import makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]

LINES = 400
COMMITTERS = 4


@pytest.fixture
def others(database: Database) -> Iterator[Callable[[], Database]]:
    """Stores of their own over the same database, as other processes have them."""
    opened: list[Database] = []

    def open_another() -> Database:
        opened.append(Database(database.url.render_as_string(hide_password=False)))
        return opened[-1]

    yield open_another
    for db in opened:
        db.close()


def read_all(db: Database, batch: Batch, *, limit: int = 7) -> list[Ending]:
    found: list[Ending] = []
    while page := results.list_page(
        db, batch.id, after=found[-1].cursor if found else Cursor(), limit=limit
    )[0]:
        found += page
    return found


def commit_some(db: Database, held: list[Job], seed: int) -> None:
    """Settles the jobs in random groups, successes and failures mixed."""
    rng = random.Random(seed)
    rng.shuffle(held)
    while held:
        number = rng.randint(1, 9)
        group, held = held[:number], held[number:]
        claims.settle(db, [rng.choice((makers.succeed, makers.fail))(job) for job in group])


def test_a_reader_beside_many_committers_sees_every_line_once(
    database: Database, others: Callable[[], Database]
) -> None:
    batch = makers.add_batch(database, LINES)
    held = makers.take(database, makers.add_worker(database), limit=LINES)
    shares = [(others(), held[number::COMMITTERS], number) for number in range(COMMITTERS)]
    committers = [threading.Thread(target=commit_some, args=share) for share in shares]
    reader = others()
    seen: list[Ending] = []

    for thread in committers:
        thread.start()
    while any(thread.is_alive() for thread in committers):
        read_rest(reader, batch, seen)
    for thread in committers:
        thread.join()
    while read_rest(reader, batch, seen):
        pass

    assert sorted(each.job.line_no or 0 for each in seen) == list(range(1, LINES + 1))
    order = [(each.cursor.group, each.cursor.line) for each in seen]
    assert order == sorted(set(order))
    groups = [len(list(group)) for _, group in itertools.groupby(order, lambda pair: pair[0])]
    assert len(groups) > COMMITTERS  # it was read while it grew in many commits


def read_rest(db: Database, batch: Batch, seen: list[Ending]) -> list[Ending]:
    after = seen[-1].cursor if seen else Cursor()
    page = results.list_page(db, batch.id, after=after, limit=11)[0]
    seen += page
    return page


def test_whatever_ends_a_line_gives_it_a_place(database: Database) -> None:
    """A bad line at ingest, success, failure, a crash too many, expiry, cancellation."""
    batch = makers.add_batch(database)
    batches.accept(database, batch.id, model=makers.MODEL, total=6)
    lines = makers.make_lines(range(1, 7))
    bad = type(lines[0])(1, "c1", makers.MODEL, {}, Problem("invalid_type"))
    batches.add_lines(database, batch, [bad, *lines[1:]], last_line=6)
    holder = makers.add_worker(database)
    second, third = makers.take(database, holder, limit=2)

    claims.settle(database, [makers.succeed(second), makers.fail(third)])
    makers.take(database, holder, limit=1)
    makers.add_worker(database, max_attempts=1)  # a new child: the fourth line killed its worker
    (fifth,) = jobs.list_lines(database, batch.id, after_line=4, limit=1)
    jobs.cancel(database, DEFAULT_TENANT, fifth.id)
    makers.age(database, "jobs", "expires_at", 10)
    sweeps.expire_overdue(database)

    seen = read_all(database, batch)
    assert [each.job.line_no for each in seen] == [1, 2, 3, 4, 5, 6]
    states = [each.job.state for each in seen]
    assert states == ["failed", "succeeded", "failed", "failed", "cancelled", "expired"]
    groups = [each.cursor.group for each in seen]
    assert groups == sorted(groups)
    assert len(set(groups)) == 6


def test_a_cancelled_batch_ends_its_lines_in_one_group_after_the_others(database: Database) -> None:
    batch = makers.add_batch(database, 5)
    holder = makers.add_worker(database)
    claims.settle(database, [makers.succeed(job) for job in makers.take(database, holder, 2)])

    batches.cancel(database, DEFAULT_TENANT, batch.id)

    cursors = [each.cursor for each in read_all(database, batch)]
    assert [cursor.line for cursor in cursors] == [1, 2, 3, 4, 5]
    assert cursors[1].group < cursors[2].group == cursors[4].group


def test_lines_of_different_batches_do_not_meet(database: Database) -> None:
    first, second = makers.add_batch(database, 2), makers.add_batch(database, 2)
    held = makers.take(database, makers.add_worker(database))

    claims.settle(database, [makers.succeed(job) for job in held])

    for batch in (first, second):
        assert {each.job.batch_id for each in read_all(database, batch)} == {batch.id}
        assert len(read_all(database, batch)) == 2


def test_a_page_holds_so_many_bytes_and_one_line_at_least(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of 10, 10, 200, 10 and 10 characters, and 50 to a page."""
    batch = makers.add_batch(database, 5)
    held = makers.take(database, makers.add_worker(database))
    for job in held:
        size = 200 if job.line_no == 3 else 10
        claims.settle(database, [makers.succeed(job, "x" * size)])
    monkeypatch.setattr(sizes, "PAGE_BYTES", 50)

    told = read_pages(lambda c: results.list_page(database, batch.id, after=c, limit=100))

    assert told == [([1, 2], True), ([3], True), ([4, 5], False)]
    for list_page in (jobs.list_ended, functools.partial(jobs.list_lines, has_requests=False)):
        pages = [list_page(database, batch.id, after_line=n, limit=100) for n in (0, 2, 3)]
        assert [[job.line_no for job in page] for page in pages] == [[1, 2], [3], [4, 5]]
    assert len(jobs.list_lines(database, batch.id, after_line=3, limit=100)) == 1  # with requests


def read_pages(
    list_page: Callable[[Cursor], tuple[list[Ending], bool]],
) -> list[tuple[list[int | None], bool]]:
    told, has_more, after = [], True, Cursor()
    while has_more:
        page, has_more = list_page(after)
        after = page[-1].cursor
        told.append(([ending.job.line_no for ending in page], has_more))
    return told


def test_a_list_of_jobs_holds_so_many_bytes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [makers.add_job(database, request={"prompt": "x" * 40}) for _ in range(3)]
    monkeypatch.setattr(sizes, "PAGE_BYTES", 120)

    page, has_more = jobs.list_page(database, DEFAULT_TENANT, limit=100)
    rest = jobs.list_page(database, DEFAULT_TENANT, limit=100, after=page[-1].id)

    assert ([job.id for job in page], has_more) == ([made[2].id, made[1].id], True)
    assert ([job.id for job in rest[0]], rest[1]) == ([made[0].id], False)


def test_choices_and_their_log_probabilities_count(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = makers.add_batch(database, 2)
    held = makers.take(database, makers.add_worker(database))
    outcomes = [makers.succeed(job) for job in held]
    many: dict[str, Any] = {
        "others": [{"text": "y" * 100, "finish_reason": "stop", "logprobs": None}]
    }
    large = [
        replace(each, result=replace(each.result, details=many)) for each in outcomes if each.result
    ]
    claims.settle(database, large)
    monkeypatch.setattr(sizes, "PAGE_BYTES", 120)

    page, has_more = results.list_page(database, batch.id, after=Cursor(), limit=100)

    assert (len(page), has_more) == (1, True)
