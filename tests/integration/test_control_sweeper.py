"""The sweeper: what is dead, lost, overdue or old is found, and nothing that lives is touched."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from app import clock as times
from app import queue, settings
from app.models import batches, chunks, claims, files, jobs, sessions, sweeps, workers
from app.models.claims import Holder
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Chunk, File, Job
from app.workers import cleaning, finalize, ingest, slot
from app.workers.context import Context
from app.workers.sweeper import Sweeper
from tests.integration import inputs, makers
from tests.integration.inputs import make_line

pytestmark = pytest.mark.integration

LEASE = 10.0
PERIOD = 2.0


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def context(database: Database, tmp_path: Path) -> Context:
    worker = settings.Worker(lease_seconds=LEASE, sweep_seconds=PERIOD)
    return inputs.make_context(database, tmp_path, worker=worker)


@pytest.fixture
def sweeper(context: Context, clock: Clock) -> Sweeper:
    return Sweeper(context, monotonic=clock)


@pytest.fixture
def broker(redis_url: str) -> Iterator[Celery]:
    app = queue.make_app(redis_url)
    yield app
    app.close()


def sweep_for(sweeper: Sweeper, clock: Clock, seconds: float) -> None:
    end = clock.now + seconds
    sweeper.sweep()
    while clock.now < end:
        clock.now += PERIOD
        sweeper.sweep()


def hold_job(db: Database) -> Holder:
    """A worker with one job in flight."""
    makers.add_job(db)
    holder = makers.add_worker(db)
    makers.take(db, holder)
    return holder


def states(db: Database) -> list[str]:
    return [job.state for job in jobs.list_page(db, DEFAULT_TENANT, limit=100)[0]]


def worker_state(db: Database, holder: Holder) -> str:
    row = workers.get(db, holder.slot)
    assert row is not None
    return row.state


def test_a_worker_without_a_pulse_for_a_lease_is_lost_and_its_jobs_wait_again(
    context: Context, sweeper: Sweeper, clock: Clock
) -> None:
    holder = hold_job(context.db)

    sweep_for(sweeper, clock, LEASE - 2 * PERIOD)
    assert states(context.db) == ["running"]

    sweep_for(sweeper, clock, 2 * PERIOD)
    assert states(context.db) == ["queued"]
    assert worker_state(context.db, holder) == "lost"


def test_a_lease_never_lasts_longer_than_promised(
    context: Context, sweeper: Sweeper, clock: Clock
) -> None:
    """The last pulse is seen a whole sweep late, and looks are as late as they ask for."""
    holder = hold_job(context.db)
    sweeper.sweep()
    workers.update(context.db, holder, pulse=7)
    died, clock.now = clock.now, clock.now + PERIOD

    while (pause := sweeper.watch()) and states(context.db) == ["running"]:
        clock.now += pause

    assert LEASE - PERIOD <= clock.now - died <= LEASE + 0.1


def test_slow_looks_do_not_lengthen_a_lease(
    context: Context, sweeper: Sweeper, clock: Clock
) -> None:
    hold_job(context.db)
    sweeper.watch()
    began, slow = clock.now, 1.5

    while states(context.db) == ["running"]:
        clock.now += sweeper.watch() + slow

    assert clock.now - began <= LEASE + 2 * slow


def test_jobs_of_a_dead_worker_are_hinted_at_once(
    context: Context, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a sweep later: here sweeps are a minute apart."""
    worker = settings.Worker(lease_seconds=2.0, sweep_seconds=60.0)
    seldom = replace(context, settings=replace(context.settings, worker=worker))
    hinted, waking = threading.Event(), iter((lambda: None,))
    sweeper = Sweeper(seldom)
    monkeypatch.setattr(sweeper, "wake", lambda: next(waking, hinted.set)())
    hold_job(context.db)
    stop = threading.Event()
    thread = threading.Thread(target=sweeper.run, args=(stop,))
    thread.start()
    try:
        assert hinted.wait(45)
    finally:
        stop.set()
        thread.join(60)

    assert states(context.db) == ["queued"]


def test_a_worker_with_a_pulse_is_left_alone_for_ever(
    context: Context, sweeper: Sweeper, clock: Clock
) -> None:
    holder = hold_job(context.db)

    for pulse in range(20):
        workers.update(context.db, holder, pulse=pulse)
        sweep_for(sweeper, clock, LEASE - 2 * PERIOD)

    assert states(context.db) == ["running"]
    assert worker_state(context.db, holder) == "ready"


def test_a_new_incarnation_starts_a_new_lease(
    context: Context, sweeper: Sweeper, clock: Clock
) -> None:
    hold_job(context.db)
    sweep_for(sweeper, clock, LEASE - 2 * PERIOD)

    heir = makers.add_worker(context.db)
    sweep_for(sweeper, clock, LEASE - 2 * PERIOD)

    assert worker_state(context.db, heir) == "ready"


@pytest.mark.databases
@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_jump_by_an_hour_and_back_expires_doubles_and_loses_nothing(
    context: Context,
    sweeper: Sweeper,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    jump: float,
) -> None:
    kept = inputs.add_input(context, b"x", expires_at=time.time() + 2 * 3600)
    batch = makers.add_batch(context.db, num_lines=4)
    holder = makers.add_worker(context.db)
    first = makers.take(context.db, holder, limit=2)
    alone = makers.add_job(context.db, expires_at=time.time() + 2 * 3600)
    sweeper.sweep()
    real = time.time

    monkeypatch.setattr(time, "time", lambda: real() + jump)
    sweep_for(sweeper, clock, LEASE - 2 * PERIOD)
    claims.settle(context.db, [makers.succeed(job) for job in first])
    second = makers.take(context.db, holder, limit=1)
    monkeypatch.setattr(time, "time", real)
    workers.update(context.db, holder, pulse=2)
    sweep_for(sweeper, clock, LEASE - 2 * PERIOD)
    second += makers.take(context.db, holder)
    claims.settle(context.db, [makers.succeed(job) for job in second])

    assert alone.id in {job.id for job in second}
    assert [job.attempt for job in first + second] == [1] * 5
    assert states(context.db) == ["succeeded"] * 5
    assert makers.reload(context.db, batch).completed == 4
    assert (context.files / kept.path).exists()
    with context.db.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM results").scalar_one() == 5


@pytest.mark.databases
@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_what_has_less_than_an_hour_left_survives_a_jump_by_an_hour_and_back(
    context: Context, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """Calls that wait for ten minutes, a batch in its last hour, and a file for an hour."""
    real = time.time
    kept = [_add_short_lived(context)]
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    kept.append(_add_short_lived(context))

    for now in (time.time, real):
        monkeypatch.setattr(time, "time", now)
        Sweeper(context).sweep()

        assert states(context.db) == ["queued"] * 8
        for file in kept:
            assert files.get(context.db, DEFAULT_TENANT, file.id) == file
            assert (context.files / file.path).exists()


def _add_short_lived(context: Context) -> File:
    """As the API does it: two jobs of calls that wait, a batch of two lines, a file."""
    now = times.latest()
    for _ in range(2):
        makers.add_job(context.db, expires_at=now + 600)
    makers.add_batch(context.db, num_lines=2, window_seconds=1800)
    return inputs.add_input(context, b"x", expires_at=now + 3600)


@pytest.mark.databases
def test_a_jump_neither_doubles_a_retried_batch_nor_forgets_a_stream(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    job = _stream_one(context.db)
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    batch = makers.add_batch(context.db)
    monkeypatch.setattr(time, "time", real)
    again = makers.add_batch(context.db, retry_seconds=720.0, tries=1)
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    cleaning.run(context)

    assert again.id == batch.id
    assert makers.add_batch(context.db, retry_seconds=720.0, tries=1).id == batch.id
    assert len(chunks.read(context.db, {job.id: 0})) == 1


def _stream_one(db: Database) -> Job:
    makers.add_job(db)
    [job] = makers.take(db, makers.add_worker(db))
    chunks.add(db, [Chunk(job.id, job.attempt, 0, 0, "done")])
    claims.settle(db, [makers.succeed(job)])
    return job


@pytest.mark.databases
@pytest.mark.parametrize("jump", [1e6, -1e6])
def test_a_jump_of_the_wall_clock_kills_no_worker(
    context: Context,
    sweeper: Sweeper,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    jump: float,
) -> None:
    holder = hold_job(context.db)
    sweeper.sweep()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)

    sweep_for(sweeper, clock, LEASE - 2 * PERIOD)

    assert worker_state(context.db, holder) == "ready"
    assert states(context.db) == ["running"]


def test_a_sweeper_that_stood_still_itself_blames_nobody(
    context: Context, sweeper: Sweeper, clock: Clock
) -> None:
    holder = hold_job(context.db)
    sweeper.sweep()
    clock.now += 100 * LEASE

    sweeper.sweep()

    assert worker_state(context.db, holder) == "ready"


def test_stopped_and_lost_workers_are_not_declared_dead_again(
    context: Context, sweeper: Sweeper, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    holder = makers.add_worker(context.db)
    workers.update(context.db, holder, state="stopped")

    sweep_for(sweeper, clock, 3 * LEASE)

    assert worker_state(context.db, holder) == "stopped"
    assert "worker lost" not in caplog.text


@pytest.mark.parametrize("kept", ["row", "files"])
def test_a_worker_that_was_told_to_stop_and_fell_silent_costs_its_jobs_nothing(
    context: Context, sweeper: Sweeper, clock: Clock, kept: str
) -> None:
    holder = hold_job(context.db)
    if kept == "row":
        workers.begin_stop(context.db, holder.slot, 1)
    else:
        _leave_mark(context, holder)

    sweep_for(sweeper, clock, 2 * LEASE)

    (job,) = jobs.list_page(context.db, DEFAULT_TENANT, limit=100)[0]
    assert (job.state, job.crashes) == ("queued", 0)
    assert worker_state(context.db, holder) == "lost"


def test_the_files_of_another_machine_are_not_asked(
    context: Context, sweeper: Sweeper, clock: Clock
) -> None:
    holder = hold_job(context.db)
    _leave_mark(context, holder, machine="another")

    sweep_for(sweeper, clock, 2 * LEASE)

    (job,) = jobs.list_page(context.db, DEFAULT_TENANT, limit=100)[0]
    assert (job.state, job.crashes) == ("queued", 1)


def _leave_mark(context: Context, holder: Holder, machine: str | None = None) -> None:
    """As a stopping worker on this machine does whose database is away."""
    workers.update(context.db, holder, machine=machine or slot.machine())
    left = slot.remains(slot.Slot(holder.slot, "cpu:0", makers.MODEL), context.settings.data_dir)
    left.begin(holder.epoch)
    left.mark_stopping()
    left.close()


def test_two_sweepers_count_one_crash(context: Context, clock: Clock) -> None:
    hold_job(context.db)
    pair = [Sweeper(context, monotonic=clock) for _ in range(2)]

    for _ in range(10):
        clock.now += PERIOD
        for each in pair:
            each.sweep()

    (job,), _ = jobs.list_page(context.db, DEFAULT_TENANT, limit=9)
    assert (job.state, job.crashes) == ("queued", 1)


def test_overdue_jobs_expire_in_one_pass_however_many(
    context: Context, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    makers.add_batch(context.db, 25)
    young = makers.add_job(context.db, expires_at=time.time() + 3600)
    with context.db.write() as tx:
        tx.exec_driver_sql("UPDATE jobs SET expires_at = 1 WHERE id != ?", (young.id,))
    monkeypatch.setattr("app.workers.sweeper._EXPIRY_PIECE", 10)

    sweeper.sweep()

    assert sweeps.count_states(context.db) == {("m", "expired"): 25, ("m", "queued"): 1}


def with_broker(context: Context, broker: Celery) -> Context:
    return replace(context, app=broker)


def test_a_lost_hint_is_published_again_once(
    context: Context, clock: Clock, broker: Celery
) -> None:
    makers.add_worker(context.db)
    job = makers.add_job(context.db)
    sweeper = Sweeper(with_broker(context, broker), monotonic=clock)

    for _ in range(3):
        sweeper.sweep()

    assert queue.count_waiting(broker, queue.model_queue(makers.MODEL)) == 1
    assert read_kwargs(broker, queue.model_queue(makers.MODEL)) == {
        "model": makers.MODEL,
        "job_ids": [job.id],
    }


def read_kwargs(broker: Celery, name: str) -> dict[str, Any]:
    """The arguments of the first message of a queue, which is taken out."""
    with broker.connection_for_read() as connection, connection.SimpleQueue(name) as waiting:
        message = waiting.get(timeout=60)
        message.ack()
        _, kwargs, _ = message.payload
    assert isinstance(kwargs, dict)
    return kwargs


@pytest.mark.parametrize("case", ["no worker", "busy", "loading", "other model", "nothing to do"])
def test_no_hint_is_published_that_could_wake_nobody(
    context: Context, clock: Clock, broker: Celery, case: str
) -> None:
    if case != "nothing to do":
        makers.add_job(context.db)
    if case != "no worker":
        model = "n" if case == "other model" else makers.MODEL
        holder = makers.add_worker(context.db, model=model)
        changes: dict[str, Any] = {"busy": {"in_flight": 3}, "loading": {"state": "loading"}}
        workers.update(context.db, holder, **changes.get(case, {}))

    Sweeper(with_broker(context, broker), monotonic=clock).sweep()

    for model in (makers.MODEL, "n"):
        assert queue.count_waiting(broker, queue.model_queue(model)) == 0


def test_a_batch_whose_wake_up_was_lost_is_ingested_and_finalized_by_new_ones(
    context: Context, clock: Clock, broker: Celery
) -> None:
    context = with_broker(context, broker)
    sweeper = Sweeper(context, monotonic=clock)
    batch = inputs.submit(context, make_line(1))

    sweeper.sweep()
    assert queue.count_waiting(broker, queue.CONTROL) == 0  # it has its time first
    sweep_for(sweeper, clock, 3 * PERIOD)
    assert read_kwargs(broker, queue.CONTROL) == {"batch_id": batch.id}

    ingest.run(context, batch.id)
    sweep_for(sweeper, clock, 10 * PERIOD)
    assert queue.count_waiting(broker, queue.CONTROL) == 0  # its job waits: nothing to push

    inputs.settle_all(context)
    sweep_for(sweeper, clock, 3 * PERIOD)
    assert read_kwargs(broker, queue.CONTROL) == {"batch_id": batch.id}

    finalize.run(context, batch.id)
    sweep_for(sweeper, clock, 20 * PERIOD)
    assert queue.count_waiting(broker, queue.CONTROL) == 0
    assert makers.reload(context.db, batch).status == "completed"


def test_an_ingest_that_died_half_way_is_pushed_again(
    context: Context, clock: Clock, broker: Celery
) -> None:
    context = with_broker(context, broker)
    batch = inputs.submit(context, make_line(1) + make_line(2))
    batches.accept(context.db, batch.id, model=makers.MODEL, total=2)
    batches.add_lines(context.db, batch, makers.make_lines([1]), last_line=1)

    sweep_for(Sweeper(context, monotonic=clock), clock, 3 * PERIOD)

    assert read_kwargs(broker, queue.CONTROL) == {"batch_id": batch.id}


def test_wake_ups_for_a_batch_that_does_not_move_become_rarer(
    context: Context, clock: Clock, broker: Celery
) -> None:
    context = with_broker(context, broker)
    inputs.submit(context, make_line(1))
    sweeper = Sweeper(context, monotonic=clock)

    sweep_for(sweeper, clock, 10)
    early = queue.count_waiting(broker, queue.CONTROL)
    sweep_for(sweeper, clock, 200)

    assert early == 2
    assert queue.count_waiting(broker, queue.CONTROL) <= 8


def test_without_redis_the_rows_are_still_mended(
    context: Context, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    away = queue.make_app("redis+socket:///nowhere/redis.sock")
    context = with_broker(context, away)
    sweeper = Sweeper(context, monotonic=clock)
    holder = hold_job(context.db)
    sweep_for(sweeper, clock, LEASE - 2 * PERIOD)
    makers.add_job(context.db, expires_at=1.0)
    makers.add_worker(context.db, "h/cpu:1")

    clock.now += PERIOD
    with caplog.at_level(logging.WARNING):
        sweeper.sweep()

    assert sorted(states(context.db)) == ["expired", "queued"]
    assert worker_state(context.db, holder) == "lost"
    assert "hint not published" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_store_that_is_away_is_told_in_a_line_and_swept_when_it_is_back(
    context: Context, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    makers.add_job(context.db, expires_at=1.0)
    (tmp_path / "autoglm.db").rename(tmp_path / "away.db")
    (tmp_path / "autoglm.db").mkdir()
    away = Database(str(context.db.url))
    sweeper = Sweeper(replace(context, db=away), monotonic=clock)

    sweeper.sweep()
    (tmp_path / "autoglm.db").rmdir()
    (tmp_path / "away.db").rename(tmp_path / "autoglm.db")
    sweeper.sweep()

    assert "database_unwritable" in caplog.text
    assert "Traceback" not in caplog.text
    assert states(context.db) == ["expired"]
    away.close()


def test_a_step_that_fails_does_not_stop_the_others(
    context: Context,
    sweeper: Sweeper,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explode(*_args: Any, **_options: Any) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr(workers, "list_all", explode)
    makers.add_job(context.db, expires_at=1.0)

    sweeper.sweep()

    assert states(context.db) == ["expired"]
    assert "boom" in caplog.text


def test_the_loop_sweeps_until_it_is_stopped(context: Context) -> None:
    quick = replace(
        context,
        settings=replace(context.settings, worker=settings.Worker(sweep_seconds=0.05)),
    )
    stop = threading.Event()
    thread = threading.Thread(target=Sweeper(quick).run, args=(stop,))
    thread.start()
    try:
        for _ in range(2):  # not only on its first pass
            makers.add_job(context.db, expires_at=1.0)
            wait_until(lambda: set(states(context.db)) == {"expired"})
    finally:
        stop.set()
        thread.join(60)

    assert not thread.is_alive()


def wait_until(holds: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_old_rows_expired_files_and_what_dead_writers_left_are_removed(context: Context) -> None:
    old, young = makers.add_job(context.db), makers.add_job(context.db)
    for job in (old, young):
        jobs.cancel(context.db, DEFAULT_TENANT, job.id)
    with context.db.write() as tx:
        tx.exec_driver_sql("UPDATE jobs SET finished_at = 1 WHERE id = ?", (old.id,))
    gone = inputs.add_input(context, b"x", expires_at=time.time() - 1)
    kept = inputs.add_input(context, b"x")
    dead, writing = context.files / ".dead.part", context.files / "writing.part"
    pins = [context.files / f"{ingest.PIN}{name}" for name in ("batch_nope", "")]
    for path in (dead, writing, *pins[:1]):
        path.touch()
    os.utime(dead, (1, 1))
    reading = inputs.submit(context, make_line(1))
    os.link(context.files / kept.path, context.files / f"{ingest.PIN}{reading.id}")

    cleaning.run(context)

    assert len(states(context.db)) == 1
    assert files.list_page(context.db, DEFAULT_TENANT, limit=9)[0][-1] == kept
    names = {path.name for path in context.files.iterdir()}
    assert {gone.path, dead.name, pins[0].name}.isdisjoint(names)
    assert {kept.path, writing.name, f"{ingest.PIN}{reading.id}"} <= names


def test_old_turns_and_those_beyond_the_limit_are_forgotten_unless_pinned(
    context: Context, clock: Clock
) -> None:
    memory = settings.Memory(max_turns=3, days=2)
    context = replace(context, settings=replace(context.settings, memory=memory))
    session = sessions.create(context.db, DEFAULT_TENANT, None).id
    now = time.time()
    with context.db.write() as tx:
        for number in range(1, 8):
            tx.exec_driver_sql(
                "INSERT INTO turns VALUES (?, ?, 'job_1', '[]', 'a', ?, ?)",
                (session, number, now - (7 - number) * 43_200, number == 1),
            )
        tx.exec_driver_sql("UPDATE sessions SET num_turns = 7")

    def numbers() -> list[int]:
        return [turn.turn_no for turn in sessions.list_turns(context.db, session)]

    assert sessions.forget_turns(context.db, before=now - 2.1 * 86_400, most=100) == 1
    assert numbers() == [1, 3, 4, 5, 6, 7]
    cleaning.run(context)
    assert numbers() == [1, 5, 6, 7]


def test_cleaning_happens_once_a_minute(context: Context, sweeper: Sweeper, clock: Clock) -> None:
    sweeper.sweep()
    inputs.add_input(context, b"x", expires_at=time.time() - 1)

    sweep_for(sweeper, clock, 50)
    assert len(list(context.files.iterdir())) == 1

    sweep_for(sweeper, clock, 12)
    assert list(context.files.iterdir()) == []
