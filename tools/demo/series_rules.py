"""Tasks of series.py that are put together: selections by a condition, what an empty list gives,
sequences by a rule. Each returns a task with one wording in one language."""

import re
from collections.abc import Callable
from functools import cache
from random import Random

from tools.demo import grammar, inflect, parts, series_said, series_sequences, series_values
from tools.demo.parts import Part
from tools.demo.series_said import Task

_NAMES = {
    "keep": "keep select_items pick_out only filter_list matching",
    "drop": "drop remove without exclude clean",
    "count": "count how_many count_them number_of",
    "sum_them": "sum_them add_up sum_of total_of",
    "mean": "mean average_of avg mean_of",
    "has_any": "has_any exists any_such contains_any",
    "all_ok": "all_ok check_all all_are every_one",
    "has_no": "has_no none_of free_of",
    "first": "first find_first first_match first_hit",
}
_AFTER_VERB = frozenset(
    [
        "even",
        "odd",
        "not",
        "negative",
        "positive",
        "empty",
        "all",
        "multiples",
        "at",
        "no",
        "zero",
        "exactly",
        "up",
    ]
)
_ONE_VALUE = ("zero", "equal")
_NEGATED = ("not_multiple", "not_negative", "not_equal", "not_zero", "hasnt", "full")
_POINTLESS = {  # what nobody asks for
    **dict.fromkeys(("sum", "mean", "mean_or", "max", "max_or", "min", "squares"), _ONE_VALUE),
    **dict.fromkeys(("doubles", "sum_squares", "plus", "sorted"), _ONE_VALUE),
    **dict.fromkeys(("none", "drop", "zeroed"), _NEGATED),
    **dict.fromkeys(("lengths", "upper", "joined"), ("empty", "exactly", "caps")),
}
_EMPTY = ("0", "0", "0", "None", "None", "None", "-1")


def pick(language: str, rng: Random, noun: str, words: str) -> Task:
    """A random task of this sort; `noun` and `words` are what its lists hold."""
    draw = rng.random()
    if draw < 0.7:
        return select(language, rng, noun, words)
    if draw < 0.87:
        return default(language, rng)
    return series_sequences.pick(language, rng)


@cache
def _load(name: str) -> tuple[Part, ...]:
    text = (series_said.FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(parts._parse(block) for block in re.split(r"^@ ", text, flags=re.M)[1:])


def select(language: str, rng: Random, noun: str, words: str) -> Task:
    """What meets a condition is kept, counted, added up ..."""
    kind = rng.choice("nns")
    condition = rng.choice([part for part in _load("conditions") if part.kinds == kind])
    options = [part for part in _load("selections") if kind in part.kinds.split()[1]]
    chosen = rng.choice(options[:4] * 2 + options)
    if condition.id in _POINTLESS.get(chosen.id, ()):
        return select(language, rng, noun, words)
    thing = noun if kind == "n" else words
    said = _SAID[language](condition, thing, rng) | {"N": thing}
    wording, line = chosen.pick_line(language, rng)
    line = re.sub(r"\{(NC|N|P|S)\}", lambda match: said[match[1]], line)
    if kind == "s":
        line = re.sub(r"\{L\}", "{LW}", line)
    code = "\n".join(f"    {part}" for part in chosen.code.split("\n"))
    code = code.replace("{C}", condition.code).replace("{D}", condition.fields["not"][0])
    name = chosen.fields["name"][0]
    usual = _NAMES.get(name, f"{name} {name}_in find_{name} get_{name}")
    list_name = "numbers" if kind == "n" else "words"
    return Task(
        f"{chosen.id}_{condition.id}",
        chosen.kinds.split()[0],
        tuple(usual.split()),
        ((list_name,), (list_name,), ("items",), ("values" if kind == "n" else "names",)),
        f"def $f($a):\n{code}",
        "",
        {language: ((wording, line),)},
    )


def _english(condition: Part, thing: str, rng: Random) -> dict[str, str]:
    """Noun with condition, and the condition as predicate of several things and of one."""
    after, verbs, before = (condition.options(key) for key in ("en", "env", "pre"))
    if before and rng.random() < 0.5:
        return {"NC": f"{before[0]} {thing}", "P": f"are {after[0]}", "S": f"is {after[0]}"}
    if not after or (verbs and rng.random() < 0.4):
        verb = rng.choice(verbs)
        return {"NC": f"{thing} that {verb}", "P": verb, "S": _singular(verb)}
    plain = rng.choice(after)
    said = f"that are {plain}" if _needs_verb(plain) or rng.random() < 0.25 else plain
    single = plain.replace("multiples of", "a multiple of").replace("in them", "in it")
    if plain.startswith(("starting", "beginning", "ending", "containing", "not containing")):
        verb = _finite(plain)
        return {"NC": f"{thing} {plain}", "P": verb, "S": _singular(verb)}
    if plain.startswith(("with ", "without ", "of ")):
        verb = "are " + plain if plain.startswith("of ") else _have(plain)
        return {"NC": f"{thing} {plain}", "P": verb, "S": _singular(verb)}
    return {"NC": f"{thing} {said}", "P": f"are {plain}", "S": f"is {single}"}


def _needs_verb(plain: str) -> bool:
    """Whether it does not stand well behind a noun alone."""
    return plain.split()[0] in _AFTER_VERB


def _have(plain: str) -> str:
    if plain.startswith("without "):
        return "do not contain " + plain.removeprefix("without ")
    return "have " + plain.removeprefix("with ")


def _finite(plain: str) -> str:
    for old, new in (
        ("starting", "start"), ("beginning", "begin"), ("ending", "end"),
        ("not containing", "do not contain"), ("containing", "contain"),
    ):  # fmt: skip
        if plain.startswith(old):
            return new + plain.removeprefix(old)
    raise ValueError(plain)


def _singular(verb: str) -> str:
    for old, new in (("are palindromes", "is a palindrome"), ("are ", "is "), ("do ", "does ")):
        if verb.startswith(old):
            return new + verb.removeprefix(old)
    if verb.startswith("have "):
        return "has " + verb.removeprefix("have ").replace("in them", "in it")
    first, gap, rest = verb.partition(" ")
    return inflect.third_person(first) + gap + rest


def _chinese(condition: Part, thing: str, rng: Random) -> dict[str, str]:
    said = rng.choice(condition.options("zh"))
    bare = said.removeprefix("是")
    short = bare in ("偶数", "奇数", "负数", "正数") and len(thing) < 3 and rng.random() < 0.7
    return {"NC": bare if short else f"{said}的{thing}", "P": said, "S": said}


def _japanese(condition: Part, thing: str, rng: Random) -> dict[str, str]:
    said = rng.choice(condition.options("ja"))
    bare = said.removesuffix("の")
    short = bare in ("偶数", "奇数") and len(thing) < 3 and rng.random() < 0.6
    return {"NC": bare if short else f"{said}{thing}", "P": bare, "S": bare}


_SAID: dict[str, Callable[[Part, str, Random], dict[str, str]]] = {
    "en": _english,
    "zh": _chinese,
    "ja": _japanese,
}


@cache
def _defaults() -> tuple[tuple[str, str, str, dict[str, tuple[str, ...]]], ...]:
    """Name, value, parameter, and wordings by language."""
    found = []
    for line in (series_said.FOLDER / "defaults.txt").read_text(encoding="utf-8").splitlines():
        name, value, parameter, *said = re.split(r" \| ", line)
        found.append(
            (name, value, parameter, {each[:2]: tuple(each[3:].split("~")) for each in said})
        )
    return tuple(found)


def default(language: str, rng: Random) -> Task:
    """A value of a list, and what an empty list gives."""
    name, value, parameter, said = rng.choice(_defaults())
    empty = rng.choice(_EMPTY)
    quoted = empty
    if rng.random() < 0.25:
        word = series_values.pick_nothing(language, rng)
        empty = quoted = f'"{word}"'
        if parameter == "words" and rng.random() < 0.3:
            empty = quoted = '""'
    kind = "n" if rng.random() < 0.6 else "x"
    lines = series_said.macros(language)["EMPTY" if kind == "n" else "EMPTYX"]
    line = rng.choice(grammar.split(lines)).replace("{B}", rng.choice(said[language]))
    code = f"def $f($a):\n    if not $a:\n        return {empty}\n    return {value}"
    usual = f"{name} {name}_or safe_{name} get_{name}"
    return Task(
        f"{name}_or_default",
        "l>n" if parameter == "numbers" else "l>x",
        tuple(usual.split()),
        ((parameter,), (parameter,), ("items",), ("values",)),
        code,
        "",
        {language: ((kind, line.replace("$e", quoted)),)},
    )
