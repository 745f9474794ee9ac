"""Changes of the numbers, words and operators that stand in the code of an earlier function."""

import re
from collections.abc import Callable
from random import Random

from tools.demo.prompts import Function

Altered = tuple[Function, dict[str, str]]
Maker = Callable[[Function, str, Random], Altered | None]
HEAD = re.compile(r"def (\w+)\(([^()]*)\)([^\n]*):\n")
_NUMBER = re.compile(r"(?<![-\w.\"])\d+(?:\.\d+)?(?![\w.\"])")
_TINY = 0.002  # two decimals of such a number's multiples are zero
_IDIOM = re.compile(r"% 2$|%[^=!<>]+ [!=]= [01]$|\*\* (2|3|0\.5)$|, 10$|range.*\+ 1$")
STRING = re.compile(r"\"[^\"\n]*\"")
_NAMES = (
    "k", "m", "rate", "price", "limit", "factor", "step", "base", "fee", "tax", "unit", "ratio",
    "threshold", "times", "offset", "size", "count", "total", "cost", "weight", "minimum", "bonus",
    "divisor", "start", "width", "maximum", "amount", "percent", "border", "t", "q", "p",
)  # fmt: skip
_ORDINALS = {
    "en": ("first", "second", "third", "fourth", "fifth", "sixth"),
    "zh": ("一", "二", "三", "四", "五", "六"),
    "ja": ("1", "2", "3", "4", "5", "6"),
}


def change(older: Function, code: str, **fields: object) -> Function:
    """`older` with other code and fields."""
    kept = {**vars(older), "code": code, "topics": ("edited",), **fields}
    return Function(**kept)


def split(code: str) -> tuple[str, str]:
    """Everything up to the end of the line that starts the function, and its body."""
    found = HEAD.search(code)
    return (code[: found.end()], code[found.end() :]) if found else ("", code)


def is_plain(older: Function) -> bool:
    """Whether it calls no function of its own or itself and has neither types nor defaults."""
    once = older.code.count("def ") == 1 and older.code.count(f"{older.name}(") == 1
    return once and f"({', '.join(older.parameters)}):\n" in older.code


def add_last(older: Function, name: str, default: str | None, code: str) -> Function:
    """`code` with one more parameter."""
    listed = ", ".join(older.parameters)
    more = name if default is None else f"{name}={default}"
    code = code.replace(f"({listed}):", f"({listed}, {more}):", 1)
    signature = older.signature.replace(">", ",n>", 1)
    return change(older, code, parameters=(*older.parameters, name), signature=signature)


def ordinal(older: Function, language: str) -> str:
    """The word for the place of a parameter that comes last."""
    return _ORDINALS[language][min(len(older.parameters), 5)]


def find_numbers(body: str) -> list[re.Match[str]]:
    """The numbers a user would speak of: none in words, none that only counts or takes the first."""
    masked = STRING.sub(lambda match: " " * len(match[0]), body)
    found = _NUMBER.finditer(masked)
    return [each for each in found if not _is_structure(masked, each)]


def _is_structure(body: str, match: re.Match[str]) -> bool:
    """Whether a number belongs to an idiom: a place, the start of a slice, even and odd, rests."""
    line = body[body.rfind("\n", 0, match.start()) + 1 : match.start()]
    if body[match.end() : match.end() + 1] == ":" or line.endswith(("[", "range(", "sum(")):
        return True
    return bool(
        _IDIOM.search(line + match[0]) or (body[match.end() :].startswith("]") and "//" in line)
    )


def pick_other(old: str, rng: Random, *, fraction: bool = False) -> str:
    """A number of the same kind, never the old one; `fraction` lets it have decimals."""
    while True:
        new = _draw(old, rng, fraction)
        if new != old and float(new) > 0:
            return new


def _draw(old: str, rng: Random, fraction: bool) -> str:
    if "." in old:
        places = len(old.split(".")[1])
        places = places if float(old) < _TINY else min(places, 2)
        return f"{float(old) * rng.uniform(0.3, 2.5):.{places}f}".rstrip("0").rstrip(".")
    value, draw = int(old), rng.random()
    if draw < 0.3:
        return str(max(1, value + rng.choice((-5, -3, -2, -1, 1, 2, 3, 4, 5, 10))))
    if fraction and draw < 0.5:
        return f"{rng.randrange(0, 10)}.{rng.choice((1, 2, 5, 5, 5, 7, 25, 75))}"
    if value < 20:
        return str(rng.randrange(1, rng.choice((10, 13, 30, 100))))
    large = (rng.randrange(2, 100), 5 * rng.randrange(2, 41))
    wide = (rng.choice((10, 50, 100)) * rng.randrange(1, 50),)
    return str(rng.choice(large if value < 100 else wide))


def _single(older: Function) -> str | None:
    """The only number of the body."""
    found = find_numbers(split(older.code)[1])
    alone = len(found) == 1 and not calls_itself(older)
    return found[0][0] if alone else None


def calls_itself(older: Function) -> bool:
    """Whether a function is recursive."""
    return older.code.count(f"{older.name}(") > 1


def _put(older: Function, old: str, new: str) -> str:
    head, body = split(older.code)
    for match in reversed(find_numbers(body)):
        if match[0] == old:
            body = body[: match.start()] + new + body[match.end() :]
    return head + body


def replace_single(older: Function, language: str, rng: Random) -> Altered | None:
    """The only number is another one."""
    old = _single(older)
    if old is None or "** " in older.code:
        return None
    new = pick_other(old, rng, fraction=f"* {old}" in older.code)
    return change(older, _put(older, old, new)), {"j": old, "k": new}


def replace_one(older: Function, language: str, rng: Random) -> Altered | None:
    """One of several numbers is another one."""
    found = [match[0] for match in find_numbers(split(older.code)[1])]
    once = [number for number in found if found.count(number) == 1]
    if len(found) < 2 or not once or calls_itself(older):
        return None
    old = rng.choice(once)
    new = pick_other(old, rng)
    if new in found:
        return None
    return change(older, _put(older, old, new)), {"j": old, "k": new}


def replace_two(older: Function, language: str, rng: Random) -> Altered | None:
    """Two of the numbers are others."""
    found = [match[0] for match in find_numbers(split(older.code)[1])]
    once = [number for number in found if found.count(number) == 1]
    if len(once) < 2 or calls_itself(older):
        return None
    first, second = rng.sample(once, 2)
    new, other = pick_other(first, rng), pick_other(second, rng)
    if {new, other} & set(found) or new == other:
        return None
    code = _put(older, first, new)
    code = _put(change(older, code), second, other)
    return change(older, code), {"j": first, "k": new, "m": second, "n": other}


def replace_after(pattern: str) -> Maker:
    """The only number, where `pattern` with the number in a group says what it is for."""
    known = re.compile(pattern)

    def alter(older: Function, language: str, rng: Random) -> Altered | None:
        old = _single(older)
        found = known.findall(split(older.code)[1])
        if old is None or found != [old]:
            return None
        new = pick_other(old, rng, fraction=pattern[0] == "\\")
        return change(older, _put(older, old, new)), {"j": old, "k": new}

    return alter


def replace_discount(older: Function, language: str, rng: Random) -> Altered | None:
    """A price times 0.8: another discount, said as what is taken off or what is left."""
    old = _single(older)
    if old is None or not re.fullmatch(r"0\.\d\d?", old) or f" * {old}" not in older.code:
        return None
    left = rng.choice((5, 6, 7, 8, 9, 65, 75, 85, 95))
    new, whole = f"0.{left}", left if left > 10 else 10 * left
    if new == old:
        return None
    digits = "零一二三四五六七八九"
    spoken = "".join(digits[int(each)] for each in str(left)) if rng.random() < 0.7 else str(left)
    values = {"j": old, "k": new, "d": str(100 - whole), "e": str(whole), "t": spoken}
    return change(older, _put(older, old, new)), values


def take(*, named: bool, default: str, single: bool = False) -> Maker:
    """A number becomes the last parameter: `default` is none, same or other."""

    def alter(older: Function, language: str, rng: Random) -> Altered | None:
        found = [match[0] for match in find_numbers(split(older.code)[1])]
        once = [number for number in found if found.count(number) == 1]
        if not once or not is_plain(older) or len(older.parameters) > 4:
            return None
        if single and len(found) > 1:
            return None
        old = rng.choice(once)
        spare = free(older, _NAMES if named else ("n", "k", "m"))
        if not spare:
            return None
        name = rng.choice(spare) if named else spare[0]
        given = {"none": None, "same": old, "other": pick_other(old, rng)}[default]
        function = add_last(older, name, given, _put(older, old, name))
        values = {"j": old, "k": given or "", "z": name, "n": ordinal(older, language)}
        return function, values | ({"!": "$j"} if len(set(found)) > 1 else {})

    return alter


def free(older: Function, names: tuple[str, ...]) -> list[str]:
    """The names that the code does not use yet."""
    used = set(re.findall(r"\w+", older.code))
    return [name for name in names if name not in used]


def add_plain(sign: str, *, named: bool, default: bool) -> Maker:
    """One more parameter that is added to the result or taken from it."""

    def alter(older: Function, language: str, rng: Random) -> Altered | None:
        returned = re.findall(r"^ +return (.+)$", older.code, re.M)
        if len(returned) != 1 or not is_plain(older) or not older.signature.endswith(">n"):
            return None
        if len(older.parameters) > 4 or re.search(r" if |\bsum\(|\*\*|//|\bor\b", returned[0]):
            return None
        spare = free(older, _NAMES if named else ("n", "k", "m"))
        if not spare:
            return None
        name = rng.choice(spare) if named else spare[0]
        given = rng.choice(("0", "1", str(rng.randrange(1, 50)), str(10 * rng.randrange(1, 60))))
        inner = returned[0]
        if sign == "*":
            given = rng.choice(("1", "1", "2", given.replace("0", "3")))
            simple = re.fullmatch(r"[\w.]+(\([^()]*\))?", inner)
            inner = inner if simple else f"({inner})"
        code = older.code.replace(f"return {returned[0]}", f"return {inner} {sign} {name}")
        function = add_last(older, name, given if default else None, code)
        return function, {"z": name, "k": given, "n": ordinal(older, language)}

    return alter
