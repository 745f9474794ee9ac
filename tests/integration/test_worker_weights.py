"""Weights that change: a worker refuses damaged ones, its jobs wait; a running one keeps its copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import settings
from app.api.health import Health, Reason
from app.models.database import Database
from app.wire.rows import Job, Worker
from tests.integration.workplace import Workplace, opened, wait_for

pytestmark = pytest.mark.integration

SHIPPED = Path(__file__).parents[2] / "app" / "demo"
REQUEST = {
    "messages": [{"role": "user", "content": "Write a Python function area(w, h)"}],
    "sampling": {"max_tokens": 8, "temperature": 0.0},
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The tensors of a copy of the shipped model, with a flipped byte."""
    folder = Path(shutil.copytree(SHIPPED / "model", tmp_path / "model"))
    flip(folder / "model.safetensors")
    return folder / "model.safetensors"


@pytest.fixture
def place(database: Database, redis_url: str, tmp_path: Path, weights: Path) -> Iterator[Workplace]:
    trusted = settings.Verify(public_keys=(str(SHIPPED / "public_key.txt"),))
    model = settings.Model("demo", path=str(weights.parent), max_sequences=4, verify=trusted)
    with opened(database, redis_url, tmp_path / "place", models=(model,)) as made:
        made.model = "demo"
        yield made


def flip(path: Path) -> None:
    """Changes the last byte in place, or changes it back."""
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))


def test_jobs_wait_for_damaged_weights_to_be_mended_and_run_without_hands(
    place: Workplace, weights: Path
):
    health = Health(place.settings, place.db, lambda: None)
    job = place.add(request=REQUEST)
    place.start_control()
    place.start_worker()

    failed = wait_for(lambda: find_failed(place), "a failed load")
    reason = wait_for(lambda: find_reason(health), "its reason in the health")
    waiting = place.get(job)

    assert "model.safetensors" in (failed.reason or "")
    assert (reason.component, reason.values["slot"]) == ("worker:demo", "here/cpu:0")
    assert (waiting.state, waiting.attempt, waiting.error) == ("queued", 0, None)

    flip(weights)
    (ended,) = place.wait_ended(job)

    assert (ended.state, ended.attempt, ended.crashes) == ("succeeded", 1, 0)
    check_running_copy(place, weights, ended)


def check_running_copy(place: Workplace, weights: Path, ended: Job) -> None:
    """Every number of the file is another one now; the worker answers as before."""
    before = place.wait_ready()
    content = weights.read_bytes()
    with weights.open("r+b") as file:
        file.seek(len(content) // 8)
        file.write(bytes(byte ^ 255 for byte in content[len(content) // 8 :]))

    again = place.add(request=REQUEST)
    place.hint([again])
    (answer,) = place.wait_ended(again)

    assert answer.result
    assert ended.result
    assert answer.result.text == ended.result.text
    assert place.wait_ready().epoch == before.epoch


def find_failed(place: Workplace) -> Worker | None:
    row = place.row()
    return row if row and row.state == "failed" else None


def find_reason(health: Health) -> Reason | None:
    health.probe()
    found = health.explain_unhealthy()
    return next((each for each in found if each.code == "worker_load_failed"), None)
