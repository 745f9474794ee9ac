"""The words for requests that call an older function: constants, results, lists, wrappers."""

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

from tools.demo import grammar, names, parts, prompts
from tools.demo.families import LANGUAGES, Family
from tools.demo.prompts import Function

FOLDER = Path(__file__).parent / "calls"
_COMPARED = (">=", ">=", ">=", ">", ">", ">", "<", "<", "<=", "<=", "==")
_LISTS = {
    "items": ("items", "numbers", "xs", "values", "data"),
    "numbers": ("numbers", "items", "xs", "values", "nums"),
    "words": ("words", "items", "texts", "strings"),
}
_ALONE = 0.85  # of the requests that do not name the older function need no pointer to it
_FORMED = 0.22  # of the requests begin with the call form of the new function


@dataclass(frozen=True)
class Words:
    """Lines of words.txt by language and first word; by topic results, predicates, siblings."""

    lines: dict[tuple[str, str], tuple[str, ...]]
    results: dict[str, tuple[str, ...]]
    numbers: dict[str, tuple[str, ...]]
    predicates: dict[str, tuple[str, ...]]
    realistic: dict[str, tuple[str, ...]]
    siblings: dict[str, tuple[tuple[str, ...], ...]]


@cache
def words() -> Words:
    lines: dict[tuple[str, str], tuple[str, ...]] = {}
    results: dict[str, tuple[str, ...]] = {}
    numbers: dict[str, tuple[str, ...]] = {}
    predicates: dict[str, tuple[str, ...]] = {}
    realistic: dict[str, tuple[str, ...]] = {}
    siblings: dict[str, tuple[tuple[str, ...], ...]] = {}
    for line in (FOLDER / "words.txt").read_text(encoding="utf-8").splitlines():
        first, _, rest = line.partition(" ")
        key, _, text = rest.partition(" ")
        if first == "real":
            realistic[key] = tuple(text.split())
        elif first == "res":
            results[key] = tuple(part.strip() for part in text.split("|"))
        elif first == "pred":
            predicates[key] = tuple(text.split("|"))
        elif first == "sib":
            other, _, said = text.partition(" ")
            siblings[key] = (*siblings.get(key, ()), (other, *said.split("|")))
        elif first == "num":
            numbers[key] = tuple(text.split())
        elif first in ("en", "zh", "ja"):
            lines[first, key] = (*lines.get((first, key), ()), *grammar.split(text))
    return Words(lines, results, numbers, predicates, realistic, siblings)


def settle(family: Family, language: str, rng: Random) -> Family:
    """`family` with numbers that are usual for what it is about, where such are known."""
    known = {
        slot: rng.choice(options)
        for slot in ("k", "j", "w")
        if (options := _usual_values(f"{family.id}_{slot}", language))
    }
    if not known:
        return family
    lines = tuple(
        replace(each, text=_put(each.text, known, language, rng))
        for each in family.wordings[language]
    )
    wordings = {**family.wordings, language: lines}
    return replace(family, code=_put(family.code, known), wordings=wordings)


def _usual_values(key: str, language: str) -> tuple[str, ...]:
    realistic = words().realistic
    return realistic.get(key) or realistic.get(f"{key}_{language}") or ()


def _put(text: str, values: dict[str, str], language: str = "", rng: Random | None = None) -> str:
    for slot, value in values.items():
        said = parts.spell(value, language, rng) if rng and f"${slot}%" not in text else value
        text = re.sub(rf"\${slot}(?![a-z])", said, text)
    return text


def lists(name: str, kind: str) -> list[str]:
    """Names for a list of elements of the kind that a function takes; the usual one first."""
    return list(_LISTS["words" if kind == "s" else name])


def name(language: str, kind: str, rng: Random) -> str:
    """A name as people of that language write it: `names` of functions, `extras` of parameters."""
    return rng.choice(rng.choice(words().lines[language, kind]).split())


def fill(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\{([a-z]+)\}", lambda match: values[match[1]], text)


def draw(code: str, language: str, rng: Random) -> dict[str, str]:
    """Constants for the slots of `code`; {o} is a comparison."""
    values = {slot: rng.choice(options) for slot, options in words().numbers.items()}
    values["o"] = rng.choice(_COMPARED)
    while values["k"] == values["t"]:
        values["k"] = rng.choice(words().numbers["k"])
    pair = rng.choice(words().lines["en" if rng.random() < 0.15 else language, "pair"]).split("/")
    if rng.random() < 0.4:
        pair = [names.pick_word(language, rng) for _ in range(2)]
        pair = pair if pair[0] != pair[1] else ["A", "B"]
    values["w"], values["v"] = pair
    ending = words().lines[language, "ending"]
    values["e"] = rng.choice(ending)
    return values


def say(
    line: tuple[str, str],
    older: Function,
    language: str,
    rng: Random,
    values: dict[str, str],
) -> str:
    """A whole request without function name, slots $a.. and $g in it."""
    known, (kind, said_as) = words(), line
    macros = _macros(older, language, rng, values)
    said = {
        slot: parts.spell(value, language, rng) if slot in "kmt" else value
        for slot, value in values.items()
    }
    text = grammar.expand(said_as, macros, rng)
    form = rng.random() < _FORMED
    if kind != "x" or form:
        key = ("form" if form else "wrap") + kind
        wrapper = grammar.expand(rng.choice(known.lines[language, key]), macros, rng)
        text = wrapper.replace("%", text)
    alone = "~" in text or "$g" in text or rng.random() < _ALONE
    return fill(text, said).replace("~", "") + ("~" if alone else "")


def _macros(older: Function, language: str, rng: Random, values: dict[str, str]) -> dict[str, str]:
    known = words()
    found = {name: "[" + "|".join(known.lines[language, name]) + "]" for name in _names(language)}
    kind = "S" if older.signature[0] == "s" else "N"
    found |= {"LIST": found[f"LIST{kind}"], "ELS": found[f"ELS{kind}"]}
    found["CMP"] = "[" + "|".join(known.lines[language, values["o"]]) + "]"
    described = known.results.get(older.topics[0])
    if described is not None and rng.random() < 0.6:
        told = _described(described, language)
        single = "," not in older.signature
        found |= {key: text for key, text in told.items() if single or key.startswith("RES")}
    predicate = known.predicates.get(older.topics[0])
    if predicate is not None and rng.random() < 0.7:
        found["PRED"] = predicate[LANGUAGES.index(language)]
    return prompts.wording(language).macros | found


def _described(described: tuple[str, ...], language: str) -> dict[str, str]:
    en, ens, eni, zh, zhi, ja, jai = described
    if language == "en":
        return {"RES": f"[the {en}|the {en}|the {en} ($g)]", "RESS": f"[the {ens}|all {ens}]",
                "RES2": en,
                "ELS": eni, "LIST": f"[a list of {eni}|several {eni}|a list {{l}} of {eni}|many {eni}]"}  # fmt: skip
    if language == "zh":
        return {"RES": zh, "RESS": f"[各个|每个|]{zh}", "ELS": zhi,
                "LIST": f"[一组{zhi}|{zhi}列表|一串{zhi}|{zhi}列表{{l}}|多个{zhi}]"}  # fmt: skip
    return {"RES": ja, "RESS": f"[それぞれの|各|]{ja}", "ELS": jai,
            "LIST": f"[{jai}のリスト|複数の{jai}|{jai}のリスト{{l}}]"}  # fmt: skip


@cache
def _names(language: str) -> tuple[str, ...]:
    return tuple(name for word, name in words().lines if word == language and name.isupper())
