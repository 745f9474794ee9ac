"""Changes to a function of an earlier turn: new names, new results, new cases."""

import re
from collections.abc import Callable
from random import Random

from tools.demo import grammar, names, noise
from tools.demo.prompts import Function, Turn, wording

_HINTS = {"n": "float", "s": "str", "l": "list", "b": "bool"}
_RETURN = re.compile(r"^    return (.+)$", re.M)
_NUMBER = re.compile(r"(?<![\w.\"])\d+(?:\.\d+)?(?![\w.\"])")
_DIVISION = re.compile(r" / ([a-z_]\w*)\b(?!\()")
_ENDINGS = ("!", "=", "?", ".", " yen", "%", " ok", "-", " kg", "元", "円", "。", "!!", ")")
_ADDED = ("k", "n", "limit", "factor", "rate", "value", "m", "threshold", "x", "price", "step")
Edited = tuple[Function, dict[str, str]]


def compose(older: Function, language: str, rng: Random) -> Turn:
    """A request to change `older`, and the whole changed function."""
    kinds = [kind for kind, (suits, _) in EDITS.items() if suits(older)]
    kind = rng.choice(kinds)
    function, values = EDITS[kind][1](older, rng)
    lines = wording(language)
    text = grammar.expand(rng.choice(lines.sections[kind]), lines.macros, rng)
    text = noise.disturb(text, language, rng)
    slots = dict(zip("abcd", older.parameters, strict=False)) | {"g": older.name} | values
    request = noise.space(grammar.fill(text, slots), language, rng)
    return Turn(request, function.code, function)


def _change(older: Function, code: str, **changes: object) -> Function:
    fields = {**vars(older), "code": code, "topics": ("edited",), **changes}
    return Function(**fields)


def _replace_word(code: str, old: str, new: str) -> str:
    return re.sub(rf"\b{re.escape(old)}\b", new, code)


def _rename(older: Function, rng: Random) -> Edited:
    name = names.pick_function(("calculate", "compute", "helper"), older.code, rng)
    code = _replace_word(older.code, older.name, name)
    return _change(older, code, name=name), {"h": name}


def _rename_parameter(older: Function, rng: Random) -> Edited:
    old = rng.choice(older.parameters)
    new = names.pick_other(set(re.findall(r"\w+", older.code)), rng)
    parameters = tuple(new if name == old else name for name in older.parameters)
    function = _change(older, _replace_word(older.code, old, new), parameters=parameters)
    return function, {"a": old, "z": new}


def _add_hints(older: Function, rng: Random) -> Edited:
    kinds, _, result = older.signature.partition(">")
    pairs = zip(older.parameters, kinds.split(","), strict=True)
    listed = ", ".join(f"{name}: {_HINTS[kind]}" for name, kind in pairs)
    head = f"def {older.name}({listed}) -> {_HINTS[result]}:"
    return _change(older, re.sub(r"def .+:", head, older.code, count=1)), {}


def _wrapped(template: str) -> Callable[[Function, Random], Edited]:
    def edit(older: Function, rng: Random) -> Edited:
        small = "round" in template
        constant = str(rng.randrange(1, 5) if small else rng.randrange(2, 100))
        inner = _RETURN.findall(older.code)[0]
        simple = re.fullmatch(r"[\w.]+(\([^()]*\))?", inner) or "(%s)" in template
        inner = inner if simple else f"({inner})"
        word = rng.choice(_ENDINGS)
        result = (template % inner).replace("$k", constant).replace("$w", word)
        code = _RETURN.sub(lambda _: f"    return {result}", older.code)
        return _change(older, code), {"k": constant, "w": word}

    return edit


def _add_default(older: Function, rng: Random) -> Edited:
    constant, last = str(rng.randrange(0, 20)), older.parameters[-1]
    listed = ", ".join(older.parameters)
    code = older.code.replace(f"({listed}):", f"({listed}={constant}):", 1)
    return _change(older, code), {"k": constant, "z": last}


def _guard(condition: str) -> Callable[[Function, Random], Edited]:
    def edit(older: Function, rng: Random) -> Edited:
        constant = rng.choice(("0", "0", "None", "None", "-1"))
        first = older.parameters[0]
        lines = f"    if {condition.replace('$a', first)}:\n        return {constant}\n"
        code = re.sub(r"(def .+:\n)", lambda match: match[1] + lines, older.code, count=1)
        return _change(older, code), {"k": constant}

    return edit


def _guard_zero(older: Function, rng: Random) -> Edited:
    """The divisor is tested before it is used."""
    divisor = _DIVISION.findall(older.code)[0]
    constant = rng.choice(("0", "0", "None"))
    lines = f"    if {divisor} == 0:\n        return {constant}\n"
    code = re.sub(r"(def .+:\n)", lambda match: match[1] + lines, older.code, count=1)
    return _change(older, code), {"k": constant, "z": divisor}


def _change_constant(older: Function, rng: Random) -> Edited:
    old, new = _NUMBER.findall(older.code)[0], str(rng.randrange(2, rng.choice((20, 100, 1000))))
    return _change(older, _NUMBER.sub(new, older.code)), {"j": old, "k": new}


def _take_constant(older: Function, rng: Random) -> Edited:
    """The only number becomes a last parameter, with itself as default or without."""
    old = _NUMBER.findall(older.code)[0]
    name = rng.choice(tuple(n for n in _ADDED if not re.search(rf"\b{n}\b", older.code)))
    code = _NUMBER.sub(name, older.code)
    listed = ", ".join(older.parameters)
    code = code.replace(f"({listed}):", f"({listed}, {name}={old}):", 1)
    return _change(older, code, parameters=(*older.parameters, name)), {"j": old, "z": name}


def _always(older: Function) -> bool:
    return True


def _is_single(older: Function) -> bool:
    return len(_RETURN.findall(older.code)) == 1 and "        return" not in older.code


def _gives_number(older: Function) -> bool:
    return _is_single(older) and older.signature.endswith(">n") and "round(" not in older.code


def _has_number(older: Function) -> bool:
    return len(_NUMBER.findall(older.code)) == 1 and "import" not in older.code


def _takes_number(older: Function) -> bool:
    single = older.signature.split(">")[0] in ("n", "l", "s")
    return single and _has_number(older) and _is_plain(older) and '"' not in older.code


def _divides(older: Function) -> bool:
    found = _DIVISION.findall(older.code)
    return len(found) == 1 and found[0] in older.parameters and _is_single(older)


def _gives(kind: str) -> Callable[[Function], bool]:
    return lambda older: _is_single(older) and older.signature.endswith(f">{kind}")


def _is_plain(older: Function) -> bool:
    known = set(older.signature.replace(">", ",").split(",")) <= set(_HINTS)
    return known and f"({', '.join(older.parameters)}):" in older.code


def _has_default(older: Function) -> bool:
    return (
        _is_plain(older) and older.signature.split(">")[0].endswith("n") and "," in older.signature
    )


def _takes_one(kinds: str) -> Callable[[Function], bool]:
    def suits(older: Function) -> bool:
        return older.signature.split(">")[0] in kinds.split() and "    if " not in older.code

    return suits


EDITS: dict[str, tuple[Callable[[Function], bool], Callable[[Function, Random], Edited]]] = {
    "rename": (_always, _rename),
    "param": (_always, _rename_parameter),
    "hints": (_is_plain, _add_hints),
    "round": (_gives_number, _wrapped("round(%s, $k)")),
    "plus": (_gives_number, _wrapped("%s + $k")),
    "mult": (_gives_number, _wrapped("%s * $k")),
    "absr": (_gives_number, _wrapped("abs(%s)")),
    "intr": (_gives_number, _wrapped("int(%s)")),
    "roundint": (_gives_number, _wrapped("round(%s)")),
    "cap": (_gives_number, _wrapped("min(%s, $k)")),
    "floor": (_gives_number, _wrapped("max(%s, $k)")),
    "minus": (_gives_number, _wrapped("%s - $k")),
    "invert": (_gives("b"), _wrapped("not (%s)")),
    "lowr": (_gives("s"), _wrapped("%s.lower()")),
    "uppr": (_gives("s"), _wrapped("%s.upper()")),
    "suffix": (_gives("s"), _wrapped('%s + "$w"')),
    "sorted": (_gives("l"), _wrapped("sorted(%s)")),
    "strr": (_gives_number, _wrapped("str(%s)")),
    "zero": (_divides, _guard_zero),
    "const": (_has_number, _change_constant),
    "takek": (_takes_number, _take_constant),
    "default": (_has_default, _add_default),
    "empty": (_takes_one("l"), _guard("not $a")),
    "neg": (_takes_one("n"), _guard("$a < 0")),
}
