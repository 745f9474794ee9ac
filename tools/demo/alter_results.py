"""Changes of what an earlier function takes and gives: results, lists, conditions, names."""

import re
from random import Random

from tools.demo import changes
from tools.demo.alter_numbers import (
    Altered,
    Maker,
    change,
    is_plain,
    split,
)
from tools.demo.changes import replace_name
from tools.demo.prompts import Function

_RETURN = re.compile(r"^    return (.+)$", re.M)
_CLAUSE = re.compile(r" for (\w+) in (\w+) if ([^\[\]()]+?)(?=[\])]+$)")
_STARTS = {
    "en": ("Hi ", "No. ", "#", ">> ", "Dear ", "Mr. ", "re: ", "- ", "* ", "@", "Total: ", "id_"),
    "zh": (
        "你好，",
        "第",
        "小",
        "老",
        "共",
        "约",
        "￥",
        "#",
        "姓名：",
        "结果：",
        "答案：",
        "【公告】",
    ),
    "ja": ("こんにちは、", "お", "第", "約", "合計", "#", "答え：", "名前：", "★", "※", "¥", "新"),
}
_UNITS = {
    "en": ("km", "kg", "cm", "m", "g", "euros", "dollars", "minutes", "points", "%", "miles", "l"),
    "zh": ("元", "公里", "米", "公斤", "分", "岁", "个", "度", "天", "小时", "%", "kg"),
    "ja": ("円", "km", "人", "点", "分", "個", "度", "歳", "kg", "cm", "%", "日"),
}
_WORDS = {
    "en": ("!", "?", ".", "...", " :)", " - done", " (draft)", " etc.", ">>", "#1", "-san"),
    "zh": ("！", "。", "先生", "同学", "号", "～", "（完）", "收", "老师", "收", "元", "的"),
    "ja": ("!", "。", "さん", "様", "くん", "ちゃん", "です", "号", "先生", "〜", "より", "円"),
}


def _single(older: Function) -> str | None:
    """What the only return of a function gives."""
    found = _RETURN.findall(older.code)
    return found[0] if len(found) == 1 and older.code.count("return") == 1 else None


def wrap(template: str, kinds: str, gives: str = "") -> Maker:
    """The result goes through `template`; `kinds` are the results it suits, `gives` the new one.

    `%s` is the old result, `$k` a small number, `$p` a percentage, `$u` a unit and `$w` an ending.
    """

    def alter(older: Function, language: str, rng: Random) -> Altered | None:
        inner = _single(older)
        if inner is None or not _gives(older, kinds):
            return None
        before, after = template.split("%s")
        if inner.startswith(before or "\0") or inner.endswith(after if len(after) > 2 else "\0"):
            return None
        if not re.search(r"\(%s[),]|\[%s\]", template) and not changes.is_atom(inner):
            inner = f"({inner})"
        inner = changes.open_list(inner, template)
        values = _draw(language, rng)
        result = template.replace("%s", "\0")
        for key, value in values.items():
            result = result.replace(f"${key}", value)
        code = _RETURN.sub(lambda _: f"    return {result}".replace("\0", inner), older.code)
        if "math." in template and "import math" not in code:
            code = f"import math\n\n\n{code}"
        signature = older.signature[:-1] + (gives or older.signature[-1])
        return change(older, code, signature=signature), values

    return alter


def _gives(older: Function, kinds: str) -> bool:
    """Whether the result is one of `kinds`; w is a list of words, m one of numbers."""
    result = older.signature[-1]
    if result == "l" and kinds in "wm":
        words = re.search(r"words|texts|strings|\.(upper|lower|strip|title|split)\(", older.code)
        is_words = (older.signature == "s>l" or bool(words)) and "len(" not in older.code
        return is_words == (kinds == "w")
    return result in kinds


def _draw(language: str, rng: Random) -> dict[str, str]:
    percent = rng.choice((5, 7, 8, 10, 10, 12, 15, 19, 20, 20, 25, 30, 40, 50))
    up, down = f"{1 + percent / 100:.2f}", f"{1 - percent / 100:.2f}"
    return {
        "k": str(rng.randrange(2, 8)),
        "q": str(percent),
        "r": up.rstrip("0"),
        "s": down.rstrip("0"),
        "u": rng.choice(_UNITS[language]),
        "w": rng.choice(_WORDS[language if rng.random() < 0.8 else "en"]),
        "x": rng.choice(_STARTS[language if rng.random() < 0.8 else "en"]),
    }


def map_list(older: Function, language: str, rng: Random) -> Altered | None:
    """The function takes a list of what it took, and gives a list."""
    inner = _single(older)
    if inner is None or not re.fullmatch(r"[ns]>[nsb]", older.signature) or not is_plain(older):
        return None
    if " for " in inner or "import" in older.code or len(split(older.code)[1].splitlines()) > 1:
        return None
    name = "numbers" if older.signature[0] == "n" else "words"
    old = older.parameters[0]
    if old in (name, older.name):
        return None
    code = f"def {older.name}({name}):\n    return [{inner} for {old} in {name}]"
    values = {"z": name, "a": old, "!kind": older.signature[0]}
    return change(older, code, parameters=(name,), signature="l>l"), values


def unmap_list(older: Function, language: str, rng: Random) -> Altered | None:
    """The function takes one element and gives what it gave for each."""
    inner = _single(older)
    found = re.fullmatch(r"\[([^\[\]]+) for (\w+) in (\w+)\]", inner or "")
    if not found or not is_plain(older) or found[3] != older.parameters[0]:
        return None
    if len(older.parameters) > 1 or found[1] == found[2]:
        return None
    code = f"def {older.name}({found[2]}):\n    return {found[1]}"
    signature = "s>s" if re.search(r"\.(\w+)\(|len\(|\[", found[1]) else "n>n"
    return change(older, code, parameters=(found[2],), signature=signature), {"a": found[2]}


def sum_list(older: Function, language: str, rng: Random) -> Altered | None:
    """The function takes a list of numbers and gives the sum of its results."""
    mapped = map_list(older, language, rng)
    if mapped is None or older.signature != "n>n":
        return None
    function, values = mapped
    code = re.sub(r"return \[(.+)\]$", r"return sum(\1)", function.code)
    return change(function, code, signature="l>n"), values


def prepare(template: str, kinds: str) -> Maker:
    """The first parameter goes through `template` wherever it is used."""

    def alter(older: Function, language: str, rng: Random) -> Altered | None:
        if older.signature.split(">")[0] not in kinds.split() or not is_plain(older):
            return None
        head, body = split(older.code)
        name = older.parameters[0]
        uses = re.findall(rf"\b{name}\b", re.sub(r"\"[^\"\n]*\"", "", body))
        if len(uses) != 1 or template.replace("$a", name) in body or f'"{name}"' in body:
            return None
        ready = template.replace("$a", name)
        code = head + replace_name(body, name, ready)
        return change(older, code, signature="s" + older.signature[1:]), {"a": name}

    return alter


_MORE = {
    "even": "%s % 2 == 0", "odd": "%s % 2 == 1", "divisible": "%s % $k == 0", "over": "%s > $l",
    "under": "%s < $l", "positive": "%s > 0", "notzero": "%s != 0", "atleast": "%s >= $l",
    "not": "%s != $l", "atmost": "%s <= $l", "notdivisible": "%s % $k != 0",
}  # fmt: skip


def add_condition(older: Function, language: str, rng: Random) -> Altered | None:
    """What is asked of a number, or of the elements of a list, must also meet another condition."""
    key = rng.choice(tuple(_MORE))
    low, high = str(rng.randrange(2, 13)), str(rng.choice((rng.randrange(2, 100), 100, 1000)))
    test = _MORE[key].replace("$k", low).replace("$l", high)
    inner = _single(older)
    if inner is None or re.search(r"\band\b|\bor\b|\bnot\b|\"|len\(|lower|upper", inner):
        return None
    values = {"k": low, "l": high, "!case": key}
    if key == "notzero" and re.search(r"[<>]", inner):
        return None
    if older.signature == "n>b" and re.search(r"[<>=]", inner):
        more = test.replace("%s", older.parameters[0])
        code = older.code.replace(f"return {inner}", f"return {inner} and {more}")
        values["!sort"] = "single"
    else:
        found = _CLAUSE.search(inner)
        if not found or not re.search(r"\d", found[3]) or not older.signature.startswith("l>"):
            return None
        more = test.replace("%s", found[1])
        code = older.code.replace(found[0], f"{found[0]} and {more}")
        values["!sort"] = "each"
    return (change(older, code), values) if more not in inner else None
