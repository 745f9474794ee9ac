"""Special cases in front of the body of an earlier function, and further cases of a chain."""

import re
from dataclasses import dataclass
from random import Random

from tools.demo import alter_numbers, grammar, phrases
from tools.demo.alter_numbers import Altered, change, split
from tools.demo.prompts import Function

_CASE = re.compile(r"^    if (\w+) (>=|>|<=|<) (\d+(?:\.\d+)?):\n        return (.+)\n", re.M)


@dataclass(frozen=True)
class Test:
    """A condition on the parameters; `kinds` is a pattern for the signature."""

    code: str
    kinds: str


TESTS = {
    "zero": Test("$a == 0", r"^n>"),
    "negative": Test("$a < 0", r"^n>"),
    "notpositive": Test("$a <= 0", r"^n>"),
    "over": Test("$a > $k", r"^n>"),
    "under": Test("$a < $k", r"^n>"),
    "equals": Test("$a == $k", r"^n>"),
    "emptytext": Test("not $a", r"^s>"),
    "emptylist": Test("not $a", r"^l>"),
    "none": Test("$a is None", r"^[nsl]>"),
    "onlyone": Test("len($a) == 1", r"^l>"),
    "longer": Test("len($a) > $k", r"^s>"),
    "shorter": Test("len($a) < $k", r"^s>"),
    "either": Test("$a < 0 or $b < 0", r"^n,n>"),
    "bothzero": Test("$a == 0 and $b == 0", r"^n,n>"),
    "firstbigger": Test("$a > $b", r"^n,n>"),
    "same": Test("$a == $b", r"^(n,n|s,s)>"),
    "secondzero": Test("$b == 0", r"^n,n>"),
    "secondnegative": Test("$b < 0", r"^n,n>"),
    "firstnegative": Test("$a < 0", r"^n,n>"),
    "eithernone": Test("$a is None or $b is None", r"^(n,n|s,s)>"),
}
QUOTES = {"en": ('"%s"',), "zh": ("“%s”", '"%s"', "「%s」"), "ja": ("「%s」", "「%s」", '"%s"')}


def pick_answer(signature: str, language: str, rng: Random) -> tuple[str, str]:
    """What a special case returns: as code, and as it is said."""
    kind, draw = signature.split(">")[1], rng.random()
    lines = phrases.load_once(f"alters/{language}").sections
    if kind == "b":
        code = rng.choice(("False", "False", "False", "True", "None"))
    elif kind == "l" and draw < 0.7:
        return "[]", rng.choice(lines["emptylist"])
    elif kind == "s" and draw < 0.25:
        return '""', rng.choice(lines["emptytext"])
    elif kind in ("s", "?") or draw < 0.25:
        word = rng.choice(lines["answers"] if rng.random() < 0.75 else _english())
        return f'"{word}"', rng.choice(QUOTES[language]) % word
    else:
        free = str(rng.randrange(2, rng.choice((12, 100, 1000))))
        code = rng.choice(("0", "0", "0", "0", "-1", "-1", "None", "None", "None", "1", free, free))
    return code, code


def _english() -> tuple[str, ...]:
    return phrases.load_once("alters/en").sections["answers"]


def guard(older: Function, language: str, rng: Random) -> Altered | None:
    """A special case before all else; the caller finds its name under `!case`."""
    suited = [key for key, test in TESTS.items() if re.search(test.kinds, older.signature)]
    body = split(older.code)[1]
    rng.shuffle(suited)
    for key in suited:
        limit = str(rng.choice((rng.randrange(2, 20), 10 * rng.randrange(1, 30), 100, 1000)))
        values = dict(zip("ab", older.parameters, strict=False)) | {"k": limit}
        test = grammar.fill(TESTS[key].code, values)
        if f"if {test}:" not in body and _fits(key, body):
            break
    else:
        return None
    code, said = pick_answer(older.signature, language, rng)
    raises = rng.random() < 0.05
    action = "raise ValueError" if raises else f"return {code}"
    changed = alter_numbers.HEAD.sub(
        lambda head: f"{head[0]}    if {test}:\n        {action}\n", older.code, count=1
    )
    return change(older, changed), {**values, "w": said, "!case": key, "!raises": str(raises)}


def _fits(key: str, body: str) -> bool:
    """Zero divisors are tested for where something is divided by them; None in simple code only."""
    if key in ("secondzero", "same", "firstbigger"):
        return key != "secondzero" or bool(re.search(r" (/|//|%) ", body))
    return True


def add_case(older: Function, language: str, rng: Random) -> Altered | None:
    """One more case of an if chain, at its place in the order."""
    head, body = split(older.code)
    cases = list(_CASE.finditer(body))
    signs = {case[2] for case in cases}
    if not cases or len(signs) != 1 or not _is_chain(cases, _CASE.sub("", body).rstrip()):
        return None
    limits = [float(case[3]) for case in cases]
    sign, downwards = signs.pop(), cases[0][2][0] == ">"
    limit = _draw_limit(limits, rng)
    if limit is None or limits != sorted(limits, reverse=downwards):
        return None
    code, said = _pick_result(cases[0][4], older, language, rng)
    place = sum(each > limit if downwards else each < limit for each in limits)
    line = f"    if {cases[0][1]} {sign} {limit}:\n        return {code}\n"
    at = cases[place].start() if place < len(cases) else cases[-1].end()
    key = {">=": "from", ">": "above", "<": "below", "<=": "upto"}[sign]
    values = {"k": str(limit), "w": said, "a": cases[0][1], "!case": f"case{key}"}
    return change(older, head + body[:at] + line + body[at:]), values


def _is_chain(cases: list[re.Match[str]], rest: str) -> bool:
    """Whether all cases ask for one value and give the same kind of result, as the last line does."""
    results = [case[4] for case in cases] + [rest.removeprefix("    return ")]
    kinds = {_kind(result) for result in results}
    one = len({case[1] for case in cases}) == 1 and len(kinds) == 1
    return one and rest.startswith("    return ") and kinds.pop()[0] != "?"


def _kind(result: str) -> str:
    """Whether a result is a word or a number; all else is itself, and so unlike the others."""
    known = re.fullmatch(r"(?P<word>\"[^\"]*\")|(?P<number>\d+)", result)
    return (known.lastgroup or "") if known else f"?{result}"


def _draw_limit(limits: list[float], rng: Random) -> int | None:
    low, high = int(min(limits)), int(max(limits))
    low, high = (low // 2, high * 2) if low == high or rng.random() < 0.6 else (low, high)
    free = [each for each in range(low + 1, max(high, low + 3)) if each not in limits]
    round_ones = [each for each in free if each % 5 == 0]
    return rng.choice(round_ones or free) if free else None


def _pick_result(other: str, older: Function, language: str, rng: Random) -> tuple[str, str]:
    if re.fullmatch(r"\d+", other):
        number = alter_numbers.pick_other(other, rng)
        return number, number
    while True:
        word = rng.choice(phrases.load_once(f"alters/{language}").sections["classes"])
        if f'"{word}"' not in older.code:
            return f'"{word}"', rng.choice(QUOTES[language]) % word


def change_word(older: Function, language: str, rng: Random) -> Altered | None:
    """A word the function returns is another one."""
    words = re.findall(r"return \"([^\"\n]+)\"", older.code)
    if not words:
        return None
    old = rng.choice(words)
    new = rng.choice(phrases.load_once(f"alters/{language}").sections["classes"])
    if f'"{new}"' in older.code or older.code.count(f'"{old}"') != 1:
        return None
    quote = rng.choice(QUOTES[language])
    code = older.code.replace(f'"{old}"', f'"{new}"')
    return change(older, code), {"v": quote % old, "w": quote % new}


def change_words(older: Function, language: str, rng: Random) -> Altered | None:
    """Both words of a choice are others, in the order they stand."""
    words = re.findall(r"return \"([^\"\n]+)\"", older.code)
    if len(words) != 2 or older.code.count("return") != 2 or words[0] == words[1]:
        return None
    first, second = _pick_two(language, rng)
    if {first, second} & set(words):
        return None
    quote = rng.choice(QUOTES[language])
    code = older.code.replace(f'"{words[0]}"', f'"{first}"').replace(f'"{words[1]}"', f'"{second}"')
    values = {"v": quote % words[0], "u": quote % words[1], "w": quote % first, "x": quote % second}
    return change(older, code), values


def _pick_two(language: str, rng: Random) -> tuple[str, str]:
    """Two words, mostly opposites."""
    lines = phrases.load_once(f"alters/{language}").sections
    if rng.random() < 0.65:
        first, _, second = rng.choice(lines["pairs"]).partition("/")
    else:
        first, second = rng.sample(lines["classes"], 2)
    return (second, first) if rng.random() < 0.15 else (first, second)


def to_words(older: Function, language: str, rng: Random) -> Altered | None:
    """Two words in place of True and False."""
    returned = re.findall(r"^    return (.+)$", older.code, re.M)
    if not older.signature.endswith(">b") or len(returned) != 1 or older.code.count("return") > 1:
        return None
    first, second = _pick_two(language, rng)
    quote = rng.choice(QUOTES[language])
    lines = f'    if {returned[0]}:\n        return "{first}"\n    return "{second}"'
    code = older.code.replace(f"    return {returned[0]}", lines)
    signature = older.signature[:-1] + "s"
    return change(older, code, signature=signature), {"w": quote % first, "x": quote % second}


def to_truth(older: Function, language: str, rng: Random) -> Altered | None:
    """True and False in place of two words."""
    found = re.search(
        r"^    if (.+):\n        return \"(.+)\"\n    return \"(.+)\"$", older.code, re.M
    )
    if not found or older.code.count("return") != 2:
        return None
    code = older.code.replace(found[0], f"    return {found[1]}")
    signature = older.signature.split(">")[0] + ">b"
    quote = rng.choice(QUOTES[language])
    values = {"v": quote % found[2], "u": quote % found[3]}
    return change(older, code, signature=signature), values
