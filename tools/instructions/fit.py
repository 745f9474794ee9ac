"""Fits the weights of the intent: logistic regression on phrases and example trees, seeded.

python -m tools.instructions.fit                    writes app/coding/instruction/intents.json
python -m tools.instructions.fit --held-out final3  fits without this set and scores it; writes
                                                    nothing; of development (the default) only the
                                                    even half is held out
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.coding.instruction import evidence, features, fences, lexing, signatures, weighing
from tools.instructions import evaluate, made

SEED = 7
SETS = ("tuning", "final", "final2", "final3", "development")  # the finals are spent
_TIMES = 3  # fillings of each phrase
_CASE_WEIGHT = 4  # an example counts as much as the fillings of one phrase
_EPOCHS = 12
_RUNS = 6  # their weights are averaged: one alone is off by up to two points
_RATE = 0.15
_SHRINK = 1e-2  # of the weights of a seen feature, for each example
_RAREST = 3  # examples that a feature must be in
_SMALLEST = 15  # hundredths: a feature that says less is left out


@dataclass(frozen=True)
class Example:
    """The features of one instruction, the place of its intent, and how much it counts."""

    features: Sequence[str]
    intent: int
    weight: int = 1


def read(instruction: str) -> list[str]:
    """The features of an instruction, as the parser sees them."""
    blocks, prose = fences.find(instruction)
    shown = signatures.find(prose)
    tokens = lexing.cut(signatures.blank_inner(prose, shown))
    return features.collect(evidence.Evidence(tokens, blocks, shown, prose), prose)


def _gather(held_out: str | None) -> tuple[list[Example], list[dict[str, Any]]]:
    """What is fitted on, and the cases that are held out."""
    cases = {name: evaluate.read_cases(evaluate.FOLDER / f"{name}.jsonl") for name in SETS}
    scored = cases.pop(held_out) if held_out else []
    if held_out == "development":
        cases[held_out] = [case for case in scored if not is_even(case)]
        scored = [case for case in scored if is_even(case)]
    places = {intent.value: place for place, intent in enumerate(weighing.INTENTS)}
    examples = [
        Example(read(case["instruction"]), places[case["tree"]["intent"]], _CASE_WEIGHT)
        for each in cases.values()
        for case in each
    ]
    made_up = dict(made.make(_TIMES, SEED))
    examples += [Example(read(text), places[intent]) for text, intent in made_up.items()]
    return examples, scored


def is_even(case: dict[str, Any]) -> bool:
    """Whether a case belongs to the half that is only scored."""
    return int(case["id"].rsplit("-", 1)[1]) % 2 == 0


def fit(examples: list[Example]) -> dict[str, list[int]]:
    """The weights in hundredths, by AdaGrad over shuffled examples; rare and idle features left
    out."""
    counts = Counter(name for each in examples for name in each.features)
    names = sorted(name for name, count in counts.items() if count >= _RAREST)
    places = {name: place for place, name in enumerate(names)}
    rows = [np.array([places[n] for n in each.features if n in places]) for each in examples]
    runs = [_descend(rows, examples, len(names), SEED + run) for run in range(_RUNS)]
    rounded = np.rint(np.mean(runs, axis=0) * 100).astype(int)
    return {
        name: row.tolist()
        for name, row in zip(names, rounded, strict=True)
        if np.abs(row).max() >= _SMALLEST
    }


def _descend(
    rows: list[NDArray[np.int64]], examples: Sequence[Example], size: int, seed: int
) -> NDArray[np.float64]:
    weights = np.zeros((size, len(weighing.INTENTS)))
    squares = np.full_like(weights, 1e-2)
    draw = random.Random(seed)
    order = list(range(len(rows)))
    for _ in range(_EPOCHS):
        draw.shuffle(order)
        for place in order:
            row = rows[place]
            slope = _softmax(weights[row].sum(axis=0))
            slope[examples[place].intent] -= 1
            step = examples[place].weight * (slope + _SHRINK * weights[row])
            squares[row] += step**2
            weights[row] -= _RATE * step / np.sqrt(squares[row])
    return weights


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(scores - scores.max())
    share: NDArray[np.float64] = powers / powers.sum()
    return share


def _write(weights: dict[str, list[int]]) -> None:
    lines = [f"{json.dumps(name, ensure_ascii=False)}: {row}" for name, row in weights.items()]
    weighing.FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _as_read(weights: dict[str, list[int]]) -> Mapping[str, list[int]]:
    return weights


def main() -> None:
    """Fits, and writes the weights or scores the half that was held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", nargs="?", const="development", choices=SETS)
    parser.add_argument("--wrong", action="store_true")
    options = parser.parse_args()
    examples, scored = _gather(options.held_out)
    weights = fit(examples)
    print(f"{len(examples)} examples, {len(weights)} features")
    if not options.held_out:
        _write(weights)
        return
    weighing.load = cache(lambda: _as_read(weights))
    print(evaluate.tabulate(evaluate.score(scored)))
    for case in scored if options.wrong else ():
        evaluate.show_wrong(case)


if __name__ == "__main__":
    main()
