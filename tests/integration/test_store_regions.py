"""Lines of a batch are claimed by their beginnings, and each worker keeps to a part of its own."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.models import batches, claims, jobs, pauses, room
from app.models.claims import Holder
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch, Job
from tests.integration import makers

pytestmark = [pytest.mark.integration, pytest.mark.databases]


def add_batch(db: Database, keys: Sequence[str]) -> Batch:
    """A batch whose lines begin as `keys` say, in that order."""
    batch = makers.add_batch(db)
    batches.accept(db, batch.id, model=makers.MODEL, total=len(keys))
    lines = makers.make_lines(range(1, len(keys) + 1))
    lines = [replace(line, place_key=key) for line, key in zip(lines, keys, strict=True)]
    batches.add_lines(db, batch, lines, last_line=len(keys))
    return makers.reload(db, batch)


def take_near(db: Database, holder: Holder, number: int, before: Sequence[Job] = ()) -> list[Job]:
    near = max((job.place for job in before), default="")
    return claims.claim(db, holder, makers.MODEL, limit=number, may_isolate=True, near=near)


def begins(taken: Sequence[Job]) -> str:
    """What the lines begin with, without their batch's number."""
    return "".join(job.place[10:] for job in taken)


def test_lines_that_begin_alike_are_claimed_together_whatever_their_order(
    database: Database,
) -> None:
    add_batch(database, "abcabcabc")
    holder = makers.add_worker(database)

    claimed = [take_near(database, holder, 3) for _ in range(3)]

    assert [begins(taken) for taken in claimed] == ["aaa", "bbb", "ccc"]
    assert [job.line_no for job in claimed[0]] == [1, 4, 7]


def test_an_earlier_batch_goes_first_and_single_jobs_before_both(database: Database) -> None:
    add_batch(database, "b")
    add_batch(database, "a")
    single = makers.add_job(database, priority=room.BATCH_PRIORITY)
    urgent = makers.add_job(database)

    claimed = makers.take(database, makers.add_worker(database))

    assert [job.id for job in claimed[:2]] == [urgent.id, single.id]
    assert begins(claimed[2:]) == "ba"


def test_workers_begin_apart_and_each_goes_on_where_it_was(database: Database) -> None:
    add_batch(database, "abcdef" * 2)
    first, second = (makers.add_worker(database, slot) for slot in ("h/cpu:0", "h/cpu:1"))

    one = take_near(database, first, 2)
    two = take_near(database, second, 2)
    one += take_near(database, first, 4, one)
    two += take_near(database, second, 2, two)

    assert begins(one) == "aabbcc"
    assert begins(two) == "ddee"  # from the middle of the ten that were left, and on


def test_who_comes_to_the_end_helps_with_what_is_left_and_nothing_is_claimed_twice(
    database: Database,
) -> None:
    batch = add_batch(database, "abcdefgh" * 3)
    holders = [makers.add_worker(database, f"h/cpu:{number}") for number in range(3)]

    taken: dict[str, list[Job]] = {holder.slot: [] for holder in holders}
    for round_no in range(24):
        holder = holders[min(round_no % 5, 2)]  # the third is the fastest
        mine = taken[holder.slot]
        mine += take_near(database, holder, 2, mine[-2:])

    ids = [job.id for mine in taken.values() for job in mine]
    assert len(ids) == len(set(ids)) == batch.total
    assert len(taken["h/cpu:2"]) > 8


def test_a_claim_is_filled_up_from_later_batches(database: Database) -> None:
    add_batch(database, "ab")
    add_batch(database, "cd")
    makers.add_worker(database)

    claimed = take_near(database, makers.add_worker(database, "h/cpu:1"), 3)

    assert sorted(begins(claimed)) == ["a", "b", "c"]


def test_a_suspect_among_the_lines_waits_until_it_is_first_and_runs_alone(
    database: Database,
) -> None:
    add_batch(database, "abc")
    taken = take_near(database, makers.add_worker(database), 1)
    holder = makers.add_worker(database)  # takes the slot over: the line is a suspect

    alone = take_near(database, holder, 3)
    others = claims.claim(database, holder, makers.MODEL, limit=3, may_isolate=False)

    assert [job.id for job in alone] == [job.id for job in taken]
    assert begins(others) == "bc"


def test_the_place_in_the_queue_follows_the_order_of_claims(database: Database) -> None:
    add_batch(database, "cab")
    lines = jobs.list_page(database, DEFAULT_TENANT, limit=3)[0]

    places = {begins([job]): jobs.explain_wait(database, job)[0] for job in lines}

    assert places == {"a": 1, "b": 2, "c": 3}


def test_resumed_lines_have_their_old_places(database: Database) -> None:
    batch = add_batch(database, "ba")
    pauses.pause(database, DEFAULT_TENANT, batch.id)
    pauses.resume(database, DEFAULT_TENANT, batch.id)

    assert begins(makers.take(database, makers.add_worker(database))) == "ab"
