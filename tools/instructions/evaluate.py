"""Scores the instruction parser against gold trees.

python -m tools.instructions.evaluate [--cases evals/instructions/tuning.jsonl] [--wrong]

A set that is still blind is scored once; docs/coding.md keeps its figures.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.coding import instruction

FOLDER = Path(__file__).parents[2] / "evals" / "instructions"
_EXACT = ("intent", "target", "language", "locale", "scope", "returns")


@dataclass
class Counts:
    """Hits, misses and false finds of one kind of part."""

    right: int = 0
    found: int = 0
    wanted: int = 0

    def add(self, found: set[Any], wanted: set[Any]) -> None:
        self.right += len(found & wanted)
        self.found += len(found)
        self.wanted += len(wanted)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, self.found + self.wanted)


@dataclass
class Score:
    """The figures of one language, or of all."""

    cases: int = 0
    exact: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    names: Counts = field(default_factory=Counts)
    parameters: Counts = field(default_factory=Counts)
    typed: Counts = field(default_factory=Counts)
    references: Counts = field(default_factory=Counts)

    @property
    def both(self) -> Counts:
        """Names and parameters (by name) together."""
        parts = (self.names, self.parameters)
        return Counts(*(sum(getattr(p, n) for p in parts) for n in ("right", "found", "wanted")))


def score(cases: list[dict[str, Any]]) -> dict[str, Score]:
    """Scores by language, and under "all"."""
    scores: dict[str, Score] = defaultdict(Score)
    for case in cases:
        found = instruction.parse(case["instruction"]).as_json()
        for name in ("all", case["locale"]):
            _add(scores[name], found, {"locale": case["locale"], **case["tree"]})
    return scores


def _add(score: Score, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    score.cases += 1
    for name in _EXACT:
        score.exact[name] += found[name] == wanted.get(name)
    score.exact["intent and target"] += all(found[n] == wanted[n] for n in ("intent", "target"))
    score.names.add(_set(found["name"]), _set(wanted["name"]))
    score.parameters.add(*({each["name"] for each in t["parameters"]} for t in (found, wanted)))
    score.typed.add(*(_typed(tree) for tree in (found, wanted)))
    score.references.add(set(found["references"]), set(wanted["references"]))


def _set(name: str | None) -> set[str]:
    return {name} if name else set()


def _typed(tree: dict[str, Any]) -> set[tuple[str | None, ...]]:
    """Parameters with type and default."""
    return {(each["name"], each["type"], each["default"]) for each in tree["parameters"]}


def tabulate(scores: dict[str, Score]) -> str:
    """One line per figure, one column per language."""
    columns = sorted(scores)
    lines = [f"{'':34}" + "".join(f"{name:>8}" for name in columns)]
    lines += [_line("cases", [str(scores[name].cases) for name in columns])]
    for name in ("intent", "target", "intent and target", *_EXACT[2:]):
        shares = [f"{100 * scores[c].exact[name] / scores[c].cases:.1f}" for c in columns]
        lines.append(_line(f"{name}, %", shares))
    for title, part in (
        ("names, F1", "names"),
        ("parameters, F1", "parameters"),
        ("names and parameters, F1", "both"),
        ("parameters with type, default, F1", "typed"),
        ("references, F1", "references"),
    ):
        lines.append(_line(title, [f"{getattr(scores[c], part).f1:.3f}" for c in columns]))
    return "\n".join(lines)


def _line(title: str, values: list[str]) -> str:
    return f"{title:34}" + "".join(f"{value:>8}" for value in values)


def show_wrong(case: dict[str, Any]) -> None:
    """Prints what differs from the gold tree."""
    found = instruction.parse(case["instruction"]).as_json()
    wanted = {"locale": case["locale"], **case["tree"]}
    wrong = {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}
    if wrong:
        print(case["id"], case["instruction"], sep="  ")
        for name, (mine, gold) in wrong.items():
            print(f"    {name}: {mine}   gold: {gold}")


def read_cases(path: Path) -> list[dict[str, Any]]:
    """The cases of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=Path, default=FOLDER / "tuning.jsonl")
    parser.add_argument("--wrong", action="store_true", help="print what was wrong")
    options = parser.parse_args()
    cases = read_cases(options.cases)
    for case in cases if options.wrong else ():
        show_wrong(case)
    print(tabulate(score(cases)))


if __name__ == "__main__":
    main()
