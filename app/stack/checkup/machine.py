"""Python, memory, cores and room on the disk."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from app import settings
from app.models import disks
from app.stack.checkup.rows import FAILED, OK, WARNING, Row

PYTHON = (3, 11)
LEAST_MEMORY_GIB, LEAST_CORES = 8, 2  # for the shipped model; a real one wants what it weighs
LEAST_DISK_GIB = 5
_GIB = 1024**3


def check(options: settings.Settings) -> Iterator[Row]:
    """One row each."""
    yield _check_python()
    yield _check_config(options)
    yield _check_memory()
    yield _check_disk(options.data_dir)


def _check_python() -> Row:
    version = platform.python_version()
    is_new = sys.version_info[:2] >= PYTHON
    values = {"version": version, "wanted": ".".join(map(str, PYTHON))}
    return Row("python", OK if is_new else FAILED, "python" if is_new else "python_old", values)


def _check_config(options: settings.Settings) -> Row:
    if options.source is None:
        return Row("config", OK, "config_defaults")
    return Row("config", OK, "config", {"path": str(options.source)})


def _check_memory() -> Row:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    cores = len(os.sched_getaffinity(0))
    values = {"gib": f"{gib:.1f}", "cores": cores}
    values |= {"least_gib": LEAST_MEMORY_GIB, "least_cores": LEAST_CORES}
    is_enough = gib >= LEAST_MEMORY_GIB * 0.9 and cores >= LEAST_CORES
    return Row(
        "memory", OK if is_enough else WARNING, "memory" if is_enough else "memory_low", values
    )


def _check_disk(folder: Path) -> Row:
    place = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Row("disk", FAILED, "disk_unusable", {"path": str(folder), "place": str(place)})
    free = shutil.disk_usage(place).free / _GIB
    values = {"path": str(folder), "gib": f"{free:.1f}", "least": LEAST_DISK_GIB}
    if disks.is_full(place):
        return Row("disk", FAILED, "disk_full", values)
    is_enough = free >= LEAST_DISK_GIB
    return Row("disk", OK if is_enough else WARNING, "disk" if is_enough else "disk_low", values)
