"""Places of lines: whatever lines share at their beginning, they stand together."""

import random
from typing import Any

import pytest

from app.intake import places
from bench import realistic


def chat(*contents: str) -> dict[str, Any]:
    roles = ("system", "user") if len(contents) > 1 else ("user",)
    told = zip(roles, contents, strict=True)
    return {"messages": [{"role": role, "content": content} for role, content in told]}


def count_runs(names: list[str]) -> int:
    """How often the name changes from one to the next, and once for the first."""
    return sum(name != before for name, before in zip(names, [None, *names], strict=False))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda shared, own: chat(shared, own), id="instructions"),
        pytest.param(lambda shared, own: chat(shared + own), id="examples of a message"),
        pytest.param(lambda shared, own: chat("s" * 300, shared + own), id="one system prompt"),
        pytest.param(lambda shared, own: {"prompt": shared + own}, id="raw prompts"),
        pytest.param(lambda shared, own: {"instructions": shared, **chat(own)}, id="responses"),
    ],
)
@pytest.mark.parametrize("length", [100, 700, 5000])
def test_shuffled_lines_of_several_beginnings_are_sorted_into_their_groups(make, length):
    rng = random.Random(7)
    starts = {name: "".join(rng.choices("abc ", k=length)) for name in "stuvwxyz"}
    lines = [(name, make(starts[name], f"{rng.random()} own text")) for name in "stuvwxyz" * 20]
    rng.shuffle(lines)

    lines.sort(key=lambda line: places.make_key(line[1]))

    assert count_runs([name for name, _ in lines]) == len(starts)


def test_groups_within_a_group_stand_together_too():
    lines = realistic.make(400)

    lines.sort(key=lambda line: places.make_key({"prompt": line.prompt}))

    assert count_runs([line.task for line in lines]) == 4
    has_examples = [f"{line.task} {'Answer: ' in line.prompt}" for line in lines]
    assert count_runs(has_examples) <= 2 * 4 + 4  # those without may lie on both sides


def test_lines_that_are_too_short_to_share_anything_keep_the_order_of_the_file():
    assert {places.make_key({"prompt": f"line {number}"}) for number in range(50)} == {""}


def test_a_key_is_short_whatever_the_text_and_the_same_everywhere():
    assert len(places.make_key({"prompt": "é" * 1_000_000})) == 48
    assert places.make_key({"prompt": "abc" * 40}) == "1ce045"
