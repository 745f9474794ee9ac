"""Requests that spell out arithmetic: the answers run, say what is asked, and hold its numbers."""

import itertools
import math
import re
from random import Random
from typing import Any

import pytest

from tools.demo import (
    asking,
    conversions,
    expressions,
    formulas,
    situations,
    spelled,
    spoken,
    symbols,
    things,
)
from tools.demo.families import LANGUAGES

SAMPLES = {"n": (7, 3, 12, 5)}
DRAWS = 250
EXPECTED = {  # by situation: arguments, k and j of the request (7 and 3) where it has them, value
    "total_price": ((4, 3), 12), "split_bill": ((90, 4), 22.5), "coupon_split": ((90, 10, 4), 20),
    "fuel": ((200, 6, 2), 24), "speed_kmh": ((10, 30), 20), "distance_min": ((60, 90), 90),
    "arrival": ((30, 60), 30), "pay": ((8, 12), 96), "discount": ((80, 25), 60),
    "tax": ((200, 10), 220), "tip": ((50, 20), 10), "bmi": ((80, 2), 20), "bmi_cm": ((80, 200), 20),
    "interest": ((1000, 5, 3), 150), "trapezoid": ((2, 4, 5), 15), "triangle": ((4, 5), 10),
    "fence": ((3, 4), 14), "box_volume": ((2, 3, 4), 24), "box_surface": ((1, 2, 3), 22),
    "average3": ((1, 2, 6), 3), "change": ((10, 7), 3), "change_many": ((20, 3, 4), 8),
    "boxes": ((13, 6), 3), "leftover": ((13, 6), 1), "per_share": ((13, 6), 2),
    "hm_minutes": ((2, 5), 125), "hms_seconds": ((1, 1, 1), 3661), "seconds_hms": ((3661,), [1, 1, 1]),
    "minutes_hm": ((125,), [2, 5]), "days_weeks": ((10,), [1, 3]), "pages": ((100, 30), 4),
    "profit": ((5, 3, 10), 20), "percent": ((3, 12), 25), "change_pct": ((80, 100), 25),
    "watts": ((100, 10, 0.5), 0.5), "unit100": ((3, 600), 0.5), "stock": ((10, 4, 2), 8),
}  # fmt: skip


def _call(turn, arguments):
    space: Any = {}
    exec(turn.answer, space)
    return space[turn.function.name](*arguments)


def _turns(language, count=DRAWS, seed=11):
    rng = Random(seed)
    return [formulas.pick(language, rng) for _ in range(count)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_runs_and_gives_what_its_signature_says(language):
    for turn in _turns(language):
        kinds, _, result = turn.function.signature.partition(">")
        assert len(kinds.split(",")) == len(turn.function.parameters), turn
        value = _call(turn, SAMPLES["n"][: len(turn.function.parameters)])
        wanted: Any = {"n": (int, float, complex), "b": bool, "l": list}[result]
        assert isinstance(value, wanted), turn
        assert f"def {turn.function.name}({', '.join(turn.function.parameters)}):" in turn.answer


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_slot_and_no_mark_is_left_in_a_request(language):
    for turn in _turns(language, 500, 5):
        assert not re.search(r"[\x00-\x1f{}$]|\\\d", turn.request), turn.request


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_that_is_not_the_usual_one_stands_in_the_request(language):
    rng = Random(3)
    for _ in range(DRAWS):
        task = spelled.calculation(language, rng)
        turn = asking.compose(task, language, rng)
        assert turn.made.name in (*task.usual, task.name) or turn.made.name in turn.request
        if task.topic == "spelled":
            assert all(name in turn.request for name in turn.made.parameters), turn


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_numbers_of_a_conversion_stand_in_its_request(language):
    rng = Random(4)
    for _ in range(DRAWS):
        turn = asking.compose(conversions.pick(language, rng), language, rng)
        body, said = turn.answer.split("return ")[1], turn.request.replace("两", "2")
        for word, digit in (("one", "1"), ("two", "2"), ("three", "3")):
            said = said.replace(f"{word} decimal", f"{digit} decimal")
        for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", body):
            assert number in said, turn


def _evaluate(node, values):
    """What `node` means, without the text of its code."""
    kind, parts = node.kind, [_evaluate(part, values) for part in node.parts]
    if kind == "var":
        return values[node.text]
    if kind == "num":
        return float(node.text) if "." in node.text else int(node.text)
    a, b = (*parts, None)[:2]
    return {
        "+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b,
        "//": lambda: a // b, "%": lambda: a % b, "**": lambda: a**b, "sq": lambda: a**2,
        "cube": lambda: a**3, "half": lambda: a / 2, "double": lambda: a * 2,
        "third": lambda: a / 3, "quarter": lambda: a / 4, "sqrt": lambda: a**0.5,
        "pct": lambda: a * b / 100, "abs": lambda: abs(a), "abs-": lambda: abs(a - b),
        "min": lambda: min(a, b), "max": lambda: max(a, b), "floor": lambda: max(a, b),
        "cap": lambda: min(a, b), "round": lambda: round(a), "int": lambda: int(a),
        "roundk": lambda: round(a, b),
    }[kind]()  # fmt: skip


def _drawn(seed, count=DRAWS):
    rng = Random(seed)
    for _ in range(count):
        names = rng.choice((("x",), ("a", "b"), ("p", "q", "r"), ("a", "b", "c", "d")))
        node = expressions.draw(names, rng)
        values = dict(zip(names, (rng.randrange(20, 40), 17, 11, 5), strict=False))
        yield node, values, rng


def test_the_code_of_an_expression_means_the_expression():
    for node, values, _ in _drawn(1):
        assert math.isclose(
            abs(eval(expressions.code(node), dict(values)) - _evaluate(node, values)),
            0,
            abs_tol=1e-6,
        )


def test_an_expression_in_signs_means_the_expression():
    for node, values, rng in _drawn(2):
        text = _read_signs(symbols.write(node, symbols.pick_style(rng)))
        value = eval(text, dict(values))
        assert math.isclose(abs(value - _evaluate(node, values)), 0, abs_tol=1e-6), text


def _read_signs(text):
    text = text.replace("$", " ").replace(symbols.COMMA, ",").replace("×", "*").replace("÷", "/")
    text = text.replace("²", "**2").replace("³", "**3").replace("^", "**").replace("mod", "%")
    text = re.sub(r"√ ?(\w+|\(.*?\))", r"(\1)**0.5", text).replace("|", "§", 1)
    text = text.replace("§", "abs(").replace("|", ")")
    text = re.sub(r"(\d+)%(?= *([-+*/),]|$))", r"\1/100", text)
    text = re.sub(
        r"(\d|\))(?= [a-z]\b)|(?<![a-z])([a-z])(?= [a-z]\b)|(\*\*[23])(?= ?[a-z(])", r"\g<0>*", text
    )
    return re.sub(r"(?<![a-z])(\d|\b[a-z])(?=\()", r"\1*", text).strip()


@pytest.mark.parametrize("language", LANGUAGES)
def test_almost_every_expression_can_be_said_and_names_every_parameter(language):
    said = 0
    for node, _, rng in _drawn(6, 500):
        text = spoken.say(node, language, rng)
        said += text is not None
        assert text is None or set(re.findall(r"\$([a-z])", text)) == set(
            expressions.variables(node)
        )
    assert said > 450


def test_words_that_could_be_taken_for_another_calculation_are_not_used():
    a, b, c = map(expressions.var, "abc")
    tree = expressions.op("/", expressions.op("+", a, b), c)
    rng = Random(1)
    for language, loose in (("en", r"^(the |)(sum|total) of \$a and \$b (divided|over)|^\$a plus \$b (divided|over)"),
                            ("zh", r"^\$a加上?\$b除"), ("ja", r"^\$a(たす|足す|プラス)\$b(わる|割る|を)")):  # fmt: skip
        for _ in range(200):
            text = spoken.say(tree, language, rng)
            assert text is None or not re.search(loose, text), text


@pytest.mark.parametrize("situation", situations.load(), ids=lambda each: each.id)
def test_a_situation_is_what_it_is_called(situation):
    rng = Random(8)
    for language, _ in itertools.product(LANGUAGES, range(3)):
        turn = asking.compose(situations.tell(situation, language, rng), language, rng)
        arguments, value = EXPECTED.get(situation.id, ((7, 3, 2), None))
        task = situations.tell(situation, language, rng)
        space = dict(zip(task.parameters, arguments, strict=False))
        found = eval(task.lines[-1].removeprefix("return "), space)
        assert value is None or found == pytest.approx(value)
        _call(turn, (7, 3, 12)[: len(turn.made.parameters)])


def test_every_formula_of_things_has_words_for_them():
    names = set(things._things()[0])
    for name, expression in things.all_formulas():
        assert name.isidentifier()
        assert set(re.findall(r"[a-z]\w*", expression)) <= names


def test_the_same_seed_gives_the_same_requests():
    assert _turns("zh", 50) == _turns("zh", 50)
