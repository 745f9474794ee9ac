"""How often tasks are drawn: every listed task exists, and common ones come more often."""

from collections import Counter
from random import Random

import pytest

from tools.demo import common, families, series, talks, texts


def _ids():
    return {
        "families": {task.id for task in families.load_tasks()},
        "series": {task.id for task in series.tasks()},
        "texts": {task.id.removeprefix("text_") for task in texts._families()},
    }


def test_what_is_listed_exists():
    known = _ids()

    missing = {pair for pair in common.levels() if pair[1] not in known[pair[0]]}

    assert not missing


@pytest.mark.parametrize(("often", "seldom"), [("add", "increasing"), ("is_even", "xor")])
def test_a_common_task_is_drawn_more_often(often, seldom):
    assert common.weigh("families", often) >= 9 * common.weigh("families", seldom) > 0


def test_what_nobody_asks_for_is_not_drawn():
    rng = Random(2)

    drawn = Counter(talks._pick_task("en", rng).made.topics[0] for _ in range(3000))

    assert not [task for task in drawn if common.weigh("families", task) == 0]
    assert common.weigh("families", "hangman") == 0
