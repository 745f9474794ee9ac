"""The same conversation with other names, numbers and returned words, as far as its sense allows."""

import ast
import re
from random import Random

from tools.demo import alters, names, noise

Pair = tuple[str, str]  # a request and its answer

_NAMED, _NUMBERED, _WORDED, _DISTURBED = 0.5, 0.5, 0.5, 0.5
_WORD = re.compile(r"[A-Za-z0-9_]+")
_CJK = r"\u3040-\u30ff\u4e00-\u9fff"
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d|[A-Za-z_])")
_QUOTED = re.compile(
    r"\"([^\"\n]*)\"|'([^'\n]*)'|\u201c([^\u201d]*)\u201d|\u300c([^\u300d]*)\u300d|`([^`]*)`"
)
_KNOWN = {  # numbers of the world, which do not vary
    "7", "12", "24", "30", "32", "52", "60", "180", "273", "273.15", "360", "365", "366", "400",
    "1000", "3600", "1440", "9", "5", "3.14", "3.1416", "3.14159", "1.8",
}  # fmt: skip
_IDIOMS = {"0", "1", "2", "10", "100"}  # digits, halves, percent: need not be said
_UNITS = {
    "km", "kg", "cm", "mm", "m", "g", "lb", "mph", "ml", "l", "bmi", "ok", "id", "pi", "c", "f",
    "h", "kb", "mb", "python", "return", "true", "false", "none",
}  # fmt: skip
_AROUND = ('"{}"', "'{}'", "\u201c{}\u201d", "\u300c{}\u300d", "`{}`")
_MARK = re.compile(
    r"\b(called|named?|function|call|(call|name|rename) (it|that|this|the function)( to)?|rename(d|) \w+ to)[ :]*[\"'`]?$",
    re.I,
)
_FEWEST = {"en": 12, "zh": 16, "ja": 20}  # words or characters that tell what a function is for


def vary(pairs: list[Pair], language: str, rng: Random) -> list[Pair]:
    """The conversation with some of its names, numbers and words replaced everywhere."""
    table: dict[str, str] = {}
    if rng.random() < _NAMED:
        table |= _other_names(pairs, language, rng)
    if table:
        pairs = [(_replace(request, table), replace_code(code, table)) for request, code in pairs]
    if rng.random() < _NUMBERED:
        pairs = _renumber(pairs, rng)
    if rng.random() < _WORDED:
        pairs = _reword(pairs, language, rng)
    return [(_disturb(request, code, language, rng), code) for request, code in pairs]


def _replace(text: str, table: dict[str, str]) -> str:
    return _WORD.sub(lambda match: table.get(match[0], match[0]), text)


def replace_code(code: str, table: dict[str, str]) -> str:
    """Code with other names in it; its texts stay."""
    parts = re.split(r"(\"[^\"\n]*\"|'[^'\n]*')", code)
    return "".join(part if part[:1] in ("'", '"') else _replace(part, table) for part in parts)


def _other_names(pairs: list[Pair], language: str, rng: Random) -> dict[str, str]:
    """New names for those that the requests say as names."""
    said = "\n".join(request for request, _ in pairs)
    code = "\n".join(code for _, code in pairs)
    functions, parameters = _defined(code)
    texts = _WORD.findall(" ".join(re.findall(r"\"[^\"\n]*\"|'[^'\n]*'", code)))
    taken = set(_WORD.findall(f"{said}\n{code}"))
    table: dict[str, str] = {}
    for name in (*functions, *parameters):
        if f".{name}(" in code or name in texts:
            continue  # a method's, or a word of what is returned
        if rng.random() < 0.6 and _is_name(name, said, functions, language):
            request = next(one for one, _ in pairs if _says(one, name))
            free = _is_told(request, (*functions, *parameters), language)
            new = _rename(name, name in functions, free, taken, rng)
            if new is not None:
                table[name] = new
                taken.add(new)
    return table


def _rename(name: str, is_function: bool, free: bool, taken: set[str], rng: Random) -> str | None:
    for _ in range(20):
        if free:
            new = names.invent(rng) if is_function else names.pick_other(taken, rng)
        elif is_function:
            new = names.pick_function((name,), "", rng)
            new = name if name not in new.lower() else new
        else:
            return None
        if new not in taken and not (is_function and len(new) == 1):
            return new
    return None


def _says(request: str, name: str) -> bool:
    return name in _WORD.findall(request)


def _defined(code: str) -> tuple[list[str], list[str]]:
    """The functions and parameters of some code, without doubles."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
    functions = dict.fromkeys(node.name for node in nodes)
    parameters = dict.fromkeys(arg.arg for node in nodes for arg in node.args.args)
    return list(functions), [name for name in parameters if name not in functions]


def _is_told(request: str, known: tuple[str, ...], language: str) -> bool:
    """Whether the request says what to do even where its names mean nothing."""
    rest = _replace(request, dict.fromkeys(known, ""))
    found = re.findall(r"[A-Za-z']+" if language == "en" else f"[{_CJK}]", rest)
    return len(found) >= _FEWEST[language]


def _is_name(name: str, said: str, functions: list[str], language: str) -> bool:
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


def _numbers(code: str) -> set[str]:
    return set(_NUMBER.findall(re.sub(r"\"[^\"\n]*\"", '""', code)))


def _renumber(pairs: list[Pair], rng: Random) -> list[Pair]:
    """Other numbers in the same order, where the requests say exactly those that the code holds."""
    said = set(_NUMBER.findall("\n".join(request for request, _ in pairs)))
    held = set().union(*(_numbers(code) for _, code in pairs))
    if not said or said - held or held - said - _IDIOMS or said & _KNOWN:
        return pairs
    if re.search(r"\d[A-Za-z_]|[A-Za-z_]\d|\d[.:/-]\d", "".join(request for request, _ in pairs)):
        return pairs
    table = _scale(sorted(said - {"0", "1", "2", "100"}, key=float), rng)
    return [(_swap_numbers(request, table), _swap_numbers(code, table)) for request, code in pairs]


def _swap_numbers(text: str, table: dict[str, str]) -> str:
    return _NUMBER.sub(lambda match: table.get(match[0], match[0]), text)


def _scale(rising: list[str], rng: Random) -> dict[str, str]:
    table, last, factor = {}, 2.0, rng.choice((0.5, 0.7, 0.8, 1.2, 1.4, 1.7, 2))
    for old in rising:
        places = len(old.partition(".")[2])
        step = 10.0**-places
        if not places and float(old) >= 20:
            step = 10 if old.endswith("0") else 5 if old.endswith("5") else 1
        new = step * max(1, round(float(old) * factor * rng.uniform(0.9, 1.1) / step))
        while new <= last or (places and round(new / step) % 10 == 0):
            new += step
        if float(old) < 100 <= new:
            return {}
        table[old], last = f"{new:.{places}f}", new
    return table


def _reword(pairs: list[Pair], language: str, rng: Random) -> list[Pair]:
    """Other words between the quotes, where requests and code have the same ones between theirs."""
    said = "\n".join(request for request, _ in pairs)
    held = set(re.findall(r"\"([^\"\n]{3,})\"", "\n".join(code for _, code in pairs)))
    quoted = {next(filter(None, m.groups()), "") for m in _QUOTED.finditer(said)}
    table: dict[str, str] = {}
    for word in filter(str.isalpha, sorted(held & quoted)):
        new = names.pick_word(language, rng)
        alone = said.count(word) == sum(said.count(around.format(word)) for around in _AROUND)
        if alone and new not in said and new not in table.values():
            table[word] = new
    return [(_swap_quoted(request, table), _swap_quoted(code, table)) for request, code in pairs]


def _swap_quoted(text: str, table: dict[str, str]) -> str:
    for old, new in table.items():
        for around in _AROUND:
            text = text.replace(around.format(old), around.format("\0".join(new)))
    return text.replace("\0", "")


def _disturb(request: str, code: str, language: str, rng: Random) -> str:
    """Typing habits; names, numbers and quoted texts stay as they are."""
    if rng.random() > _DISTURBED:
        return request
    hidden = re.sub(
        r"\"[^\"]*\"|'[^' ]*'|`[^`]*`|[\"'`]|\w+\([^()]*\)|[A-Za-z]*[_\d]\w*|\d[\d.]*|\$",
        lambda m: alters.hide(m[0]),
        request,
    )
    known = set(re.findall(r"[A-Za-z_]\w*", code))
    hidden = re.sub(r"[A-Za-z]+", lambda m: alters.hide(m[0]) if m[0] in known else m[0], hidden)
    return noise.space(alters.reveal(noise.disturb(hidden, language, rng)), language, rng)
