"""What a change makes of a function of an earlier turn: its code, and the words for the request."""

import ast
import re
from collections.abc import Callable
from random import Random

from tools.demo import names
from tools.demo.prompts import Function

HINTS = {"n": "float", "s": "str", "l": "list", "b": "bool"}
RETURN = re.compile(r"^    return (.+)$", re.M)
NUMBER = re.compile(r"(?<![\w.\"])\d+(?:\.\d+)?(?![\w.\"])")
DIVISION = re.compile(r" / ([a-z_]\w*)\b(?!\()")
BORDER = re.compile(r" (>=?|<=?) (\d+(?:\.\d+)?)\b")
ORDERED = re.compile(r"^    return (\w+) (-|/|//|%|\*\*) (\w+)$", re.M)
_TEXT = re.compile(r"(f?\"[^\"\n]*\"|f?'[^'\n]*')")
_HOLE = re.compile(r"\{[^{}]*\}")
_ATOMS = (ast.Call, ast.Name, ast.Attribute, ast.Subscript, ast.ListComp, ast.List, ast.Constant)
_QUOTED = re.compile(r"\"(\w+)\"")
_ENDINGS = ("!", "=", "?", ".", " yen", "%", " ok", "-", " kg", "元", "円", "。", "!!", ")")
_ADDED = ("k", "n", "limit", "factor", "rate", "value", "m", "threshold", "x", "price", "step")
_COMMON = tuple(
    name
    for line in (
        "calculate compute helper convert process check transform solve get_value get_result greet",
        "run calc fee total price cost score rate amount share result main do_it f2 my_func test1",
        "get_total get_price calc_fee calc_price compute_total find_it is_ok check_it count_all",
        "getTotal calcPrice findMax isValid toText makeList handle update apply answer grade bonus",
        "jisuan chuli panduan jiage zongjia fenshu zhuanhuan shuchu jieguo chengji pingjun dazhe",
        "keisan hantei ryokin goukei henkan nedan tensuu kekka heikin waribiki kakunin okuriryo",
    )
    for name in line.split()
)
Edited = tuple[Function, dict[str, str]]
Maker = Callable[[Function, Random], Edited]


def _change(older: Function, code: str, **changes: object) -> Function:
    fields = {**vars(older), "code": code, "topics": ("edited",), **changes}
    return Function(**fields)


def replace_name(code: str, old: str, new: str) -> str:
    """`new` for the name `old`, but not for the same word in a text between quotes."""
    pieces = _TEXT.split(code)
    pieces[::2] = [re.sub(rf"\b{re.escape(old)}\b", lambda _: new, one) for one in pieces[::2]]
    for at in range(1, len(pieces), 2):
        if pieces[at][0] == "f":
            pieces[at] = _HOLE.sub(lambda hole: replace_name(hole[0], old, new), pieces[at])
    return "".join(pieces)


def rename(older: Function, rng: Random) -> Edited:
    name = names.pick_function(_COMMON, older.code, rng)
    code = replace_name(older.code, older.name, name)
    return _change(older, code, name=name), {"h": name}


def rename_parameter(older: Function, rng: Random) -> Edited:
    old = rng.choice(older.parameters)
    new = names.pick_other(set(re.findall(r"\w+", older.code)), rng)
    parameters = tuple(new if name == old else name for name in older.parameters)
    function = _change(older, replace_name(older.code, old, new), parameters=parameters)
    return function, {"a": old, "z": new}


def add_hints(older: Function, rng: Random) -> Edited:
    kinds, _, result = older.signature.partition(">")
    pairs = zip(older.parameters, kinds.split(","), strict=True)
    listed = ", ".join(f"{name}: {HINTS[kind]}" for name, kind in pairs)
    head = f"def {older.name}({listed}) -> {HINTS[result]}:"
    return _change(older, re.sub(r"def .+:", head, older.code, count=1)), {}


def wrapped(template: str, gives: str = "") -> Maker:
    """The result goes through `template`; `gives` is the kind it then has, if another."""

    def edit(older: Function, rng: Random) -> Edited:
        small = "round" in template
        constant = str(rng.randrange(1, 5) if small else rng.randrange(2, 100))
        inner = RETURN.findall(older.code)[0]
        inner = open_list(inner, template)
        inner = inner if _stands_alone(inner, template) else f"({inner})"
        word = rng.choice(_ENDINGS)
        result = (template % inner).replace("$k", constant).replace("$w", word)
        code = RETURN.sub(lambda _: f"    return {result}", older.code)
        signature = older.signature[:-1] + (gives or older.signature[-1])
        return _change(older, code, signature=signature), {"k": constant, "w": word}

    return edit


def _stands_alone(inner: str, template: str) -> bool:
    """Whether `inner` needs no parentheses in `template`."""
    return bool(re.search(r"\(%s[),]| if %s", template)) or is_atom(inner)


def is_atom(text: str) -> bool:
    """Whether an expression needs no parentheses before a dot, a bracket or an operator."""
    return isinstance(ast.parse(text, mode="eval").body, _ATOMS)


def open_list(inner: str, template: str) -> str:
    """A list made only to be added up or searched needs no brackets."""
    listed = template in ("sum(%s)", "max(%s)", "min(%s)") and re.match(r"\[[^\[]+ for ", inner)
    single = listed and isinstance(ast.parse(inner, mode="eval").body, ast.ListComp)
    return inner[1:-1] if single else inner


def add_default(older: Function, rng: Random) -> Edited:
    constant, last = str(rng.randrange(0, 20)), older.parameters[-1]
    listed = ", ".join(older.parameters)
    code = older.code.replace(f"({listed}):", f"({listed}={constant}):", 1)
    return _change(older, code), {"k": constant, "z": last}


def guard(condition: str) -> Maker:
    def edit(older: Function, rng: Random) -> Edited:
        constant = rng.choice(("0", "0", "None", "None", "-1", '"$w"'))
        constant = constant.replace("$w", names.pick_word(_guess_language(older), rng))
        first = older.parameters[0]
        lines = f"    if {condition.replace('$a', first)}:\n        return {constant}\n"
        code = re.sub(r"(def .+:\n)", lambda match: match[1] + lines, older.code, count=1)
        return _change(older, code), {"k": constant}

    return edit


def _guess_language(older: Function) -> str:
    """A guess from the words in its code: what a request in any language may quote."""
    return "zh" if re.search(r"[\u4e00-\u9fff]", older.code) else "en"


def _in_body(older: Function, old: str, new: str) -> str:
    head, _, body = older.code.partition(":\n")  # the first line ends so, with type hints or not
    return f"{head}:\n{replace_name(body, old, new)}"


def call_on(method: str) -> Maker:
    """The first parameter is prepared before it is used."""

    def edit(older: Function, rng: Random) -> Edited:
        first = older.parameters[0]
        ready = method.replace("$a", first)
        return _change(older, _in_body(older, first, ready)), {}

    return edit


def move_border(older: Function, rng: Random) -> Edited:
    """A limit starts or ceases to count itself."""
    found = BORDER.findall(older.code)[0]
    other = {">": ">=", ">=": ">", "<": "<=", "<=": "<"}[found[0]]
    code = BORDER.sub(f" {other} {found[1]}", older.code, count=1)
    return _change(older, code), {"k": found[1]}


def change_word(older: Function, rng: Random) -> Edited:
    old = rng.choice(_QUOTED.findall(older.code))
    new = names.pick_word("zh" if re.search(r"[\u4e00-\u9fff]", old) else "en", rng)
    if f'"{new}"' in older.code:
        return change_word(older, rng)
    return _change(older, older.code.replace(f'"{old}"', f'"{new}"')), {"v": old, "w": new}


def add_branch(older: Function, rng: Random) -> Edited:
    """One more case before all others, for values below a number."""
    least = min((float(each) for each in NUMBER.findall(older.code)), default=40)
    number, word = (
        str(rng.randrange(1, max(2, int(least)))),
        names.pick_word(_guess_language(older), rng),
    )
    lines = f'    if {older.parameters[0]} < {number}:\n        return "{word}"\n'
    code = re.sub(r"(def .+:\n)", lambda match: match[1] + lines, older.code, count=1)
    return _change(older, code), {"k": number, "w": word}


def add_flag(older: Function, rng: Random) -> Edited:
    """A last parameter says whether anything happens to the value at all."""
    name = rng.choice(("is_vip", "member", "is_member", "flag", "active", "discount", "special"))
    default = rng.choice(("True", "True", "False"))
    lines = f"    if not {name}:\n        return {older.parameters[0]}\n"
    listed = ", ".join(older.parameters)
    code = older.code.replace(f"({listed}):\n", f"({listed}, {name}={default}):\n{lines}", 1)
    return _change(older, code, parameters=(*older.parameters, name), signature="?>?"), {
        "k": default, "z": name,
    }  # fmt: skip


def to_yes_no(older: Function, rng: Random) -> Edited:
    """The words yes and no in place of True and False."""
    lines = '    if {}:\n        return "yes"\n    return "no"'
    code = RETURN.sub(lambda match: lines.format(match[1]), older.code)
    return _change(older, code, signature=older.signature[:-1] + "s"), {}


def add_parameter(sign: str) -> Maker:
    """A new last parameter that is added to the result, taken from it or multiplied with it."""

    def edit(older: Function, rng: Random) -> Edited:
        used = set(re.findall(r"\w+", older.code))
        name = rng.choice([word for word in _ADDED if word not in used])
        inner = RETURN.findall(older.code)[0]
        inner = (
            inner if re.fullmatch(r"[\w.]+(\([^()]*\))?", inner) or sign != "*" else f"({inner})"
        )
        code = RETURN.sub(lambda _: f"    return {inner} {sign} {name}", older.code)
        listed = ", ".join(older.parameters)
        code = code.replace(f"({listed}):", f"({listed}, {name}):", 1)
        signature = older.signature.replace(">", ",n>")
        parameters = (*older.parameters, name)
        return _change(older, code, parameters=parameters, signature=signature), {"z": name}

    return edit


def swap_order(older: Function, rng: Random) -> Edited:
    a, sign, b = ORDERED.findall(older.code)[0]
    code = ORDERED.sub(f"    return {b} {sign} {a}", older.code)
    return _change(older, code), {"a": a, "b": b, "k": sign}


def guard_zero(older: Function, rng: Random) -> Edited:
    """The divisor is tested before it is used."""
    divisor = DIVISION.findall(older.code)[0]
    constant = rng.choice(("0", "0", "None"))
    lines = f"    if {divisor} == 0:\n        return {constant}\n"
    code = re.sub(r"(def .+:\n)", lambda match: match[1] + lines, older.code, count=1)
    return _change(older, code), {"k": constant, "z": divisor}


def change_constant(older: Function, rng: Random) -> Edited:
    old, new = NUMBER.findall(older.code)[0], str(rng.randrange(2, rng.choice((20, 100, 1000))))
    if new == old:
        return change_constant(older, rng)
    return _change(older, NUMBER.sub(new, older.code)), {"j": old, "k": new}


def take_constant(older: Function, rng: Random) -> Edited:
    """The only number becomes a last parameter, with itself as default or without."""
    old = NUMBER.findall(older.code)[0]
    name = rng.choice(tuple(n for n in _ADDED if not re.search(rf"\b{n}\b", older.code)))
    code = NUMBER.sub(name, older.code)
    listed = ", ".join(older.parameters)
    code = code.replace(f"({listed}):", f"({listed}, {name}={old}):", 1)
    signature = older.signature.replace(">", ",n>", 1)
    parameters = (*older.parameters, name)
    return _change(older, code, parameters=parameters, signature=signature), {"j": old, "z": name}
