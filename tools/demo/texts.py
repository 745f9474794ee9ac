"""Single requests on strings and words, whose characters, words and numbers stand in the request.

The files `families/texts_*.txt` are families (see families.py) with literals: `<c>` draws a character
and is its code in the code and its name in the request; `<c.s>` says it as a plural, `<n-1>` in code
is one less. `texts/things.txt` names the things that are handled: `{CODE}`, `{WORD}`, `{LINE}`.
The families made here live for one request: their wording holds one phrase.
"""

import re
from dataclasses import replace
from functools import cache
from random import Random

from tools.demo import (
    chains,
    common,
    examples,
    families,
    grammar,
    literals,
    names,
    prompts,
    templates,
)
from tools.demo.families import Family, Wording
from tools.demo.prompts import Function, Turn
from tools.demo.slots import Draws

FILES = ("change", "count", "pieces", "words", "build", "more")
NAMES = {
    "en": "clean tidy process fix_text handle format_it convert do_it prepare rework polish adjust",
    "zh": "chuli zhuanhuan geshihua zhengli wenben zifu tihuan qingli panduan shuchu jianli biaoti "
    "xiugai pinjie jisuan mingzi",
    "ja": "henkan shori moji seikei okikae kotoba namae hyouji tsukuru kakunin kazoeru bunsyo "
    "moji_shori nuku musubu seiri",
}
_EXAMPLES = 0.1
_ODD = re.compile(
    r"thermometer|numbers|Zeros stay|list is|ecursion|Maths|formula|递归|再帰|正整数|都是整数|列表不"
    r"|整数だけ|正の数|空のリスト|公式|家計簿|记账|has a list|计算器|calculator|budget|built-in"
    r"|内置函数|組み込み|ループ|for文|循环|needs this\.|is old\.|is small\."
)
_SHAPED = tuple(
    f"text_{one}"
    for one in [
        "phone",
        "date",
        "zip_hyphen",
        "ints",
        "key",
        "sum_parts",
        "digit_sum",
        "flip_name",
        "acronym",
        "initials_dots",
        "join_numbers",
        "first_last_words",
        "no_zeros",
        "palindrome_spaces",
        "palindrome_all",
    ]
)
_ENDS = ".!?\u3002\uff01\uff1f\u2026"
_TRIES = 40
_VOWEL = re.compile(r"\b([Aa]) (?=email|order|ISBN|IBAN|invoice|address|exclamation)")
_SAMPLES = {
    "s": (
        "hello", "banana", "Anna Berg", "2024-05-17", "a,b,c", "tea milk rice", "Level", "ab12", "John",
        "kayak", "030-1234", "Good morning", "12345678", "tokyo", "Hello World", "x_y_z", "apple pie",
    ),
    "l": (["tea", "milk", "rice"], ["Ann", "Bob", "Christine"], ["b", "ccc", "aa"], ["red", "blue"]),
}  # fmt: skip


@cache
def _families() -> tuple[Family, ...]:
    known = {one.id: one for name in FILES for one in families.load(f"texts_{name}")}
    for title, lines in families.read_wordings(literals.FOLDER / "wordings.txt"):
        known[title] = families.extend(known[title], lines)
    return tuple(known.values())


@cache
def _weights(language: str) -> tuple[int, ...]:
    """What everybody thinks of, can be said in many ways or holds literals is asked for often."""
    return tuple(_weigh(one, language) for one in _families())


def _weigh(family: Family, language: str) -> int:
    known = common.weigh("texts", family.id.removeprefix("text_"))
    return known * (6 + len(family.wordings[language])) * (2 if "<" in family.code else 1)


@cache
def _macros(language: str) -> dict[str, str]:
    macros = dict(prompts.wording(language).macros)
    text = (literals.FOLDER / "things.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        where, name, said = line.split(" ", 2)
        macros |= {name: said} if where == language else {}
    return macros


def pick(language: str, rng: Random) -> Turn:
    """A request and its function."""
    return make(language, rng)[0]


def make(language: str, rng: Random) -> tuple[Turn, str]:
    """A request, and a test of its function: arguments and their value."""
    draw = rng.random()
    draws = Draws(language, rng)
    if draw < 0.16:
        family = templates.make(draws)
    elif draw < 0.24:
        family = chains.make(draws)
    else:
        family = rng.choices(_families(), _weights(language))[0]
    return _compose(family, draws)


def _compose(family: Family, draws: Draws) -> tuple[Turn, str]:
    language, rng = draws.language, draws.rng
    test, made = draws.fill(draws.in_code(family.test)), draws.in_code(family.code)
    for _ in range(_TRIES):
        wording = rng.choice(family.wordings[language])
        text = grammar.expand(wording.text, _macros(language), rng)
        text = draws.in_words(_VOWEL.sub(r"\1n ", text))
        bare = replace(
            family,
            id="texts",
            topic=family.id,
            code=made,
            test="",
            names=_names(family.names, language, rng),
            wordings={language: (Wording(wording.kind, text),)},
        )
        turn = prompts.compose(bare, language, rng)
        if _is_fit(turn, family):
            break
    return _finish(turn, replace(family, test=test), draws), test


def _names(usual: tuple[str, ...], language: str, rng: Random) -> tuple[str, ...]:
    more = NAMES[language if rng.random() < 0.6 else "en"].split()
    return (*usual, rng.choice(more))


def _is_fit(turn: Turn, family: Family) -> bool:
    """Whether nothing in the sentences around it speaks of numbers, and its names do not read as words."""
    assert turn.function is not None
    usual = {name for options in family.parameters for name in options}
    strange = set(turn.function.parameters) - usual
    if family.id == "text_template_t" and strange and not _shows_parameters(family):
        return False
    return not _ODD.search(turn.request) and not strange & names.words()


def _shows_parameters(family: Family) -> bool:
    """Whether the parameters stand in the text itself; else its holes have names that stay."""
    return any("$a" in one.text for said in family.wordings.values() for one in said)


def _finish(turn: Turn, family: Family, draws: Draws) -> Turn:
    function = turn.function
    assert function is not None
    request, code = draws.fill(turn.request), draws.fill(function.code)
    if draws.rng.random() < _EXAMPLES:
        request += _example(code, family, draws, ended=request[-1] in _ENDS)
    done = Function(function.name, function.parameters, code, family.signature, function.topics)
    return Turn(request, code, done)


def _example(code: str, family: Family, draws: Draws, *, ended: bool) -> str:
    """One call and its value, where the value shows something."""
    kind = family.signature.split(">")[0]
    tests = [family.test]
    if kind in _SAMPLES and "template" not in family.id and family.id not in _SHAPED:
        tests = [f"({sample!r},)" for sample in draws.rng.sample(_SAMPLES[kind], 2)]
    for test in tests:
        changed = replace(family, test=test)
        shown = examples.show(code, changed, draws.language, draws.rng, ended=ended)
        value = test.partition(" == ")[0].strip("(,)[]").replace("'", '"')
        again = shown.replace("'", '"').count(value) > 1
        if (
            family.id != "text_shift"
            and not again
            and not re.search(r"''|\"\"|\\|\[\]|-1\b", shown)
        ):
            return shown
    return ""
