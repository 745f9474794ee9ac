"""The settings of each method: candidates with their scores, and the one that won.

bench/settings.json holds {workload: {method: {"chosen": number, "candidates": [{"settings",
"tokens_per_second"}]}}}; `make bench-tune` rewrites it. Our engine has no candidates: it runs as the
service would run it.
"""

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("settings.json")

_OURS: dict[str, dict[str, dict[str, Any]]] = {
    "ours": {"short": {"threads": 1}},  # as workers/loading.py does for a tiny model
    "ours_unshared": {"shared": {"share_prefixes": False}},
    "service": {},
}


def find(workload: str, method: str) -> dict[str, Any]:
    """The settings with which the method runs the workload."""
    if method in _OURS:
        return _OURS[method].get(workload, {})
    entry = read()[workload][method]
    return dict(entry["candidates"][entry["chosen"]]["settings"])


def read() -> dict[str, Any]:
    """All of bench/settings.json."""
    return dict(json.loads(PATH.read_text()))


def store(workload: str, method: str, number: int, score: float | None) -> None:
    """Writes a candidate's score (None: it failed) and chooses the best of those known."""
    everything = read()
    entry = everything[workload][method]
    entry["candidates"][number]["tokens_per_second"] = score
    scores = [candidate["tokens_per_second"] or 0.0 for candidate in entry["candidates"]]
    entry["chosen"] = scores.index(max(scores))
    PATH.write_text(spell(everything))


def spell(everything: dict[str, Any]) -> str:
    """JSON with one candidate on a line."""
    lines = []
    for workload, methods in everything.items():
        blocks = [_spell_method(name, entry) for name, entry in methods.items()]
        lines.append(f'  "{workload}": {{\n' + ",\n".join(blocks) + "\n  }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _spell_method(name: str, entry: dict[str, Any]) -> str:
    candidates = ",\n".join(f"      {json.dumps(each)}" for each in entry["candidates"])
    return f'    "{name}": {{"chosen": {entry["chosen"]}, "candidates": [\n{candidates}\n    ]}}'
