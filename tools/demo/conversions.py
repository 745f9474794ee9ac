"""Conversions with the factor in the request: units, money, invented units, both directions."""

from dataclasses import dataclass
from functools import cache
from random import Random

from tools.demo import asking, grammar
from tools.demo.asking import Task

_ODD = {"feet": "foot", "inches": "inch", "boxes": "box", "leaves": "leaf", "metres per second": "metre per second",
        "air miles": "air mile", "calories": "calorie"}  # fmt: skip
_VARIABLES = ("x", "x", "x", "n", "a", "v", "q", "amount", "value", "k", "w", "d", "t")
_FACTORS = ("2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "15", "16", "20", "24", "25", "40", "50",
            "60", "64", "100", "144", "250", "1000", "0.5", "1.5", "2.5", "0.25", "3.2", "4.8", "7.3", "0.8",
            "1.7", "12.5", "0.06", "3.14", "9.9", "13", "17", "37", "42", "99")  # fmt: skip
_BEGINNINGS = ("bl", "dr", "f", "g", "gr", "j", "k", "kl", "m", "n", "p", "pl", "qu", "r", "sn", "t", "tr", "v", "w", "z")  # fmt: skip
_MONEY = ("euros", "dollars", "yuan", "francs", "rupees", "hkd")
_RATED = ("dollars", "yen", "yuan", "won", "euros")
_MIDDLES, _ENDS = ("a", "e", "i", "o", "u", "oo", "ee"), ("b", "ck", "f", "g", "lk", "m", "n", "p", "rk", "t", "d", "sk")  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """`id` is its part of the function's name; "" for invented units."""

    id: str
    words: dict[str, tuple[str, ...]]


Pair = tuple[Unit, Unit, tuple[str, ...]]


@cache
def _known() -> tuple[tuple[Pair, ...], tuple[Pair, ...], tuple[Unit, ...]]:
    """Pairs with a factor, pairs with a number that is added, invented units."""
    parts: list[list[str]] = [[]]
    for line in (asking.FOLDER / "units.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith(">"):
            parts.append([])
        elif not line.startswith("#"):
            parts[-1].append(line)
    invented = tuple(_unit(f"|{line}") for line in parts[2])
    return tuple(map(_pair, parts[0])), tuple(map(_pair, parts[1])), invented


def _pair(line: str) -> Pair:
    first, second, factors = line.split(";")
    return _unit(first), _unit(second), tuple(factors.split(","))


def _unit(text: str) -> Unit:
    name, *words = text.split("|")
    lists = (tuple(each.split(",")) for each in words)
    return Unit(name, dict(zip(("en", "zh", "ja"), lists, strict=True)))


def _invent(rng: Random) -> Unit:
    if rng.random() < 0.5:
        unit = rng.choice(_known()[2])
        plural = {"leaf": "leaves", "fish": "fish"}.get(unit.words["en"][0], "")
        plural = plural or f"{unit.words['en'][0]}s"
        return Unit("", {**unit.words, "en": (plural,)})
    word = rng.choice(_BEGINNINGS) + rng.choice(_MIDDLES) + rng.choice(_ENDS)
    return Unit("", {"en": (f"{word}s",), "zh": (word,), "ja": (word,)})


def pick(language: str, rng: Random) -> Task:
    """A conversion whose numbers stand in the request, or whose rate is a parameter."""
    draw = rng.random()
    pairs, offsets, _ = _known()
    if draw < 0.1:
        source, target, (*numbers,) = rng.choice(offsets)
        return _shifted(source, target, rng.choice(numbers), language, rng)
    if draw < 0.3:
        source, target = _invent(rng), _invent(rng)
        while source.words[language] == target.words[language]:
            target = _invent(rng)
        factor = rng.choice(_FACTORS)
    else:
        source, target, factors = rng.choice(pairs)
        factor = rng.choice(factors)
        if source.id in _MONEY and target.id in _RATED and rng.random() < 0.7:
            factor = f"{float(factor) * rng.uniform(0.8, 1.2):.{rng.choice((1, 2, 2, 3))}f}"
    if draw > 0.93:
        source, target, _ = rng.choice(
            [pair for pair in pairs if pair[0].id in _MONEY and pair[1].id in _RATED]
        )
        return _rated(source, target, language, rng)
    if 0.27 < draw < 0.3 or draw > 0.9:
        return _affine(source, target, language, rng)
    return _scaled(source, target, factor, language, rng)


def _scaled(source: Unit, target: Unit, factor: str, language: str, rng: Random) -> Task:
    if rng.random() < 0.5:
        code, form = f"{{}} * {factor}", rng.choice(("mul", "mulone", "mulone"))
    else:
        source, target = target, source
        code, form = f"{{}} / {factor}", rng.choice(("div", "divone", "divone"))
    return _make((source, target), code, form, {"k": factor}, language, rng)


def _shifted(source: Unit, target: Unit, number: str, language: str, rng: Random) -> Task:
    if rng.random() < 0.5:
        return _make((source, target), f"{{}} + {number}", "add", {"k": number}, language, rng)
    return _make((target, source), f"{{}} - {number}", "sub", {"k": number}, language, rng)


def _affine(source: Unit, target: Unit, language: str, rng: Random) -> Task:
    """Times one number plus another, or the way back."""
    factor, more = rng.choice(_FACTORS), str(rng.randrange(2, 60))
    if rng.random() < 0.5:
        source, factor, more = _CELSIUS, "1.8", "32"
        target = _FAHRENHEIT
    else:
        source, target = _invent(rng), _invent(rng)
    values = {"k": factor, "j": more}
    if rng.random() < 0.5:
        return _make((source, target), f"{{}} * {factor} + {more}", "affine", values, language, rng)
    code = f"({{}} - {more}) / {factor}"
    return _make((target, source), code, "unaffine", values, language, rng)


_CELSIUS = _unit("c|Celsius,degrees Celsius|摄氏度,摄氏|摂氏,摂氏温度")
_FAHRENHEIT = _unit("f|Fahrenheit,degrees Fahrenheit|华氏度,华氏|華氏,華氏温度")


def _rated(source: Unit, target: Unit, language: str, rng: Random) -> Task:
    """The factor is the second parameter."""
    if rng.random() < 0.7:
        return _make((source, target), "{} * rate", "rate", {}, language, rng)
    return _make((target, source), "{} / rate", "ratediv", {}, language, rng)


def _make(
    units: tuple[Unit, Unit],
    code: str,
    form: str,
    values: dict[str, str],
    language: str,
    rng: Random,
) -> Task:
    more = ("rate",) if "rate" in form else ()
    source, target = units
    lines = asking.wording(language).sections
    phrase = grammar.expand_outside(rng.choice(lines["conv"]), {}, rng)
    told = grammar.expand_outside(rng.choice(lines[form]), {}, rng)
    first, second = (rng.choice(unit.words[language]) for unit in units)
    one = (target if form in ("divone", "ratediv") else source).words[language][0]
    named = rng.random() < 0.15 and not more
    variable = rng.choice(_VARIABLES) if named else source.id or "x"
    shown = f"\1{variable} {first}" if first[0].isascii() else f"\1{variable}{first}"
    text = phrase.replace("$s", shown if named else first).replace("$t", second)
    told = told.replace("$s", first).replace("$t", second).replace("$u", _one(one, language))
    if language != "en":
        told = told.replace(f"1{one}", f"1{second if 'div' in form else first}")
    for key, value in values.items():
        told = told.replace(f"${key}", value)
    name = f"{source.id}_to_{target.id}" if source.id and target.id else "convert"
    body = f"return {code.format(variable)}"
    text, kind = _kind(text, told.replace("$", ""), language)
    parameters = (variable, *more)
    return Task(
        kind, text.replace("\1", "$"), parameters, (body,), (name,),
        ",".join("n" for _ in parameters) + ">n", "conversion", "/" in code or "." in code,
    )  # fmt: skip


def _kind(phrase: str, told: str, language: str) -> tuple[str, str]:
    """A verb phrase where it ends as one, else a whole request."""
    if language == "en" and "." in told[:1]:
        return phrase + told, "x"
    if language == "en" and phrase.split()[0] in (
        "convert",
        "turn",
        "change",
        "get",
        "go",
        "express",
    ):
        return phrase + told, "v"
    if language == "zh" and phrase[0] in "把将":
        return phrase + told, "v" if "。" not in told else "x"
    return phrase + told, "x"


def _one(word: str, language: str) -> str:
    if language != "en":
        return word
    if word in _ODD:
        return _ODD[word]
    return word[:-1] if word.endswith("s") and len(word) > 2 else word
