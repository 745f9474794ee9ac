"""Requests on strings and words: every answer does what its request says."""

import ast
import re
from functools import cache
from random import Random
from typing import Any

import pytest

from tools.demo import changes, families, literals, prompts, texts

LANGUAGES = ("en", "zh", "ja")
_FIXED = ("aeiou", "yes", "no")


@cache
def _draws(language, seed=1, count=300):
    rng = Random(seed)
    return [texts.make(language, rng) for _ in range(count)]


def _words(code):
    """The strings in the code, also the pieces of f-strings, that have two letters or more."""
    found = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    strings = [one for one in found if isinstance(one, str) and one not in _FIXED]
    return [one for one in strings if re.search(r"[^\W\d_]{2}", one)]


def _fails(turn, test):
    call, _, value = test.partition(" == ")
    scope: Any = {}
    exec(turn.answer, scope)
    return scope[turn.function.name](*eval(call)) != eval(value)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_gives_what_its_request_asks_for(language):
    failed = [turn for turn, test in _draws(language) if _fails(turn, test)]
    assert failed == []


def test_an_answer_that_does_something_else_is_found():
    turn, test = next(pair for pair in _draws("en") if "replace(" in pair[0].answer)
    wrong = turn.answer.replace("return ", 'return "?" + ')
    assert _fails(prompts.Turn(turn.request, wrong, turn.function), test)


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_in_the_code_stand_in_the_request(language):
    for turn, _ in _draws(language):
        assert [one for one in _words(turn.answer) if one not in turn.request] == [], turn


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_mark_or_slot_is_left(language):
    for turn, _ in _draws(language):
        assert not re.search(
            r"[\ue000-\uf8ff]|<[a-z]\d?(\.[a-z])?>|\$[a-d]\b", turn.request.replace("<name>", "")
        )
        assert not re.search("[\ue000-\uf8ff]", turn.answer)


def test_the_same_seed_gives_the_same_requests():
    assert _draws.__wrapped__("ja", 6, 50) == _draws("ja", 6, 50)


def test_a_function_without_a_name_in_the_request_has_the_usual_one():
    usual = {one.names[0] for name in texts.FILES for one in families.load(f"texts_{name}")}
    usual |= {"transform", "greet", "label", "describe"}
    turns = [turn for turn, _ in _draws("en") if turn.function.name not in turn.request]
    assert [turn for turn in turns if turn.function.name not in usual] == []


def test_brackets_of_a_pair_and_doubled_signs():
    rounded, stars = literals.Literal('"()"', "()"), literals.Literal('"**"', "**")
    assert literals.side(rounded, "l") == '"("'
    assert literals.side(rounded, "r") == '")"'
    assert literals.side(stars, "r") == '"**"'


def test_a_renamed_parameter_leaves_texts_alone():
    code = 'def f(s):\n    return f"{s} s" + s.replace("s", \'"\') + "s"'
    renamed = 'def f(t):\n    return f"{t} s" + t.replace("s", \'"\') + "s"'
    assert changes.replace_name(code, "s", "t") == renamed
