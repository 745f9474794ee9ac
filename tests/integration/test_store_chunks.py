"""Chunks of streamed jobs, on a real database."""

import time

import pytest

from app.models import chunks, claims
from app.models.database import Database
from app.wire.rows import Chunk
from tests.integration.makers import add_job, add_worker, succeed, take

pytestmark = pytest.mark.integration


def test_chunks_come_back_in_order_after_a_cursor(database: Database) -> None:
    one, two = add_job(database), add_job(database)
    take(database, add_worker(database))
    chunks.add(database, [Chunk(one.id, 1, 0, 0, "a"), Chunk(two.id, 1, 0, 0, "x")])
    chunks.add(database, [Chunk(one.id, 1, 0, 1, "b")])

    found = chunks.read(database, {one.id: 0, two.id: 0})
    later = chunks.read(database, {one.id: found[0].id})

    assert [(c.job_id, c.start, c.text) for c in found] == [
        (one.id, 0, "a"),
        (two.id, 0, "x"),
        (one.id, 1, "b"),
    ]
    assert [c.text for c in later] == ["b"]
    assert chunks.read(database, {}) == []


def test_a_late_attempt_adds_nothing(database: Database) -> None:
    job, holder = add_job(database), add_worker(database)
    take(database, holder)
    claims.release(database, [(job.id, 1)])
    chunks.add(database, [Chunk(job.id, 1, 0, 0, "nobody's")])
    take(database, holder)

    chunks.add(database, [Chunk(job.id, 1, 0, 0, "late"), Chunk(job.id, 2, 0, 0, "held")])

    assert [c.text for c in chunks.read(database, {job.id: 0})] == ["held"]


def test_old_chunks_are_forgotten(database: Database) -> None:
    add_job(database)
    (job,) = take(database, add_worker(database))
    chunks.add(database, [Chunk(job.id, 1, 0, 0, "a")])
    assert chunks.forget(database, before=time.time() + 5) == 0  # it still runs
    claims.settle(database, [succeed(job)])

    assert chunks.forget(database, before=time.time() - 5) == 0
    assert chunks.forget(database, before=time.time() + 5) == 1
    assert chunks.read(database, {job.id: 0}) == []
