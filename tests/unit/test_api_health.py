"""Health: which worker is live by this process's clock, and what is said of the rest."""

from pathlib import Path

import pytest

from app import locales, settings
from app.api.health import Health, Pulses, Reason
from app.errors import Unavailable
from app.models import claims, workers
from app.models.database import Database
from app.models.states import WorkerState
from app.wire.rows import Worker
from tests.faults import disks as small_disks

MODELS = (settings.Model("a", backend="fake"), settings.Model("b", backend="fake"))


def worker(pulse: int, *, epoch: int = 1) -> Worker:
    return Worker(
        slot="h/cpu:0",
        epoch=epoch,
        state="ready",
        reason=None,
        model="a",
        machine="h",
        pid=1,
        parent_pid=1,
        pulse=pulse,
        step=0,
        in_flight=0,
        shifts=0,
        in_shift=False,
        model_loads_total=1,
        provenance=None,
        started_at=0.0,
        pulsed_at=0.0,
    )


def test_a_worker_is_live_once_its_pulse_was_seen_to_advance() -> None:
    pulses = Pulses(lease_seconds=10)

    assert pulses.observe([worker(5)], now=100) == []
    assert pulses.observe([worker(5)], now=101) == []
    assert pulses.observe([worker(6)], now=102) == [worker(6)]


def test_a_worker_whose_pulse_stands_still_for_a_lease_is_not_live() -> None:
    pulses = Pulses(lease_seconds=10)
    pulses.observe([worker(5)], now=100)
    pulses.observe([worker(6)], now=101)

    assert pulses.observe([worker(6)], now=111) == [worker(6)]
    assert pulses.observe([worker(6)], now=111.1) == []


def test_a_new_incarnation_counts_as_an_advance_even_with_the_same_pulse() -> None:
    pulses = Pulses(lease_seconds=10)
    pulses.observe([worker(0)], now=100)

    assert pulses.observe([worker(0, epoch=2)], now=101) == [worker(0, epoch=2)]


@pytest.fixture
def health(database: Database) -> Health:
    return Health(settings.Settings(models=MODELS), database, lambda: None)


def enroll(db: Database, model: str, slot: str) -> claims.Holder:
    identity = workers.Identity(slot, model, "h", 1, 1)
    return workers.enroll(db, identity, max_attempts=3)[0]


def beat(
    db: Database, holder: claims.Holder, pulse: int, state: WorkerState, reason: str = ""
) -> None:
    workers.update(db, holder, pulse=pulse, state=state.value, reason=reason or None)


def codes(health: Health) -> list[tuple[str, str]]:
    health.probe()
    return [(reason.component, reason.code) for reason in health.explain_unhealthy()]


def test_each_model_needs_one_live_ready_worker(database: Database, health: Health) -> None:
    holders = [enroll(database, "a", "h/cpu:0"), enroll(database, "b", "h/cpu:1")]
    for holder in holders:
        beat(database, holder, 1, WorkerState.READY)
    assert codes(health) == [("worker:a", "no_worker"), ("worker:b", "no_worker")]

    beat(database, holders[0], 2, WorkerState.READY)
    assert codes(health) == [("worker:b", "no_worker")]

    beat(database, holders[1], 2, WorkerState.READY)
    assert codes(health) == []


def test_a_loading_worker_and_a_failed_one_say_so_with_the_reason(
    database: Database, health: Health
) -> None:
    loading, failed = enroll(database, "a", "h/cpu:0"), enroll(database, "b", "h/cpu:1")
    health.probe()
    beat(database, loading, 1, WorkerState.LOADING)
    beat(database, failed, 1, WorkerState.FAILED, "model.safetensors was changed")

    assert codes(health) == [("worker:a", "worker_loading"), ("worker:b", "worker_load_failed")]
    assert health.explain_unhealthy()[1].values["reason"] == "model.safetensors was changed"


def test_a_redis_that_does_not_answer_makes_the_service_not_ready(database: Database) -> None:
    def ping() -> None:
        raise Unavailable("redis_unavailable", reason="ConnectionError")

    health = Health(settings.Settings(), database, ping)
    health.probe()

    assert [reason.code for reason in health.explain_not_ready()] == ["redis_unavailable"]


def test_a_full_disk_is_named_before_what_comes_of_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ping() -> None:
        raise Unavailable("redis_unavailable", reason="MISCONF Errors writing to the AOF file")

    folder = tmp_path / "data"
    with small_disks.small(folder, "2m") as is_small:
        if not is_small:
            pytest.skip("no disk can be mounted here")
        health = Health(settings.Settings(data_dir=folder), database, ping)
        (folder / "ballast").write_bytes(b"x" * 1_500_000)

        health.probe()

        reason, other = health.explain_not_ready()
        assert (reason.component, reason.code, other.component) == ("disk", "disk_full", "redis")
        told = locales.explain(Unavailable(reason.code, **reason.values))
        assert "The disk of data_dir is full" in told
        (folder / "ballast").unlink()
        health.probe()
        assert [reason.component for reason in health.explain_not_ready()] == ["redis"]


def test_an_empty_database_is_reported_as_not_migrated(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    health = Health(settings.Settings(), database, lambda: None)
    health.probe()

    (reason,) = health.explain_not_ready()
    database.close()

    assert reason == Reason(
        "database", "database_not_migrated", {"found": "empty", "wanted": reason.values["wanted"]}
    )


def test_before_the_first_probe_nothing_is_ready(database: Database) -> None:
    health = Health(settings.Settings(), database, lambda: None)

    assert [reason.code for reason in health.explain_not_ready()] == ["starting"]


def test_probes_that_stopped_coming_are_reported(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    health.probe()
    monkeypatch.setattr("app.api.health._STALE_SECONDS", -1.0)

    assert health.explain_not_ready()[0].code == "probe_stalled"
