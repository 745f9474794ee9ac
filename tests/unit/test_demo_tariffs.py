"""Rules with limits: every generated function does what its request says."""

import ast
import math
import re
import time
from random import Random
from typing import Any

import pytest

from tools.demo import tariff_rules, tariff_scenes, tariff_signs, tariff_tables, tariffs
from tools.demo.families import LANGUAGES

# How a limit is said, and the sign that it must have in the code (or its opposite).
SAID = {
    "en": {
        ">": r"(?<!not )\b(?:over|above|(?<!no )(?<!not )more than|older than|taller than) [$€£]?(-?\d+(?:\.\d+)?)",
        ">=": r"(?:at least|not less than|no less than|from) [$€£]?(-?\d+(?:\.\d+)?)(?![\d ]* ?(?:to|-))|(-?\d+(?:\.\d+)?) or (?:more|older)",
        "<": r"(?:(?<!not )(?<!no )(?:less|fewer|younger) than|(?<!not )(?:under|below)) [$€£]?(-?\d+(?:\.\d+)?)",
        "<=": r"(?:at most|no more than|not more than|up to|not above|not over) [$€£]?(-?\d+(?:\.\d+)?)",
    },
    "zh": {
        ">": r"(?<!不)(?:超过|大于|高于)(-?\d+(?:\.\d+)?)|(-?\d+(?:\.\d+)?)(?:分|岁|元|人)?以上（不含）",
        ">=": r"(?:大于等于|不低于|至少|满)(-?\d+(?:\.\d+)?)|(-?\d+(?:\.\d+)?)(?:分|岁|元|人)?(?:及以上|或以上|以上)(?!（不)",
        "<": r"(?<!不)(?:不到|低于|小于|不足)(-?\d+(?:\.\d+)?)|(-?\d+(?:\.\d+)?)(?:分|岁|元|人)?以下（不含）",
        "<=": r"(?:小于等于|不超过|最多|至多)(-?\d+(?:\.\d+)?)|(-?\d+(?:\.\d+)?)(?:分|岁|元|人)?(?:以内|及以下|以下(?!（不))",
    },
    "ja": {
        ">": r"(-?\d+(?:\.\d+)?)(?:点|歳|円|kg)?(?:を超え(?!な)|より大き|超)",
        ">=": r"(-?\d+(?:\.\d+)?)(?:点|歳|円|kg)?以上",
        "<": r"(-?\d+(?:\.\d+)?)(?:点|歳|円|kg)?(?:未満|を下回|に満たな)",
        "<=": r"(-?\d+(?:\.\d+)?)(?:点|歳|円|kg)?(?:以下|を超えな)",
    },
}
SIGNS = {">": (">", "<="), ">=": (">=", "<"), "<": ("<", ">="), "<=": ("<=", ">")}
SWAPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}


@pytest.fixture(autouse=True)
def simplified(monkeypatch):
    """Words stay as they were drawn."""
    monkeypatch.setattr(tariffs, "_TRADITIONAL", 0)


def _run(code, *values):
    scope: Any = {}
    exec(code, scope)
    return next(value for value in scope.values() if callable(value))(*values)


def _holds(code, sign, number):
    """Whether `code` compares with the number by the sign, or by its opposite."""
    found = re.findall(rf"[\w)] (<=?|>=?) {number}(?![\d.])", code)
    found += [SWAPPED[one] for one in re.findall(rf"(?<![\d.-]){number} (<=?|>=?) \w", code)]
    return any(one in SIGNS[sign] for one in found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_limit_is_in_or_out_as_the_request_says(language):
    rng, seen = Random(5), 0
    for _ in range(400):
        turn = tariffs.pick(language, rng)
        if re.search(r"//|max\(|min\(", turn.answer):
            continue
        for sign, pattern in SAID[language].items():
            for match in re.finditer(pattern, turn.request):
                number = next(group for group in match.groups() if group)
                rest = turn.request[match.end() :]
                if re.match(r"\d|\.\d|\s?(-|~|〜|到|至|から|～|to )", rest):
                    continue
                seen += 1
                assert _holds(turn.answer, sign, number), (turn.request, turn.answer, sign, number)
    assert seen > 100


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_numbers_and_words_of_the_answer_stand_in_the_request(language):
    rng = Random(6)
    for _ in range(250):
        turn = tariffs.finish(tariff_rules.pick(language, rng), language, rng)
        for word in re.findall(r'"([^"\n]+)"', turn.answer):
            assert word in turn.request, (turn.request, turn.answer)
        for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", turn.answer):
            small = number.isdigit() and int(number) <= 12
            assert small or number in turn.request, (turn.request, turn.answer)
        if turn.made.name not in set(tariff_rules.NAME.values()):
            assert turn.made.name in turn.request
        for name in turn.made.parameters:
            assert name == "x" or re.search(rf"(?<![A-Za-z_]){name}(?![A-Za-z_])", turn.request)


def _inputs(values):
    numbers = [float(values[key]) for key in "kj" if re.fullmatch(r"-?[\d.]+", values.get(key, ""))]
    listed = values["try"]
    if listed == "s":
        return [("",), ("abc",), (values["w"],), (values["u"],)]
    if listed == "len":
        return [("a" * (int(values["k"]) + more),) for more in (-1, 0, 1)]
    if listed == "map":
        return [(values["h"],), (values["i"],), ("zzz",)]
    if listed == "ss":
        return [("", "b"), ("a", ""), ("a", "b"), ("", "")]
    if listed == "nn":
        return [(1, 0), (0, 0), (7, 2), (-9, 4)]
    if listed:
        return [(float(one) if "." in one else int(one),) for one in listed.split(",")]
    found: list[float] = [0, 1, 3, 7, 100, 1000]
    found += [n + d for n in numbers for d in (-1, 0, 1, 5)]
    return [(int(one) if one == int(one) else one,) for one in found]


@pytest.mark.parametrize("language", LANGUAGES)
def test_fees_and_choices_give_what_their_values_say(language):
    rng = Random(7)
    for block in tariff_tables.blocks():
        for _ in range(5):
            draft = tariff_tables.draw(block, language, rng)
            turn = tariffs.finish(draft, language, rng)
            assert not re.search(r"[{}<|^\[\]#]|\$[a-z]", turn.request), turn.request
            _compare(draft, turn, block)


def _compare(draft, turn, block):
    values = {key: _read(value, key) for key, value in draft.values.items()}
    for given in _inputs(draft.values):
        calls = [given]
        if block.signature.startswith("n,b"):
            calls = [(*given, True), (*given, False)]
        if block.signature.startswith("b>"):
            calls = [(True,), (False,)]
        if "grid" in block.fields:
            calls = [(*given, other) for other in (0, 9, 10, 11, 50, 90, int(values["j"]))]
        if "secondgrid" in block.fields:
            calls = [(20, *given)]
        if "swap" in block.fields:
            calls = [(20, *given)]
        for call in calls:
            names = dict(zip("xy", call, strict=False))
            wanted = eval(draft.values["want"], {"math": math, "len": len}, values | names)
            assert _same(_run(turn.answer, *call), wanted), (turn.request, turn.answer, call)


def _same(value, wanted):
    if isinstance(wanted, float) and isinstance(value, int | float):
        return math.isclose(value, wanted, abs_tol=1e-9)
    return value == wanted and type(value) in {type(wanted), int, float}


def _read(value, key):
    if key in "wvumozthi":
        constant = key == "m" and re.fullmatch(r'-?[\d.]+|None|".*"', value)
        return ast.literal_eval(value) if constant else value
    return ast.literal_eval(value) if re.fullmatch(r'-?[\d.]+|None|".*"', value) else value


def test_a_word_free_stays_a_word():
    clauses = [tariff_scenes.Clause("lt", "19", "19")]
    domain = next(one for one in tariff_scenes.domains() if one.id == "age")
    for language, word in (("en", "free"), ("zh", "免费"), ("ja", "無料")):
        scene = tariff_scenes.Scene(domain, language, "#")
        rng = Random(11)
        for _ in range(100):
            said = tariff_rules._say_rule(scene, "w", clauses, [word, "other"], rng)
            assert said is None or word in said[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sign_of_a_number(language):
    rng = Random(8)
    for _ in range(60):
        draft = tariff_signs.draw(language, rng)
        wanted = ast.literal_eval(draft.values["sign"])
        code = tariffs.finish(draft, language, rng).answer
        for value, sign in ((3, ">"), (0, "="), (-2, "<"), (0.5, ">")):
            assert str(_run(code, value)) == wanted[sign].strip('"')


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_turn_runs_and_is_made_quickly(language):
    rng = Random(9)
    tariffs.pick(language, rng)
    start = time.process_time()
    turns = [tariffs.pick(language, rng) for _ in range(300)]
    assert time.process_time() - start < 300 * 0.003
    for turn in turns:
        compile(turn.answer, "answer", "exec")
        assert not re.search(r"[{}^\[\]]|\$[a-z]|\||#", turn.request), turn.request
        assert turn.made.topics[0] == "tariffs"
        assert turn.made.name not in turn.made.parameters
        kinds = turn.made.signature.split(">")[0].split(",")
        assert len(kinds) == len(turn.made.parameters)


def test_traditional_letters_in_request_and_code(monkeypatch):
    monkeypatch.setattr(tariffs, "_TRADITIONAL", 1)
    rng = Random(10)
    for _ in range(100):
        turn = tariffs.pick("zh", rng)
        assert not re.search("[数过满开关]", turn.request + turn.answer)
        for word in re.findall(r'"([^"\n]+)"', turn.answer):
            assert word in turn.request
