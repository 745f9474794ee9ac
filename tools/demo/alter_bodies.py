"""Other work on the same input: turned operators, recursion in place of a loop, other words."""

import re
from random import Random

from tools.demo import alter_guards
from tools.demo.alter_numbers import HEAD, STRING, Altered, Maker, calls_itself, change, split
from tools.demo.prompts import Function

_PRODUCT = "    result = 1\n    for x in $a:\n        result *= x\n    return result"
_FACTORIAL = (
    "    result = 1\n    for i in range(2, $a + 1):\n        result *= i\n    return result",
    "    if $a <= 1:\n        return 1\n    return $a * $f($a - 1)",
)
_POWER = (
    "    result = 1\n    for _ in range($b):\n        result *= $a\n    return result",
    "    if $b == 0:\n        return 1\n    return $a * $f($a, $b - 1)",
)
_GCD = (
    "    while $b:\n        $a, $b = $b, $a % $b\n    return $a",
    "    if $b == 0:\n        return $a\n    return $f($b, $a % $b)",
)
_LISTED = "    if not $a:\n        return 0\n    return $a[0] + $f($a[1:])"
RECURSIVE = {
    **dict((_FACTORIAL, _POWER, _GCD)),
    "    return $a ** $b": _POWER[1],
    "    return sum(range(1, $a + 1))": "    if $a <= 0:\n        return 0\n    return $a + $f($a - 1)",
    "    return $a * ($a + 1) // 2": "    if $a <= 0:\n        return 0\n    return $a + $f($a - 1)",
    "    return sum($a)": _LISTED,
    "    total = 0\n    for x in $a:\n        total += x\n    return total": _LISTED,
    "    return $a[::-1]": '    if $a == "":\n        return ""\n    return $f($a[1:]) + $a[0]',
    "    return max($a)": (
        "    if len($a) == 1:\n        return $a[0]\n    return max($a[0], $f($a[1:]))"
    ),
    "    return sum(int(d) for d in str($a))": (
        "    if $a < 10:\n        return $a\n    return $a % 10 + $f($a // 10)"
    ),
    "    return len($a)": '    if $a == "":\n        return 0\n    return 1 + $f($a[1:])',
}
LOOPS = {
    **{new: old for old, new in (_FACTORIAL, _POWER, _GCD)},
    _LISTED: "    total = 0\n    for x in $a:\n        total += x\n    return total",
}
PRODUCTS = {
    "    return sum($a)": _PRODUCT,
    "    total = 0\n    for x in $a:\n        total += x\n    return total": _PRODUCT,
}
SUMS = {_PRODUCT: "    return sum($a)"}
_TEXTS = ("    return $a[::-1]", "    return len($a)")  # as recursion only where a text is taken


def replace(table: dict[str, str]) -> Maker:
    """The whole body is another one that the table knows for it."""

    def alter(older: Function, language: str, rng: Random) -> Altered | None:
        head, body = split(older.code)
        known = dict(zip("ab", older.parameters, strict=False)) | {"f": older.name}
        general = body
        for slot, name in known.items():
            general = re.sub(rf"\b{name}\b", f"${slot}", general)
        new = table.get(general)
        if new is None or (general in _TEXTS and older.signature[0] != "s"):
            return None
        code = re.sub(r"\$([abf])\b", lambda match: known[match[1]], new)
        return change(older, head[HEAD.search(head).start() :] + code), {}  # type: ignore[union-attr]

    return alter


def replace_rate(older: Function, language: str, rng: Random) -> Altered | None:
    """The percentage that is added or taken off is another one."""
    found = re.findall(r"\(100 [+-] (\d+(?:\.\d+)?)\) / 100", older.code)
    if len(found) != 1:
        return None
    new = str(rng.choice((*range(1, 31), 35, 40, 45, 50, 60, 70)))
    if new == found[0]:
        return None
    code = re.sub(r"(\(100 [+-] )\d+(?:\.\d+)?(\) / 100)", rf"\g<1>{new}\2", older.code)
    return change(older, code), {"j": found[0], "k": new}


def replace_rest(older: Function, language: str, rng: Random) -> Altered | None:
    """What is returned where no case applies."""
    body = split(older.code)[1]
    found = re.search(r"^    return (\"[^\"\n]*\"|\d+|None|True|False)$", body, re.M)
    if not found or "    if " not in body or not body.rstrip().endswith(found[0]):
        return None
    code, said = alter_guards.pick_answer(older.signature, language, rng)
    if code.isdigit() != found[1].isdigit() or (found[1][0] == '"') != (code[0] == '"'):
        return None
    if re.search(rf"return {re.escape(code)}$", body, re.M) or code in ('""', "[]"):
        return None
    at = older.code.rindex(found[0])
    return change(older, older.code[:at] + f"    return {code}"), {"w": said}


def swap_words(older: Function, language: str, rng: Random) -> Altered | None:
    """The two words of a choice change places."""
    words = re.findall(r"return \"([^\"\n]+)\"", older.code)
    if len(words) != 2 or older.code.count("return") != 2 or words[0] == words[1]:
        return None
    first, second = (f'return "{word}"' for word in words)
    code = older.code.replace(first, "\0").replace(second, first).replace("\0", second)
    quote = rng.choice(alter_guards.QUOTES[language])
    return change(older, code), {"v": quote % words[0], "u": quote % words[1]}


def add_choice(older: Function, language: str, rng: Random) -> Altered | None:
    """One more value for which a condition on a number holds as well."""
    found = re.fullmatch(r"    return (\w+ (>=?|<=?|==) (\d+))", split(older.code)[1].rstrip())
    if older.signature != "n>b" or not found:
        return None
    limit = int(found[3])
    below = rng.choice((0, rng.randrange(0, limit + 1)))
    value = below if found[2][0] == ">" else limit + rng.choice((1, 5, 10, limit + 1))
    if value == limit:
        return None
    code = older.code.replace(found[1], f"{found[1]} or {older.parameters[0]} == {value}")
    return change(older, code), {"k": str(value)}


def turn(pattern: str, new: str, needs: str = "", *, signature: str = "", gives: str = "") -> Maker:
    """The only place that matches `pattern` becomes `new`; `needs` must match the whole code."""
    known = re.compile(pattern)

    def alter(older: Function, language: str, rng: Random) -> Altered | None:
        head, body = split(older.code)
        masked = STRING.sub(lambda match: "_" * len(match[0]), body)
        found = list(known.finditer(masked))
        if len(found) != 1 or not re.search(signature, older.signature):
            return None
        if (needs and not re.search(needs, body, re.S)) or calls_itself(older):
            return None
        start, end = found[0].span()
        groups = [body[slice(*found[0].span(i + 1))] for i in range(len(found[0].groups()))]
        changed = re.sub(r"\\(\d)", lambda match: groups[int(match[1]) - 1], new)
        code = head + body[:start] + changed + body[end:]
        result = older.signature.split(">")[0] + ">" + (gives or older.signature.split(">")[1])
        return change(older, code, signature=result), dict(zip("ok", groups, strict=False))

    return alter
