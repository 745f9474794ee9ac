"""Conversations that people wrote: their answers are right, also after names and numbers have changed."""

import ast
import re
import subprocess
import sys
from random import Random

import pytest

from tools.demo import given, varied, written
from tools.demo.families import LANGUAGES

SECONDS = 60
DRAWS = 600


def _run(talks):
    """What is wrong with these conversations, all run in one process that imports nothing."""
    lines = ["def run(number, steps):", "    space = {}"]
    lines += ["    for step in steps:", "        exec(step, space)"]
    for number, talk in enumerate(talks):
        steps = [
            f"{answer}\n"
            + "".join(f"assert {check}, {f'{number}: {check}'!r}\n" for check in checks)
            for answer, checks in talk
        ]
        lines.append(f"run({number}, {steps!r})")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"], input="\n".join(lines),
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.stderr[-400:]


def _plain(talk):
    return [(one.answer, one.checks) for one in talk]


def _pairs(talk):
    return [(one.request, one.answer) for one in talk]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_is_right(language):
    assert _run(map(_plain, written.load(language))) == ""


def test_a_wrong_answer_would_be_found():
    assert "3: f(1) == 3" in _run([[("def f(n):\n    return n", ["f(1) == 1"])]] * 3
                                  + [[("def f(n):\n    return n", ["f(1) == 3"])]])  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_thousands_with_requests_and_checks_and_one_function_an_answer(language):
    talks = written.load(language)

    assert len(talks) > 1000
    assert sum(len(talk) > 1 for talk in talks) > 500
    for one in (one for talk in talks for one in talk):
        assert one.request, one
        assert one.checks, one
        tree = ast.parse(one.answer).body
        assert [type(node) for node in tree] == [ast.FunctionDef], one


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_conversation_with_other_names_is_still_right(language):
    rng, renamed = Random(5), []
    for talk in written.load(language):
        table = varied._other_names(_pairs(talk), language, rng)
        if table:
            renamed.append([
                (varied.replace_code(one.answer, table), [varied.replace_code(c, table) for c in one.checks])
                for one in talk
            ])  # fmt: skip

    assert len(renamed) > 200
    assert _run(renamed) == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_varied_says_all_that_its_answers_hold(language):
    """Every name, number and quoted word that is new in an answer stands in the requests, too."""
    rng, changed = Random(6), 0
    for talk in rng.choices(written.load(language), k=DRAWS):
        pairs = varied.vary(_pairs(talk), language, rng)
        said = "\n".join(request for request, _ in pairs)
        for one, (_, answer) in zip(talk, pairs, strict=True):
            ast.parse(answer)
            new = set(re.findall(r"\w+", answer)) - set(re.findall(r"\w+", one.answer))
            changed += bool(new)
            assert all(word in said for word in new), (answer, said)
            assert answer.count("\n") == one.answer.count("\n")

    assert changed > DRAWS / 20


def test_numbers_keep_their_order():
    pairs = [("under 13 pays 6, 66 or older 8", "def f(n):\n    if n < 13:\n        return 6\n"
              "    if n >= 66:\n        return 8\n    return 0")]  # fmt: skip
    seen = set()
    for seed in range(40):
        request, answer = varied._renumber(pairs, Random(seed))[0]
        child, low, old, high = map(int, re.findall(r"\d+", request))
        assert low < high < child < old
        assert f"n < {child}:" in answer
        seen.add(child)

    assert len(seen) > 3


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("double n, e.g. 4 -> 8", "def f(n):\n    return n * 2"),
        ("minutes in n days, 24 hours each", "def f(n):\n    return n * 24 * 60"),
        ("ends with 3 or 5, then fizz; both: 15", "def f(n):\n    return n % 15 == 0"),
    ],
)
def test_numbers_that_belong_together_stay(request_, answer):
    pairs = [(request_, answer)]

    assert all(varied._renumber(pairs, Random(seed)) == pairs for seed in range(20))


@pytest.mark.parametrize(("name", "said", "is_name"), [
    ("price", "the price after tax, sale(price)", False),
    ("sale", "the price after tax, sale(price)", True),
    ("pct", "sale(price, pct)", True),
    ("a", "a function of a and b", False),
    ("b", "a function of a and b", True),
    ("tidy", "strip it, call it tidy", True),
    ("tidy", "make it tidy", False),
])  # fmt: skip
def test_a_word_of_the_sentence_is_no_name(name, said, is_name):
    assert varied._is_name(name, said, ["sale", "tidy"], "en") is is_name


def test_the_signature_comes_from_the_checks():
    said = written.Said("", "def f(a, b):\n    return a", ('f("x", 2) == ["x"]',))

    assert written._signature(said) == "s,n>l"
    assert (
        written._signature(written.Said("", "def f(a):\n    return a", ("f(1) + 1 == 2",))) == "x>x"
    )


def test_a_conversation_that_is_cut_shows_the_latest_code():
    turns = written.talk("en", Random(2))
    text = given.show(turns, "en", Random(1))

    assert all(turn.made.name in text for turn in turns)
