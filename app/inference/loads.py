"""Counts the fake engine's loads, some of which are told to fail."""

from pathlib import Path

from app.settings import schema

_loads: dict[str, int] = {}  # of each model without a path, in this process


def count(model: schema.Model) -> int:
    """Which load of `model` this is, from 1: in this process, or, where `model.path` names a
    directory, over all processes, by the lines of its file loads.log."""
    if model.path is None:
        _loads[model.name] = _loads.get(model.name, 0) + 1
        return _loads[model.name]
    with (Path(model.path) / "loads.log").open("a+") as log:
        log.write(f"{model.name}\n")
        log.seek(0)
        return sum(line.strip() == model.name for line in log)
