"""Slots: which GPU a child sees, and that a slot has one owner."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import settings
from app.errors import InputError, SettingsError, SlotTaken
from app.models import workers
from app.models.claims import Holder
from app.models.database import Database
from app.models.states import WorkerState
from app.workers import slot

SLOT = slot.Slot("gpu1/cuda:0", "cuda:0", "m")
OPTIONS = settings.Settings(
    models=(settings.Model("a", backend="fake"), settings.Model("b", backend="fake")),
    worker=settings.Worker(host="gpu1"),
)


@pytest.mark.parametrize(
    ("device", "visible", "shown"),
    [
        ("cpu", None, ""),
        ("cpu:3", "0,1", ""),
        ("cuda:0", None, "0"),
        ("cuda:2", None, "2"),
        ("cuda:0", "3,5", "3"),
        ("cuda:1", "3,5", "5"),
        ("cuda:1", " GPU-aa , GPU-bb ", "GPU-bb"),
    ],
)
def test_a_child_sees_its_own_device_alone(
    device: str, visible: str | None, shown: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    assert slot.visible_devices(device) == shown


def test_a_device_that_this_process_may_not_see_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")

    with pytest.raises(SettingsError) as caught:
        slot.visible_devices("cuda:2")

    assert caught.value.code == "device_not_visible"


def test_announcing_sets_the_device_before_anything_else_can_start(
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("SLOT", "DEVICE", "MODEL"):
        monkeypatch.setenv(f"AUTOGLM_RUN_{name}", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,8")
    made = slot.Slot("gpu1/cuda:1", "cuda:1", "m")
    assert slot.read() is None

    slot.announce(made)

    assert os.environ["CUDA_VISIBLE_DEVICES"] == "8"
    assert slot.read() == made


@pytest.mark.parametrize(("device", "inner"), [("cuda:3", "cuda:0"), ("cpu:1", "cpu")])
def test_inside_the_child_its_one_gpu_is_the_first(device: str, inner: str):
    assert slot.inner_device(slot.Slot(f"h/{device}", device, "m")) == inner


def test_a_slot_is_named_after_host_and_device_and_serves_the_first_model():
    made = slot.make(OPTIONS, "cuda:1", None)

    assert made == slot.Slot("gpu1/cuda:1", "cuda:1", "a")
    assert made.node == "cuda-1@gpu1"


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError) as caught:
        slot.make(OPTIONS, "cpu:0", "c")

    assert caught.value.values == {"name": "c", "known": "a, b"}


def test_a_held_slot_is_refused_with_its_owner_until_it_is_let_go(tmp_path: Path):
    held = slot.lock(SLOT, tmp_path / "slots")

    with pytest.raises(SlotTaken) as caught:
        slot.lock(SLOT, tmp_path / "slots")
    assert caught.value.values == {"slot": "gpu1/cuda:0", "owner": f"process {os.getpid()}"}
    slot.lock(slot.Slot("gpu1/cuda:1", "cuda:1", "m"), tmp_path / "slots").close()

    held.close()
    slot.lock(SLOT, tmp_path / "slots").close()


def enroll(db: Database, machine: str, parent_pid: int) -> None:
    identity = workers.Identity(SLOT.name, "m", machine, 12345, parent_pid)
    holder, _ = workers.enroll(db, identity, max_attempts=3)
    workers.update(db, holder, state=WorkerState.READY.value)


def beat(db: Database) -> None:
    row = workers.get(db, SLOT.name)
    assert row
    workers.update(db, Holder(SLOT.name, row.epoch), pulse=row.pulse + 1)


def test_a_worker_that_pulses_on_another_machine_is_a_rival(database: Database):
    enroll(database, "elsewhere", 1)

    with pytest.raises(SlotTaken) as caught:
        slot.refuse_rival(database, SLOT, 1.0, lambda _seconds: beat(database))

    assert "elsewhere" in caught.value.values["owner"]


def test_a_worker_of_this_machine_under_another_data_directory_is_a_rival(database: Database):
    enroll(database, slot.machine(), os.getpid())

    with pytest.raises(SlotTaken):
        slot.refuse_rival(database, SLOT, 1.0, lambda _seconds: beat(database))


def test_a_row_that_stands_still_is_no_rival(database: Database):
    enroll(database, "elsewhere", 1)
    waited: list[float] = []

    slot.refuse_rival(database, SLOT, 2.0, waited.append)

    assert waited == [6.0]


def test_a_worker_that_died_on_this_machine_is_not_waited_for(database: Database):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    enroll(database, slot.machine(), dead.pid)

    slot.refuse_rival(database, SLOT, 1.0, _never)


def test_a_worker_that_stopped_in_order_is_not_waited_for(database: Database):
    enroll(database, "elsewhere", 1)
    workers.retire(database, Holder(SLOT.name, 1))

    slot.refuse_rival(database, SLOT, 1.0, _never)


def _never(seconds: float) -> None:
    raise AssertionError("waited for nobody")


@pytest.mark.parametrize("device", ["gpu:0", "cuda:x", "cuda:01", "", "cpu:0;x", "auto"])
def test_what_is_no_device_is_refused(device: str):
    with pytest.raises(InputError, match="device_unknown"):
        slot.make(OPTIONS, device, None)
