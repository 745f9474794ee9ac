"""How often a task is asked for: what everybody thinks of first is drawn far more often than rarities.

common.txt lists tasks by who knows them, `families`, `texts` or `series`, and a level from 0 (never
drawn) to 4; what is not listed has level 2, of the series 1.
"""

from functools import cache
from pathlib import Path

_WEIGHTS = (0, 1, 3, 9, 24)
_USUAL = {"families": 2, "texts": 2, "series": 1}


@cache
def levels() -> dict[tuple[str, str], int]:
    """The level of each listed task."""
    found: dict[tuple[str, str], int] = {}
    source, level = "", 0
    for line in Path(__file__).with_name("common.txt").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in _USUAL and words[1].isdigit():
            source, level = words[0], int(words[1])
        else:
            found |= {(source, word): level for word in words}
    return found


def weigh(source: str, task: str) -> int:
    """How often a task is drawn, beside the others of its source."""
    return _WEIGHTS[levels().get((source, task), _USUAL[source])]
