"""Single requests on lists, counting and recursion, composed from the blocks of `series_parts/`.

A file holds blocks `@ id signature [: family]`, like a family file; with a family named, its code,
names and parameters are taken from there. Slots: $f, $a.. (parameters), $k < $j and $m (numbers),
$d and $t (small ones), $l (a letter), $w $v (words); {T} is a noun for numbers, {W} for words.
"""

import re
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from tools.demo import (
    common,
    grammar,
    inflect,
    names,
    noise,
    phrases,
    prompts,
    series_given,
    series_rules,
    series_said,
    series_values,
)
from tools.demo.prompts import Function, Turn
from tools.demo.series_said import Task

_FILES = ("maps", "aggregates", "order", "sets", "dicts", "recursion", "integers", "scenes")
_MADE = 0.25  # of the tasks hold a condition, a default or a rule of their own
_NAMED = 0.5
_NAMED_WHOLE = 0.4
_GIVEN = 0.2  # of the tasks with one constant take it as a parameter
_DISTURBED = 0.6
_ASKED = 0.85  # of what is true or false
_OWN_FRAME = 0.45  # of the phrases stand in a sentence of frames.txt
_LIST_NAMES = {
    "en": "xs nums values data lst arr seq vals items entries nums_list the_list",
    "words": "words texts entries lst strings terms labels data names ws items strs arr",
    "zh": "nums data lst arr shuzi shuju liebiao xs values arr1 fenshu items",
    "ja": "nums data lst arr xs values suuji retsu atai tensu risuto items",
}
_DOUBLED = re.compile(r"\b(Python|steps|count|please|given|small|simple|short) (?=\1\b)")
_HAS_LIST = re.compile("a list from|列表,|一份数据")
_MACROS = {"X": "\1", "XS": "\2", "XING": "\3", "XTE": "\4"}


@dataclass(frozen=True)
class _Drawn:
    """One task with everything random decided but its name and parameters."""

    task: Task
    kind: str
    text: str
    noun: str


def pick(language: str, rng: Random) -> Turn:
    """A random task on lists or whole numbers, asked for in one turn."""
    drawn = _draw(language, rng)
    named = rng.random() < (_NAMED_WHOLE if drawn.kind == "x" else _NAMED)
    text = _frame(drawn, language, rng, named=named)
    text = noise.disturb(text, language, rng) if rng.random() < _DISTURBED else text
    return _finish(drawn, text, language, rng)


@cache
def tasks() -> tuple[Task, ...]:
    """All written-out tasks."""
    return tuple(task for name in _FILES for task in series_said.load(name))


@cache
def _weights() -> tuple[int, ...]:
    return tuple(common.weigh("series", task.id) * (20 + _ways(task)) for task in tasks())


def _ways(task: Task) -> int:
    return sum(map(len, task.wordings.values()))


def _draw(language: str, rng: Random) -> _Drawn:
    noun = series_said.pick_noun("T", language, rng)
    words = series_said.pick_noun("W", language, rng)
    macros = series_said.macros(language) | {"T": noun, "W": words}
    if rng.random() < _MADE:
        task = series_rules.pick(language, rng, noun, words)
    else:
        task = rng.choices(tasks(), _weights())[0]
    kind, line = rng.choice(task.wordings[language])
    text = grammar.expand(line, macros, rng)
    if rng.random() < _GIVEN:
        task, text = series_given.take(task, text, rng)
    text, code, test = series_values.put_values(text, task.code, task.test, language, rng)
    text = series_values.polish(text, language, rng)
    kept = replace(task, code=code, test=test)
    return _Drawn(kept, kind, text, noun if task.parameters[0][0] == "numbers" else words)


def _frame(drawn: _Drawn, language: str, rng: Random, *, named: bool) -> str:
    """The phrase in a sentence; the name of the function stands in it or behind it."""
    if drawn.kind == "x":
        return _name(drawn.text, language, rng, named=named)
    lines = prompts.wording(language)
    inline = named and rng.random() < 0.7
    own = series_said.frames(language)
    kind, phrase = drawn.kind, drawn.text
    options = own[kind] if rng.random() < _OWN_FRAME else lines.sections[kind]
    if phrase.startswith("whether ") and rng.random() < _ASKED:
        phrase = phrase.removeprefix("whether ")
        options = lines.sections["w!" if named and rng.random() < 0.25 else "w"]
    if drawn.task.signature[0] != "l":
        options = tuple(line for line in options if not _HAS_LIST.search(line))
    macros = lines.macros | {
        "C": rng.choice(lines.sections["C"]) if inline and "C" in lines.sections else "",
        "F": rng.choice(lines.sections["F"]) if inline and "F" in lines.sections else "{FNU}",
        **_MACROS,
    }
    text = grammar.expand(rng.choice(options), macros, rng)
    return _name(_insert(text, phrase), language, rng, named=named)


def _insert(text: str, phrase: str) -> str:
    text = text.replace("\1", phrase.replace("^", ""))
    text = text.replace("\2", inflect.third_person(phrase))
    text = text.replace("\3", inflect.gerund(phrase))
    return text.replace("\4", inflect.te_form(phrase))


def _name(text: str, language: str, rng: Random, *, named: bool) -> str:
    lines = prompts.wording(language)
    if named and "$f" not in text:
        if rng.random() < 0.35:
            text = _call_first(text, language, rng)
        else:
            text = _clause(lines.sections["T"], text, language, lines, rng)
    if "$p" not in text and rng.random() < 0.08:
        text = _clause(lines.sections["A"], text, language, lines, rng)
    return text


def _call_first(text: str, language: str, rng: Random) -> str:
    """The call form before the sentence."""
    if language == "en":
        return f"$f($p){rng.choice((': ', ' - ', ' = ', ' -> '))}{text}"
    return f"$f($p){rng.choice((':', '：', ' : '))}{text}"


def _clause(
    options: tuple[str, ...], text: str, language: str, lines: phrases.Phrases, rng: Random
) -> str:
    clause = grammar.expand(rng.choice(options), lines.macros, rng)
    if text[-1] in "?.!\uff1f\u3002\uff01" and clause[0] in ".,\u3002\uff0c\u3001":
        clause = clause[1:].lstrip()
    gap = " " if language == "en" and clause[0] not in ".,:" else ""
    return text + gap + clause


def _finish(drawn: _Drawn, text: str, language: str, rng: Random) -> Turn:
    task = drawn.task
    usual = task.names
    name = names.pick_function(usual, task.code, rng) if "$f" in text else usual[0]
    parameters = _parameters(drawn, text, name, language, rng)
    values = dict(zip("abcd", parameters, strict=False)) | {"f": name, "p": ", ".join(parameters)}
    code = grammar.fill(task.code, values)
    request = _DOUBLED.sub("", noise.space(grammar.fill(text, values), language, rng))
    made = Function(name, parameters, code, task.signature, ("series", task.id))
    return Turn(request, code, made)


def _parameters(drawn: _Drawn, text: str, name: str, language: str, rng: Random) -> tuple[str, ...]:
    """The usual names, or others where the request names them."""
    task, usual = drawn.task, drawn.task.parameters[0]
    used = series_said.used_words(task.code) | {name}
    for _ in range(40):
        chosen = list(rng.choice(task.parameters))
        if task.signature[0] == "l" and rng.random() < 0.5:
            of_words = usual[0] in ("words", "names", "texts")
            chosen[0] = rng.choice(_LIST_NAMES["words" if of_words else language].split())
            if drawn.noun.isidentifier() and drawn.noun.isascii() and rng.random() < 0.5:
                chosen[0] = drawn.noun
        elif rng.random() < 0.2:
            chosen = rng.sample("abcdhmpqrstuvwyz", len(usual))
        said = ("$p" in text or f"${slot}" in text for slot in "abcd")
        result = tuple(
            new if told else old for told, new, old in zip(said, chosen, usual, strict=False)
        )
        if len(set(result)) == len(result) and not used & set(result):
            return result
    return usual
