"""Which processes make up the service on this machine, in the order they start."""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app import settings
from app.errors import SettingsError
from app.inference import devices
from app.stack import broker
from app.stack.broker import Broker

_CLI = (sys.executable, "-m", "app.cli")


@dataclass(frozen=True)
class Process:
    """One child of the supervisor. `grace_seconds` is how long it may take to stop; `mend` is told
    what it wrote first when it has ended by itself, before it is started again."""

    name: str
    command: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=dict)
    grace_seconds: float = 15.0
    mend: Callable[[str], None] | None = None


def make(
    options: settings.Settings, place: Broker, *, num_workers: int | None, flower_port: int | None
) -> list[Process]:
    """Redis first, Flower last; stopping goes the other way."""
    shared = settings.environment(options)
    processes = []
    if place.command is not None:
        processes.append(
            Process("redis", place.command, mend=functools.partial(broker.mend, place))
        )
    processes.append(Process("control", (*_CLI, "control"), shared))
    processes += _make_workers(options, shared, num_workers)
    processes.append(Process("api", (*_CLI, "api"), shared))
    if flower_port is not None:
        address = ("--address", options.server.host, "--port", str(flower_port))
        processes.append(Process("flower", (*_CLI, "flower", *address), shared))
    return processes


def _make_workers(
    options: settings.Settings, shared: dict[str, str], number: int | None
) -> list[Process]:
    slots = find_slots(options, number)
    models = [each.name for each in options.models]
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // len(slots)))}
    grace = max(30.0, options.worker.pulse_seconds * 30)
    return [
        Process(
            f"worker-{device.replace(':', '-')}",
            (*_CLI, "worker", "--device", device, "--model", models[index % len(models)]),
            shared | (threads if device.startswith("cpu") else {}),
            grace,
        )
        for index, device in enumerate(slots)
    ]


def find_slots(options: settings.Settings, number: int | None) -> Sequence[str]:
    """One device name per worker. `number` asks for that many CPU slots, or for the first GPUs;
    SettingsError("too_many_workers") when there are fewer GPUs."""
    visible = settings.variable("CUDA_VISIBLE_DEVICES")
    names = devices.resolve(options.devices, visible=visible)
    devices.require_gpus(names, visible=visible)
    if any(model.backend != "fake" for model in options.models):
        devices.require_build(names)
    wanted = number or len(options.models)
    slots = devices.name_slots(names, wanted)
    if number is not None and number > len(slots):
        raise SettingsError("too_many_workers", workers=number, devices=", ".join(slots))
    return slots[:number] if number is not None else slots
