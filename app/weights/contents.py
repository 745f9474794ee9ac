"""What a verified file may contain: no pickles, no code, no pointer to code or weights elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError, safe_open

from app.errors import WeightsError

CONFIG_LIMIT = 16 << 20  # bytes; real configurations are a few KiB
INDEX_ENDING = ".safetensors.index.json"
CODE_KEYS = frozenset({"auto_map", "trust_remote_code", "custom_pipelines", "custom_generate"})
FORBIDDEN = frozenset(
    ending
    for group in (
        (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npy", ".npz"),
        (".h5", ".hdf5", ".keras", ".msgpack", ".pb", ".onnx", ".mar", ".nemo", ".gguf", ".ggml"),
        (".py", ".pyc", ".pyo", ".pyd", ".pyx", ".ipynb", ".so", ".dll", ".dylib", ".exe", ".js"),
        (".sh", ".bat", ".whl", ".egg", ".jar", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz"),
        (".7z", ".tflite"),
    )
    for ending in group
)


def check_type(name: str) -> None:
    """Refuses by its name a file that can carry code: only safetensors holds weights here."""
    path = PurePosixPath(name)
    endings = [ending.lower() for ending in path.suffixes]
    if endings and (endings[-1] in FORBIDDEN or ".so" in endings):
        raise WeightsError("weights_type_forbidden", file=name, type=endings[-1])
    if path.name == "adapter_config.json":
        raise WeightsError("weights_adapter", file=name)


def check_content(root: Path, name: str, names: frozenset[str]) -> None:
    """Refuses a broken safetensors header, unreadable configuration, and pointers elsewhere.

    `names` are all files of the manifest: an index may name only those.
    """
    if name.endswith(".safetensors"):
        _check_safetensors(root / name, name)
    elif name.endswith(INDEX_ENDING):
        _check_index(_read_json(root / name, name), name, names)
    elif name.endswith("config.json"):
        _check_config(_read_json(root / name, name), name)


def _check_safetensors(path: Path, name: str) -> None:
    """Opens it as the loader will; the format's own checks cover the header, not the data."""
    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise WeightsError("weights_safetensors_broken", file=name, detail=str(error)) from error


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return _parse_object(file.read(CONFIG_LIMIT + 1))
    except (ValueError, TypeError, RecursionError, OSError) as error:
        raise WeightsError("weights_json_broken", file=name, detail=str(error)) from error


def _parse_object(raw: bytes) -> dict[str, Any]:
    if len(raw) > CONFIG_LIMIT:
        raise ValueError(f"longer than {CONFIG_LIMIT} bytes")
    body = json.loads(raw.decode())
    if not isinstance(body, dict):
        raise TypeError("not an object")
    return body


def _check_index(body: dict[str, Any], name: str, names: frozenset[str]) -> None:
    folder = PurePosixPath(name).parent
    shards = body.get("weight_map")
    if not isinstance(shards, dict):
        raise WeightsError("weights_json_broken", file=name, detail="weight_map")
    for shard in sorted({str(each) for each in shards.values()}):
        if (folder / shard).as_posix() not in names:
            raise WeightsError("weights_index_outside", file=name, shard=ascii(shard))


def _check_config(body: dict[str, Any], name: str) -> None:
    for key, value in _entries(body):
        if key in CODE_KEYS and value:
            raise WeightsError("weights_custom_code", file=name, key=key)
        if key.endswith("_implementation") and "/" in str(value):
            raise WeightsError("weights_custom_code", file=name, key=key)


def _entries(body: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value at any depth."""
    pending = [body]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            yield from each.items()
            pending.extend(each.values())
        elif isinstance(each, list):
            pending.extend(each)
