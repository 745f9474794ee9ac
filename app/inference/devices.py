"""Which devices a process may use, found without torch: the supervisor asks."""

import contextlib
import re
import subprocess
from collections.abc import Sequence
from importlib import metadata
from itertools import takewhile
from pathlib import Path

from app.errors import SettingsError

QUERY = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")
QUERY_SECONDS = 20.0  # a driver that wakes up takes some


def resolve(
    names: Sequence[str], *, visible: str | None = None, query: Sequence[str] = QUERY
) -> tuple[str, ...]:
    """Replaces ("auto",) by every GPU ("cuda:0", ...), or "cpu" where there is none.

    `visible` is this process's CUDA_VISIBLE_DEVICES; cuda:0 is the first that it names."""
    if tuple(names) != ("auto",):
        return tuple(names)
    return tuple(f"cuda:{number}" for number in range(count_gpus(visible, query))) or ("cpu",)


def name_slots(devices: Sequence[str], workers: int = 1) -> tuple[str, ...]:
    """One device name per worker: "cpu" becomes cpu:0 to cpu:workers-1, GPUs stay as they are."""
    cpus = [f"cpu:{number}" for number in range(workers)]
    return tuple(name for device in devices for name in (cpus if device == "cpu" else [device]))


def require_gpus(
    names: Sequence[str], *, visible: str | None = None, query: Sequence[str] = QUERY
) -> None:
    """SettingsError("device_missing") for a GPU that this machine does not have."""
    numbers = {name: int(name.partition(":")[2] or 0) for name in names if _is_gpu(name)}
    found = count_gpus(visible, query) if numbers else 0
    for name, number in numbers.items():
        if number >= found:
            raise SettingsError("device_missing", param="devices", device=name, found=found)


def require_build(names: Sequence[str]) -> None:
    """SettingsError("torch_without_cuda") for a GPU that the installed torch cannot use."""
    gpu = next((name for name in names if _is_gpu(name)), None)
    with contextlib.suppress(metadata.PackageNotFoundError):  # a load says what is missing
        version = metadata.version("torch")
        if gpu is not None and version.endswith("+cpu"):
            raise SettingsError("torch_without_cuda", device=gpu, version=version)


def _is_gpu(name: str) -> bool:
    return name.partition(":")[0] == "cuda"


def count_gpus(visible: str | None = None, query: Sequence[str] = QUERY) -> int:
    """How many GPUs there are, or how many `visible` shows: as in CUDA, up to the first name in
    it that no GPU has. MIG instances are taken at their word."""
    gpus = _ask_driver(query) or _list_nodes()
    if visible is None:
        return len(gpus)
    names = [name.strip() for name in visible.split(",")]
    return len(list(takewhile(lambda name: bool(gpus) and _is_known(name, gpus), names)))


def _is_known(name: str, gpus: dict[str, str]) -> bool:
    if name.startswith("GPU-"):
        return any(uuid.startswith(name) for uuid in gpus.values())
    return name in gpus or name.startswith("MIG-")


def _ask_driver(query: Sequence[str]) -> dict[str, str]:
    """The UUID of each GPU by its number."""
    try:
        answer = subprocess.run(
            query, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(re.findall(r"^(\d+), (\S+)$", answer.stdout, re.MULTILINE))


def _list_nodes() -> dict[str, str]:
    """The same from /dev, without UUIDs: a container may have the files but no nvidia-smi."""
    nodes = [re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*")]
    return {node[1]: "" for node in nodes if node}
