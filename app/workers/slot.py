"""A slot: the device that exactly one worker process tree owns, and the lock that says so."""

import fcntl
import os
import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app import settings
from app.errors import InputError, SettingsError, SlotTaken
from app.models import disks, workers
from app.models.database import Database
from app.wire.rows import Worker
from app.workers.remains import Remains

_WATCH_INTERVALS = 3
_DEVICES = re.compile(r"(cpu|cuda)(:(0|[1-9]\d*))?")
_NAME, _DEVICE, _MODEL = "AUTOGLM_RUN_SLOT", "AUTOGLM_RUN_DEVICE", "AUTOGLM_RUN_MODEL"


@dataclass(frozen=True)
class Slot:
    """`name` is worker.host/device; `model` is the one model served there."""

    name: str
    device: str
    model: str

    @property
    def node(self) -> str:
        """The Celery node name; Flower shows it."""
        return re.sub(r"[^\w.-]", "-", self.device) + "@" + self.name.partition("/")[0]


def make(options: settings.Settings, device: str, model: str | None) -> Slot:
    """The slot of `device` on this host; InputError("device_unknown") for what is none,
    SettingsError("model_unknown") for an unknown model."""
    if not _DEVICES.fullmatch(device):
        raise InputError("device_unknown", param="--device", device=device)
    names = [each.name for each in options.models]
    if model is not None and model not in names:
        raise SettingsError("model_unknown", name=model, known=", ".join(names))
    host = options.worker.host or platform.node() or "localhost"
    return Slot(f"{host}/{device}", device, model or names[0])


def announce(slot: Slot) -> None:
    """Puts the slot into the environment for the child, and shows it its device alone. Must run
    before the child starts: CUDA reads CUDA_VISIBLE_DEVICES once."""
    settings.set_variable(_NAME, slot.name)
    settings.set_variable(_DEVICE, slot.device)
    settings.set_variable(_MODEL, slot.model)
    settings.set_variable("CUDA_VISIBLE_DEVICES", visible_devices(slot.device))


def visible_devices(device: str) -> str:
    """What CUDA_VISIBLE_DEVICES must be for a device: its number among those visible now, or
    nothing for a CPU slot."""
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return ""
    allowed = settings.variable("CUDA_VISIBLE_DEVICES")
    if not allowed:
        return number or "0"
    visible = [each.strip() for each in allowed.split(",")]
    index = int(number or 0)
    if index >= len(visible):
        raise SettingsError("device_not_visible", device=device, visible=allowed)
    return visible[index]


def read() -> Slot | None:
    """The slot that this process was started for, if it is part of a worker."""
    name, device = settings.variable(_NAME), settings.variable(_DEVICE)
    model = settings.variable(_MODEL)
    return Slot(name, device, model) if name and device and model else None


def inner_device(slot: Slot) -> str:
    """The device as the child sees it: its one visible GPU is cuda:0."""
    return "cuda:0" if slot.device.startswith("cuda") else "cpu"


def machine() -> str:
    """What tells this machine from others that use the same worker.host by mistake."""
    path = Path("/etc/machine-id")
    known = path.read_text().strip() if path.exists() else ""
    return f"{platform.node()}:{known}"[:128]


def remains(slot: Slot, data_dir: Path) -> Remains:
    """What the children of a slot leave."""
    return Remains(data_dir / "run" / "remains", slot.name)


def is_crash(row: Worker, data_dir: Path) -> bool | None:
    """What the remains of a dead worker say about its end (`Remains.is_crash`); None if it ran on
    another machine."""
    if row.machine != machine():
        return None
    return Remains(data_dir / "run" / "remains", row.slot).is_crash(row.epoch)


def lock(slot: Slot, folder: Path) -> IO[str]:
    """Holds the slot on this machine until the returned file is closed or the process ends.
    Raises SlotTaken("slot_taken") naming the process that has it."""
    with disks.writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / re.sub(r"[^\w.-]", "_", slot.name)).open("a+")
        _hold(file, slot)
    return file


def _hold(file: IO[str], slot: Slot) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip() or "?"
        file.close()
        raise SlotTaken("slot_taken", slot=slot.name, owner=f"process {owner}") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()


def is_running(pid: int) -> bool:
    """Whether a process of this machine has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def refuse_rival(
    db: Database,
    slot: Slot,
    interval: float,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Raises SlotTaken if a worker elsewhere (another machine, or another data directory on this
    one) keeps this slot's row alive. One that died stands still, so watching a few of its pulse
    intervals tells; one that died on this machine is not waited for."""
    before = workers.get(db, slot.name)
    if before is None or before.state not in workers.ALIVE:
        return
    if before.machine == machine() and not is_running(before.parent_pid):
        return
    sleep(_WATCH_INTERVALS * interval)
    after = workers.get(db, slot.name)
    if after and (after.epoch, after.pulse) != (before.epoch, before.pulse):
        owner = f"process {after.pid} on {after.machine}"
        raise SlotTaken("slot_taken", slot=slot.name, owner=owner)
