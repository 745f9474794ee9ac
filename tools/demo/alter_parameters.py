"""Changes of the parameters of an earlier function: their order, names, defaults and number."""

import re
from random import Random

from tools.demo import names
from tools.demo.alter_numbers import HEAD, Altered, change, is_plain, ordinal, split
from tools.demo.changes import replace_name
from tools.demo.prompts import Function


def swap_parameters(older: Function, language: str, rng: Random) -> Altered | None:
    """Two parameters in the other order."""
    if len(older.parameters) != 2 or not is_plain(older):
        return None
    a, b = older.parameters
    kinds, _, result = older.signature.partition(">")
    turned = ",".join(reversed(kinds.split(",")))
    code = older.code.replace(f"({a}, {b}):", f"({b}, {a}):", 1)
    return change(older, code, parameters=(b, a), signature=f"{turned}>{result}"), {"a": a, "b": b}


_PAIRS = (
    ("d1", "d2"), ("x1", "x2"), ("first", "second"), ("start", "end"), ("low", "high"), ("p", "q"),
    ("left", "right"), ("u", "v"), ("m", "n"), ("old", "new"), ("price", "count"), ("s1", "s2"),
    ("width", "height"), ("num1", "num2"), ("val1", "val2"), ("src", "dst"), ("one", "two"),
    ("total", "part"), ("base", "rate"), ("x", "y"), ("i", "j"), ("h", "w"), ("lo", "hi"),
)  # fmt: skip


def rename_parameters(older: Function, language: str, rng: Random) -> Altered | None:
    """Both, or all three, parameters get new names."""
    count = len(older.parameters)
    if count not in (2, 3) or older.code.count("def ") != 1 or older.name in older.parameters:
        return None
    pair = rng.choice(_PAIRS)
    chosen: tuple[str, ...] = pair
    if count == 3:
        chosen = (*pair, names.pick_other({*pair}, rng))
    if rng.random() < 0.2:
        stem = rng.choice("abcdklmnprstvwxyz")
        chosen = tuple(f"{stem}{i + 1}" for i in range(count))
    if set(chosen) & set(re.findall(r"\w+", older.code)):
        return None
    table = dict(zip(older.parameters, chosen, strict=True))
    code = older.code
    for old, new in table.items():
        code = replace_name(code, old, new)
    listed = _list(chosen, language)
    values = {"z": listed, "y": _list(older.parameters, language)}
    return change(older, code, parameters=chosen), values


def _list(given: tuple[str, ...], language: str) -> str:
    joint = {"en": " and ", "zh": "和", "ja": "と"}[language]
    comma = {"en": ", ", "zh": "、", "ja": "、"}[language]
    return comma.join(given[:-1]) + joint + given[-1]


def rename_parameter(older: Function, language: str, rng: Random) -> Altered | None:
    """The only parameter gets a usual name."""
    if len(older.parameters) != 1 or older.code.count("def ") != 1:
        return None
    pool = {
        "l": ("values", "data", "scores", "prices", "lst", "arr", "nums", "xs", "entries"),
        "s": ("text", "word", "name", "sentence", "line", "string", "txt", "title", "st"),
    }.get(older.signature[0], ("value", "num", "amount", "price", "age", "km", "n", "v", "number"))
    old, new = older.parameters[0], rng.choice(pool)
    if re.search(rf"\b{new}\b", older.code) or older.name == old:
        return None
    code = replace_name(older.code, old, new)
    return change(older, code, parameters=(new,)), {"a": old, "z": new}


def fix_parameter(older: Function, language: str, rng: Random) -> Altered | None:
    """The last parameter is gone: a number stands in its place."""
    if (
        len(older.parameters) != 2
        or not is_plain(older)
        or older.signature[:4] != "n,n>"
        or " = " in older.code
    ):
        return None
    first, last = older.parameters
    number = str(rng.choice((rng.randrange(2, 13), 10 * rng.randrange(1, 21))))
    head, body = split(older.code)
    head = head.replace(f"({first}, {last})", f"({first})")
    code = head + re.sub(rf"\b{last}\b", number, body)
    signature = "n" + older.signature[3:]
    values = {"k": number, "z": last, "n": ordinal(change(older, ""), language)}
    return change(older, code, parameters=(first,), signature=signature), values


def set_default(older: Function, language: str, rng: Random) -> Altered | None:
    """The only default is another number."""
    found = re.findall(r"(\w+)=(\d+(?:\.\d+)?)\b", split(older.code)[0])
    if len(found) != 1:
        return None
    name, old = found[0]
    new = str(rng.choice((rng.randrange(0, 20), 10 * rng.randrange(1, 40))))
    if new == old:
        return None
    code = HEAD.sub(lambda m: m[0].replace(f"{name}={old}", f"{name}={new}"), older.code, count=1)
    return change(older, code), {"z": name, "j": old, "k": new}
