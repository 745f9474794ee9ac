"""What is wrong with Python code beside its syntax, and the better one of two answers."""

import ast
from collections.abc import Sequence

import pytest

from app.coding import answers, checks, pipeline
from app.coding.adherence import Said
from app.coding.answers import Answer
from app.wire.rows import Symbol
from tests.unit.test_pipeline import make_symbol

POWER = "def power(base, exponent):\n    return base ** exponent"
POS = "def count_pos(nums):\n    return sum(1 for x in nums if x > 0)"
NEG = "def count_neg(nums):\n    return sum(1 for x in nums if x < 0)"


def know(*codes: str) -> list[Symbol]:
    """The symbols of functions, the latest first."""
    names = [code.removeprefix("def ").partition("(")[0] for code in codes]
    made = [
        make_symbol(at, name, code)
        for at, (name, code) in enumerate(zip(names, codes, strict=True))
    ]
    return made[::-1]


def examine(
    code: str, text: str = "do it", known: Sequence[Symbol] = (), before: str = ""
) -> Answer:
    tree = pipeline.parse_instruction(text)
    earlier = [{"role": "assistant", "content": before}] if before else []
    asked = [*earlier, {"role": "user", "content": text}]
    return checks.examine(answers.read(code, tree), Said(tree, text), asked, known)


def flaws(*args: object, **more: object) -> list[str]:
    return list(examine(*args, **more).flaws)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return y * 2", "nothing defines y."),
        ("return [y for z in x]", "nothing defines y."),
        ("return len(y for y in 'ab' if y == z)", "nothing defines z."),
        (
            "return power(x)",
            "power is called with other arguments than power(base, exponent) takes.",
        ),
        (
            "return power(x, 1, 2)",
            "power is called with other arguments than power(base, exponent) takes.",
        ),
        (
            "return power(x, base=1)",
            "power is called with other arguments than power(base, exponent) takes.",
        ),
        (
            "return power(x, size=1)",
            "power is called with other arguments than power(base, exponent) takes.",
        ),
        ("return f(x, x)", "f is called with other arguments than f(x) takes."),
        (
            "return power(x, 1) - power(x, 1)",
            "both sides of power(x, 1) - power(x, 1) are the same.",
        ),
        (
            "if x > 3:\n        return 1\n    if x > 3:\n        return 2\n    return 3",
            "the condition x > 3 stands there twice, so that its second branch is never reached.",
        ),
        (
            "if x > 3:\n        return 1\n    elif x > 3:\n        return 2\n    return 3",
            "the condition x > 3 stands there twice, so that its second branch is never reached.",
        ),
    ],
)
def test_what_is_wrong_is_said(body: str, reason: str):
    answer = examine(f"def f(x):\n    {body}", known=know(POWER))

    assert [fault.reason for fault in answer.flaws.values()] == [reason]


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    return power(x, exponent=2)",
        "def f(x):\n    return power(*x)",
        "def f(x):\n    return power(**x)",
        "def f(x, *more, key=1, **others):\n    return [x, more, key, others]",
        "def f(x):\n    y = x\n    for z in y:\n        print(z)\n    return [a for a, *b in x if b]",
        "def f(x):\n    try:\n        return int(x)\n    except ValueError as e:\n        return e",
        "def f(x):\n    match x:\n        case [a, *b]:\n            return a, b\n        case {'k': v, **rest}:\n            return v, rest\n        case y:\n            return y",
        "import math\nLIMIT = 3\n\ndef f(x):\n    return math.floor(x) + LIMIT + g(x)\n\ndef g(x):\n    return x",
        "from helpers import *\n\ndef f(x):\n    return anything(x)",
        "def f(x):\n    return eval('y')",
        "def f(x):\n    pass",
        "def f(x):\n    raise NotImplementedError",
        "```python\n@app.route('/')\ndef f(x):\n    return 1\n```",
        "def f(_x):\n    return 1",
        "def f(power):\n    return power(1)",
        "def f(x):\n    if x > 3:\n        x -= 4\n    if x > 3:\n        return 1\n    return x / 2",
        "class A:\n    def f(self, x):\n        return 1",
        "def test_f(x):\n    assert x - x == 0",
        "def f(event, context):\n    return event",
        "def f():\n    global cache\n    cache = {}\n\ndef g():\n    return cache",
        "def f(x):\n    def power(y):\n        return y\n    return power(x)",
        "def f(x):\n    power = len\n    return power(x)",
        "def f(x):\n    if (y := x + 1) > 2:\n        return y\n    return lambda z, *a, **k: (z, a, k)",
        "def f(x: 'Undefined') -> 'Other':\n    return _('text') + str(x)",
        "try:\n    import fast\nexcept ImportError:\n    fast = None\n\ndef f(x):\n    return fast and fast.go(x)",
        "async def f(x):\n    async with x as y:\n        return [z async for z in y]",
        "def f(x):\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    g()\n    return n, x",
        "class A:\n    size = 3\n    def f(self):\n        return [B(y) for y in range(self.size)]\n\ndef g():\n    return A()",
        "```python\nprint('hello')\n```",
    ],
)
def test_what_may_well_be_right_is_left_alone(code: str):
    answer = examine(code, known=know(POWER))

    assert answer.flaws == {}
    assert [check["state"] for check in answer.as_json()["checks"]] == ["passed"] * 5


def test_names_that_the_instruction_or_the_conversation_has_may_be_defined_elsewhere():
    code = "def f(x):\n    return scale(x) + OFFSET"

    assert flaws(code) == ["names"]
    assert flaws(code, "scale x and add OFFSET") == []
    assert flaws(code, before="OFFSET = 3\ndef scale(x): ...") == []


def test_a_parameter_that_was_asked_for_must_be_used():
    code = "def fee(price, weight):\n    return price + 5"

    assert flaws(code, "fee(price, weight): 5 for each kilogram on top") == ["names"]
    assert flaws(code, "the fee is 5") == []


def test_a_parameter_that_was_renamed_is_no_name_any_more():
    known = know("def to_liang(g):\n    return g / 50")
    wrong = "def to_liang(weight):\n    if weight < 0:\n        return None\n    return g / 50"

    assert flaws(wrong, "参数 g 改叫 weight，负数返回 None", known, before=known[0].code) == [
        "names",
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Use power to write square(x).", "def square(x):\n    return x * x"),
        ("square(x), relies on power", "def square(x):\n    return x * x"),
        ("用 power 写一个 square(x)", "def square(x):\n    return x * x"),
        ("power を使って square(x) を", "def square(x):\n    return x * x"),
        (
            "A function for squares, using the one you just wrote",
            "def square(x):\n    return x * x",
        ),
        ("要用到刚才的函数。用刚才的函数写平方", "def square(x):\n    return x * x"),
        ("さきほどの関数を使って二乗を", "def square(x):\n    return x * x"),
        ("The exponent is 2 unless given.", POWER),
    ],
)
def test_what_is_to_be_used_or_changed_must_be(text: str, code: str):
    assert flaws(code, text, know(POWER)) == ["instruction"]


def test_both_functions_that_are_to_be_used_must_be():
    text = "balance(nums): positive minus negative ones, use both functions"
    once = "def balance(nums):\n    return count_pos(nums) - len(nums)"

    assert flaws(once, text, know(POS, NEG)) == ["instruction"]
    assert flaws(once.replace("len", "count_neg"), text, know(POS, NEG)) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Rename power to raise_to", POWER.replace("power", "raise_to")),
        ("call it square and leave out the exponent", "def square(x):\n    return x * x"),
        ("the other direction too, call that one root", "def root(x):\n    return x ** 0.5"),
        ("no need to use that one: square(x)", "def square(x):\n    return x * x"),
        ("Write double(x), nothing to do with power.", "def double(x):\n    return 2 * x"),
        ("Use power to write square(x).", "def square(x):\n    return power(x, 2)"),
        ("Use power with 2 as the default exponent", POWER.replace("exponent)", "exponent=2)")),
        ("それを2倍にする関数", "def double(x):\n    return 2 * x"),
        ("Explain it", POWER),
        ("Show me that function again", POWER),
        ("Add a comment to it", POWER.replace("return", "# raised\n    return")),
        ("Write tests for it", POWER + "\n\ndef test_power():\n    assert power(2, 3) == 8"),
        (
            "Write a class Box so that I can use it in my script, also a function area(w)",
            "def area(w):\n    return w * w",
        ),
        ("Use this format for the date: DD.MM, function show(d)", "def show(d):\n    return d"),
        ("用这个格式写 show(d)", "def show(d):\n    return d"),
        ("このデータを使って show(d) を", "def show(d):\n    return d"),
    ],
)
def test_nothing_is_demanded_that_was_not_said(text: str, code: str):
    assert flaws(code, text, know(POWER)) == []


def test_reasons_are_in_the_instruction_s_language():
    wrong = "def f(x):\n    return y"

    reasons = [
        examine(wrong, text).flaws["names"].reason
        for text in ("double it", "把它加倍", "2倍にして")
    ]

    assert reasons == ["nothing defines y.", "y 没有定义。", "y はどこにも定義されていません。"]


def test_code_that_cannot_be_compared_or_is_not_python_is_not_examined():
    deep = "def f(x):\n    return " + "-" * 3000 + "x"

    assert examine(deep, known=know("def f(x):\n    return 1")).flaws == {}
    assert not examine("const f = x => y;", "in JavaScript").is_examined
    assert not examine("def f(x)\n    return y").is_examined


def test_of_a_long_chain_not_every_beginning_is_compared(monkeypatch: pytest.MonkeyPatch):
    compared: list[ast.AST] = []
    monkeypatch.setattr(ast, "dump", compared.append)

    flaws("def f(x):\n    return " + "x-" * 400 + "x*x")

    assert len(compared) < 5


def test_of_very_long_code_the_syntax_alone_is_checked():
    code = "def f(x):\n    return y" + "  # a note" * 2000

    assert not examine(code).is_examined
    assert examine(code).is_sound


def test_an_answer_that_knew_what_was_wrong_wins_unless_it_is_worse():
    flawed, broken, good = map(
        examine, ["def f(x):\n    return y", "def f(x:", "def f(x):\n    return x"]
    )

    assert checks.is_better(flawed, flawed)
    assert checks.is_better(broken, broken)
    assert checks.is_better(good, flawed)
    assert not checks.is_better(broken, flawed)
