"""Other names for the functions and parameters that a conversation says as names."""

import ast
import re
from random import Random

from tools.demo import names

Pair = tuple[str, str]  # a request and its answer

_EACH = 0.6  # of the names that can be replaced
_WORD = re.compile(r"[A-Za-z0-9_]+")
_TEXT = re.compile(r"(\"[^\"\n]*\"|'[^'\n]*')")
_CJK = r"[\u3040-\u30ff\u4e00-\u9fff]"
_UNITS = {
    "km", "kg", "cm", "mm", "m", "g", "lb", "mph", "ml", "l", "bmi", "ok", "id", "pi", "c", "f",
    "h", "kb", "mb", "python", "return", "true", "false", "none",
}  # fmt: skip
_MARK = re.compile(
    r"\b(called|named?|function|call|(call|name|rename) (it|that|this|the function)( to)?|rename(d|) \w+ to)[ :]*[\"'`]?$",
    re.I,
)
_FEWEST = {"en": 12, "zh": 16, "ja": 20}  # words or characters that tell what a function is for
_TRIES = 20


def rename(pairs: list[Pair], language: str, rng: Random) -> list[Pair]:
    """The conversation with other names."""
    table = find(pairs, language, rng)
    return [(replace(request, table), replace_code(code, table)) for request, code in pairs]


def replace(text: str, table: dict[str, str]) -> str:
    """A text with other words in it."""
    return _WORD.sub(lambda match: table.get(match[0], match[0]), text)


def replace_code(code: str, table: dict[str, str]) -> str:
    """Code with other names in it; its texts stay."""
    parts = _TEXT.split(code)
    return "".join(part if part[:1] in ("'", '"') else replace(part, table) for part in parts)


def find(pairs: list[Pair], language: str, rng: Random) -> dict[str, str]:
    """New names for some of those that the requests say as names, in time for the answers.

    A name that means nothing comes only where the request tells enough without it, and at most one
    parameter gets such a name.
    """
    said = "\n".join(request for request, _ in pairs)
    code = "\n".join(code for _, code in pairs)
    functions, parameters = _defined(code)
    texts = _WORD.findall(" ".join(_TEXT.findall(code)))
    taken = set(_WORD.findall(f"{said}\n{code}"))
    table: dict[str, str] = {}
    for name in (*functions, *parameters):
        if f".{name}(" in code or name in texts:
            continue  # a method's, or a word of what is returned
        if rng.random() > _EACH or not is_name(name, said, functions, language):
            continue
        request = _first_request(name, pairs)
        is_free = request is not None and _is_told(request, (*functions, *parameters), language)
        if name in functions and request is not None:
            table[name] = _pick_function(name, is_free, taken, rng)
        elif is_free and not set(table) & set(parameters):
            table[name] = names.pick_other(taken, rng)
        taken.add(table.get(name, name))
    return table


def _pick_function(name: str, is_free: bool, taken: set[str], rng: Random) -> str:
    """One that means nothing, or a longer one made from the old one."""
    for _ in range(_TRIES):
        new = names.invent(rng) if is_free else names.pick_function((name,), "", rng)
        is_kin = is_free or _letters(name) in _letters(new)
        if is_kin and len(new) > 1 and not (new in taken or names.is_reserved(new)):
            return new
    return name


def _letters(name: str) -> str:
    return name.replace("_", "").lower()


def _first_request(name: str, pairs: list[Pair]) -> str | None:
    """The request that says a name first; None where an answer holds it before."""
    for request, code in pairs:
        if name in _WORD.findall(request):
            return request
        if name in _WORD.findall(code):
            return None
    return None


def _defined(code: str) -> tuple[list[str], list[str]]:
    """The functions and parameters of some code, without doubles."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
    functions = dict.fromkeys(node.name for node in nodes)
    parameters = dict.fromkeys(arg.arg for node in nodes for arg in node.args.args)
    return list(functions), [name for name in parameters if name not in functions]


def _is_told(request: str, known: tuple[str, ...], language: str) -> bool:
    """Whether the request says what to do even where its names mean nothing."""
    rest = replace(request, dict.fromkeys(known, ""))
    found = re.findall(r"[A-Za-z']+" if language == "en" else _CJK, rest)
    return len(found) >= _FEWEST[language]


def is_name(name: str, said: str, functions: list[str], language: str) -> bool:
    """Whether the requests say it, and each time as a name, not as a word of the sentence."""
    if name.lower() in _UNITS:
        return False
    found = [match for match in _WORD.finditer(said) if match[0] == name]
    if not found or language != "en" or re.search(r"_|\d|[a-z][A-Z]", name):
        return bool(found)
    heads = [m.span() for m in re.finditer(rf"({'|'.join(functions)})\([^()]*\)", said)]
    return all(
        said[m.end() : m.end() + 1] == "("
        or any(start <= m.start() < end for start, end in heads)
        or (len(name) > 1 and _MARK.search(said[: m.start()]) is not None and name in functions)
        or (len(name) == 1 and name not in "aI")
        for m in found
    )
