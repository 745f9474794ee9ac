"""The intent by weight: every feature of an instruction speaks for and against each intent.

intents.json holds the weights, in hundredths, one feature a line; `python -m tools.instructions.fit`
makes it from phrases and example trees. The scores are sums, so any decision can be looked up.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from app.coding.instruction import features
from app.coding.instruction.evidence import Evidence
from app.coding.instruction.tree import Intent

INTENTS = tuple(Intent)  # the order of the weights in a line
FILE = Path(__file__).with_name("intents.json")


@cache
def load() -> Mapping[str, list[int]]:
    """The weights of each feature, one for each intent."""
    weights: dict[str, list[int]] = json.loads(FILE.read_text(encoding="utf-8"))
    return weights


def choose(evidence: Evidence, prose: str) -> tuple[Intent, float]:
    """The intent with the highest score, and its probability by the model."""
    known = load()
    rows = [known[name] for name in features.collect(evidence, prose) if name in known]
    scores = [sum(column) / 100 for column in zip(*rows, strict=True)]
    if not scores:
        return Intent.CREATE, 1 / len(INTENTS)
    best = max(range(len(INTENTS)), key=lambda place: scores[place])
    total = sum(math.exp(score - scores[best]) for score in scores)
    return INTENTS[best], 1 / total
