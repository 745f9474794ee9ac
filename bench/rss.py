"""Resident memory of the service's processes, read from outside while something runs."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

_LOOK_SECONDS = 0.1
_MEGABYTE = 1024 * 1024
_NAMES = ("api", "control", "worker")


class Memory:
    """What each kind of process holds, sampled by a thread of its own."""

    def __init__(self, data_dir: Path) -> None:
        self._processes = _find(data_dir)
        self._samples: dict[str, list[int]] = {name: [] for name in _NAMES}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rss", daemon=True)

    def start(self) -> None:
        self._look()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def grown(self) -> dict[str, int]:
        """Megabytes that each kind held at most above what it held at the start."""
        return {
            name: round((max(samples) - samples[0]) / _MEGABYTE)
            for name, samples in self._samples.items()
        }

    def series(self) -> dict[str, list[int]]:
        """Megabytes at eleven moments from start to end."""
        return {
            name: [round(samples[(len(samples) - 1) * i // 10] / _MEGABYTE) for i in range(11)]
            for name, samples in self._samples.items()
        }

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        for name, processes in self._processes.items():
            self._samples[name].append(sum(map(_resident, processes)))


def _find(folder: Path) -> dict[str, list[psutil.Process]]:
    """The processes of the service that runs with this folder's configuration."""
    found: dict[str, list[psutil.Process]] = {name: [] for name in _NAMES}
    for supervisor in psutil.process_iter(["cmdline"]):
        command = supervisor.info["cmdline"] or []
        if "up" in command and str(folder / "config.yaml") in command:
            for process in supervisor.children(recursive=True):
                _sort(process, found)
    return found


def _sort(process: psutil.Process, found: dict[str, list[psutil.Process]]) -> None:
    """Children that share a name's command line, or have a parent that does."""
    lines = [process.cmdline(), *(parent.cmdline() for parent in process.parents()[:2])]
    for name in _NAMES:
        if any(name in line for line in lines):
            found[name].append(process)
            return


def _resident(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


@contextlib.contextmanager
def watching(folder: Path) -> Iterator[Memory]:
    memory = Memory(folder)
    memory.start()
    try:
        yield memory
    finally:
        memory.stop()
