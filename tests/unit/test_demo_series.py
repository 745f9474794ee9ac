"""Single requests on lists, counting and recursion: what is asked for is what the code does."""

import copy
import itertools
import re
from random import Random
from typing import Any

import pytest

from tools.demo import grammar, series, series_given, series_rules, series_said, series_sequences
from tools.demo.families import LANGUAGES

DRAWS = 300
VALUES = {
    "h": "60",
    "k": "7",
    "n": "7",
    "j": "12",
    "d": "4",
    "e": "5",
    "t": "3",
    "i": "2",
    "m": "1.5",
    "l": "b",
}
VALUES |= {"w": "yes", "v": "no", "y": "pre", "z": "post"}
SOURCES = {"e": "d", "i": "t"}
FREE = {"sum": sum, "min": min, "max": max, "range": range, "round": round, "str": str}
LISTS: Any = ([5, -3, 12, 0, 7, 44, 6, 901, -20], [3, 250, 18, 99, 100], [])
WORDS: Any = (["apple", "Bob", "", "level", "NASA", "2024", "re-do", "tea!"], [])
HOLDS = {  # conditions, worked out another way than the code does
    "gt": lambda x, k: x - k > 0,
    "ge": lambda x, k: not k - x > 0,
    "lt": lambda x, k: k - x > 0,
    "le": lambda x, k: not x - k > 0,
    "even": lambda x, k: (x / 2).is_integer(),
    "negative": lambda x, k: abs(x) != x,
    "not_zero": lambda x, k: bool(x),
    "multiple": lambda x, k: (x / k).is_integer(),
    "longer": lambda x, k: len(x[k:]) > 0,
    "shorter": lambda x, k: x[k - 1 :] == "" or len(x) == k - 1,
    "full": lambda x, k: bool(x),
}


def _run(code, arguments):
    scope: Any = {}
    exec(code, scope)
    return [value for name, value in scope.items() if name not in ("__builtins__", "math")][-1](
        *arguments
    )


def _fill(text):
    slots = {**VALUES, "f": "made", "a": "p", "b": "q", "c": "r"}
    return re.sub(r"\$([a-z])", lambda match: slots[match[1]], text)


def _draws(language, count=DRAWS):
    rng = Random(5)
    return [series.pick(language, rng) for _ in range(count)]


def test_every_written_task_gives_the_expected_value():
    for task in series.tasks():
        arguments, _, value = _fill(task.test).partition(" == ")
        found = _run(_fill(task.code), eval(arguments, {"__builtins__": FREE}))
        assert found == eval(value, {"__builtins__": FREE}), task.id


def test_every_wording_says_all_numbers_and_words_of_the_code():
    rng = Random(1)
    for task in series.tasks():
        needed = {SOURCES.get(s, s) for s in re.findall(r"\$([kjhdetimlwvyz])", task.code)}
        for language in LANGUAGES:
            macros = series_said.macros(language) | {"T": "x", "W": "x"}
            assert task.wordings[language], (task.id, language)
            for _, line in task.wordings[language]:
                text = grammar.expand(line, macros, rng)
                assert needed <= set(re.findall(r"\$([a-z])", text)), (task.id, text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_requests_are_whole_and_their_code_runs_alone(language):
    for turn in _draws(language):
        assert not re.search(r"[$|{}\x00-\x08]", turn.request.replace("$", "$")), turn.request
        assert turn.function.name in turn.answer
        assert turn.function.topics[0] == "series"
        compile(turn.answer, "answer", "exec")
        head = f"def {turn.function.name}({', '.join(turn.function.parameters)}):"
        assert head in turn.answer


@pytest.mark.parametrize("language", LANGUAGES)
def test_unusual_names_stand_in_the_request(language):
    usual = {name for task in series.tasks() for name in task.parameters[0]}
    usual |= {"numbers", "words", "items", "n"}
    for turn in _draws(language):
        for name in turn.function.parameters:
            assert name in usual or name in turn.request, turn


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_kept_and_what_is_dropped_make_the_whole(language):
    rng = Random(3)
    seen = set()
    for _ in range(DRAWS):
        task = series_rules.select(language, rng, "x", "x")
        chosen, _, condition = task.id.partition("_")
        if chosen not in ("list", "drop", "count") or condition not in HOLDS:
            continue
        seen.add(condition)
        for values in WORDS if "len(" in task.code or '""' in task.code else LISTS:
            match = re.search(r"(?:x|\)) (?:%|[<>]=?) \$([kdn])|x % \$(d)", task.code)
            limit = int(VALUES[match[1] or match[2]]) if match else 0
            kept = [x for x in values if HOLDS[condition](x, limit)]
            left = [x for x in values if not HOLDS[condition](x, limit)]
            expected = {"list": kept, "drop": left, "count": len(kept)}[chosen]
            assert _run(_fill(task.code), (values,)) == expected, task
    assert len(seen) > 6


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_empty_list_gives_what_the_request_says(language):
    rng = Random(4)
    for _ in range(DRAWS):
        task = series_rules.default(language, rng)
        said = str(_run(_fill(task.code), ([],)))
        assert said in task.wordings[language][0][1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sequence_is_the_same_as_terms_and_as_a_list(language):
    for seed in range(DRAWS):
        drawn = Random(seed)
        task = series_sequences.pick(language, drawn)
        numbers = re.findall(r"(?<![\w\[-])\d+", task.code)
        values = dict.fromkeys("skmr", "3")
        term, listed = (
            series_sequences._code(task.id.split("_")[1], told, values, minus=seed % 2 == 0)
            for told in ("term", "list")
        )
        terms = [_run(_fill(term), (n,)) for n in range(1, 6)]
        assert terms == _run(_fill(listed), (5,))
        assert numbers


def test_the_same_seed_gives_the_same_requests():
    assert _draws("en", 50) == _draws("en", 50)


def test_a_constant_taken_as_parameter_gives_the_same_value():
    taken = 0
    for task in series.tasks():
        text = task.wordings["en"][0][1]
        changed, said = series_given.take(task, text, Random(1))
        if changed.code == task.code:
            continue
        taken += 1
        slot = re.findall(r"\$([kjhdtmlwvyz])", task.code)[0]
        value = VALUES[slot] if slot in "lwvyz" else float(VALUES[slot])
        value = int(value) if value in (3, 4, 7, 60) else value
        arguments = eval(_fill(task.test).partition(" == ")[0], {"__builtins__": FREE})
        assert "$b" in said
        assert _run(_fill(task.code), arguments) == _run(_fill(changed.code), (*arguments, value))
    assert taken > 25


SAMPLES = {
    "l": (
        [5, 3, 9, 4, 6, 8],
        ["tea", "b"],
        ["tea", "b", "level", "x"],
        list(range(-60, 1300)),
        [(1, 2), (3, 4)],
        ["101", "7"],
        [["a"], ["b"]],
    ),
    "n": (6, 2, 0),
    "s": ("101", "level"),
    "d": ({"tea": 3, "b": 5}, {}),
    "x": (5, "tea"),
}


def _try(turn):
    """Whether the answer gives a value for one of the samples at least."""
    kinds = turn.function.signature.split(">")[0].split(",")
    for values in itertools.product(*(SAMPLES[kind] for kind in kinds)):
        try:
            return _run(turn.answer, copy.deepcopy(values)) is not Ellipsis
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, ZeroDivisionError):
            continue
    return False


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_runs_for_some_arguments(language):
    for turn in _draws(language):
        assert _try(turn), turn
