"""torch, the driver, CUDA, the GPUs and who is on them, Docker."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from app import settings
from app.inference import build
from app.stack.checkup.rows import FAILED, OK, WARNING, Row

# CUDA that a torch was built for -> the driver for it on Linux: 11.8 and 12.1 as the operator's
# article demands them, the others as CUDA brings them. An older one of the same major version does,
# with fewer features: https://docs.nvidia.com/deploy/cuda-compatibility/
DRIVERS = {
    "11.8": "525.60",
    "12.1": "535.86",
    "12.4": "550.54",
    "12.6": "560.28",
    "12.8": "570.26",
    "12.9": "575.51",
    "13.0": "580.65",
}
_DEMANDED = {DRIVERS["11.8"], DRIVERS["12.1"]}
_LEAST = {11: "450.80", 12: "525.60", 13: "580"}
_GPUS = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
_PROCESSES = ("nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader")
_PATIENCE_SECONDS = 10.0
_RUNTIMES = ("docker", "info", "--format", "{{json .Runtimes}}")


def check(options: settings.Settings) -> Iterator[Row]:
    """torch first; what it was built for decides which driver is needed."""
    try:
        found = build.describe()
    except (ImportError, OSError) as error:
        yield Row("torch", FAILED, "torch_missing", {"reason": str(error)})
        return
    values = {"version": found["torch"], "cuda": found["cuda"] or "-"}
    idle = "torch_cpu" if found["cuda"] is None else "torch_idle"
    yield Row("torch", OK, "torch" if found["is_available"] else idle, values)
    gpus = list_gpus()
    yield _check_driver(options, gpus, found["cuda"])
    yield _check_docker(has_gpus=bool(gpus))


def list_gpus() -> list[tuple[str, str, str]] | None:
    """(name, driver, memory) of each GPU; None where nvidia-smi is there but does not say."""
    lines = _ask(_GPUS)
    if lines is None:
        return None if shutil.which(_GPUS[0]) else []
    rows = [[part.strip() for part in line.rsplit(",", 2)] for line in lines]
    return [(row[0], row[1], row[2]) for row in rows if len(row) == 3 and _order(row[1])] or None


def list_processes() -> set[int]:
    """The ids of the processes that compute on a GPU."""
    return {int(line) for line in _ask(_PROCESSES) or () if line.isascii() and line.isdigit()}


def _ask(command: Sequence[str]) -> list[str] | None:
    """The lines that a program prints; None where it is not there, fails or hangs."""
    try:
        answer = subprocess.run(
            command, capture_output=True, timeout=_PATIENCE_SECONDS, check=True
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    return [line.strip() for line in answer.splitlines() if line.strip()]


def _check_driver(
    options: settings.Settings, gpus: list[tuple[str, str, str]] | None, cuda: str | None
) -> Row:
    wants = any(name.startswith("cuda") for name in options.devices)
    if gpus is None:
        return Row("gpu", FAILED if wants else WARNING, "gpu_silent")
    if not gpus:
        return Row("gpu", FAILED, "gpu_missing") if wants else Row("gpu", OK, "gpu_none")
    driver, needed = gpus[0][1], find_driver(cuda)
    shown = ", ".join(f"{name} ({memory})" for name, _, memory in gpus)
    values = {"gpus": shown, "driver": driver, "cuda": cuda or "-", "needed": needed or "-"}
    if cuda is None:
        return Row("gpu", FAILED if wants else WARNING, "gpu_unused", values)
    return Row("gpu", *_compare(driver, needed, cuda), values)


def _compare(driver: str, needed: str | None, cuda: str) -> tuple[str, str]:
    """State and key for this driver under this CUDA."""
    if needed is None or _order(driver) >= _order(needed):
        return OK, "gpu"
    least = _LEAST.get(_order(cuda)[0], needed)
    if needed in _DEMANDED or _order(driver) < _order(least):
        return FAILED, "driver_old"
    return WARNING, "driver_minor"


def find_driver(cuda: str | None) -> str | None:
    """The driver for a torch built for this CUDA: of the newest version in the table that is no
    newer; None for a CPU build or a CUDA older than all."""
    known = [each for each in DRIVERS if cuda is not None and _order(each) <= _order(cuda)]
    return DRIVERS[max(known, key=_order)] if known else None


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _check_docker(*, has_gpus: bool) -> Row:
    if shutil.which("docker") is None:
        return Row("docker", OK, "docker_none")
    try:
        runtimes = json.loads("".join(_ask(_RUNTIMES) or ()))
    except ValueError:
        runtimes = None
    if not isinstance(runtimes, dict):
        return Row("docker", WARNING, "docker_silent")
    if has_gpus and "nvidia" not in runtimes:
        return Row("docker", WARNING, "docker_without_gpus")
    return Row("docker", OK, "docker")
