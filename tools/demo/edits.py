"""Changes to a function of an earlier turn: new names, new results, new cases."""

import re
from collections.abc import Callable
from random import Random

from tools.demo import changes, defining, determined, grammar, noise
from tools.demo.prompts import Function, Turn, wording

_TRIES = 12  # to put a request that says all that the change needs
_IDIOM = re.compile(
    r"::|\*\* 0\.5|% 2\b|\[-?[012]:?\]|sum\(1 for|range\(|:-1\]|len\(set"
)  # numbers nobody changes
_GROWING = ("addsum", "addminus", "addtimes", "takek", "flag")
_SECOND = re.compile(r"\bsecond\b|第二|第2|二つ目|2つ目|2番目|二番目")
Suits = Callable[[Function], bool]


def compose(older: Function, language: str, rng: Random) -> Turn:
    """A request to change `older`, and the whole changed function."""
    for _ in range(_TRIES):
        turn = _compose(older, language, rng)
        made = turn.function
        assert made is not None
        new = {made.name, *made.parameters} - {older.name, *older.parameters}
        said = f"{older.code}\n{turn.request}"
        is_said = determined.holds(said, made.code, '"yes" "no"', names=tuple(new))
        if is_said and defining.is_code(made.code):
            break
    return turn


def _compose(older: Function, language: str, rng: Random) -> Turn:
    lines = wording(language)
    kinds = [kind for kind, (suits, _) in EDITS.items() if suits(older)]
    often = [len(lines.sections[kind]) for kind in kinds]  # many ways to say it: asked for often
    kind = rng.choices(kinds, often)[0]
    function, values = EDITS[kind][1](older, rng)
    said = [line for line in lines.sections[kind] if _tells(kind, line, older)]
    text = grammar.expand(rng.choice(said), lines.macros, rng)
    text = noise.disturb(text, language, rng)
    slots = dict(zip("abcd", older.parameters, strict=False)) | {"g": older.name} | values
    request = noise.space(grammar.fill(text, slots), language, rng)
    return Turn(request, function.code, function)


def _tells(kind: str, line: str, older: Function) -> bool:
    """Whether a line says enough, and nothing wrong: of several parameters it must name the one
    to be renamed, and a new one is not the second."""
    if len(older.parameters) > 1 and kind in _GROWING and _SECOND.search(line):
        return False
    return kind != "param" or len(older.parameters) == 1 or "$a" in line


def _always(older: Function) -> bool:
    return True


def _is_single(older: Function) -> bool:
    return len(changes.RETURN.findall(older.code)) == 1 and "        return" not in older.code


def _is_plain_single(older: Function) -> bool:
    return _gives_number(older) and _is_plain(older) and len(older.parameters) < 4


def _has_border(older: Function) -> bool:
    found = changes.BORDER.findall(older.code)
    return len(found) == 1 and "=" not in found[0][0] and older.code.count(" and ") == 0


def _has_words(older: Function) -> bool:
    return bool(re.findall(r"return \"\w+\"", older.code))


def _has_branches(older: Function) -> bool:
    least = min((float(each) for each in changes.NUMBER.findall(older.code)), default=40)
    return _has_words(older) and older.signature == "n>s" and least > 1


def _has_order(older: Function) -> bool:
    found = changes.ORDERED.findall(older.code)
    return len(found) == 1 and {found[0][0], found[0][2]} == set(older.parameters[:2])


def _changes_number(older: Function) -> bool:
    return _is_plain_single(older) and older.signature == "n>n" and "    if " not in older.code


def _uses_list_once(older: Function) -> bool:
    first = older.parameters[0]
    return (
        older.signature.startswith("l>")
        and older.topics[0] in _WORD_TASKS
        and (len(re.findall(rf"\b{re.escape(first)}\b", older.code)) == 2)
    )


def _reads_text(older: Function) -> bool:
    plain = older.signature in ("s>n", "s>b") and _is_single(older)
    return (
        plain
        and "lower" not in older.code
        and "upper" not in older.code
        and ('"' in older.code or "[" in older.code)
    )


def _gives_number(older: Function) -> bool:
    return _is_single(older) and older.signature.endswith(">n") and "round(" not in older.code


def _has_number(older: Function) -> bool:
    only = len(changes.NUMBER.findall(older.code)) == 1 and "import" not in older.code
    return only and not _IDIOM.search(older.code)


def _takes_number(older: Function) -> bool:
    single = older.signature.split(">")[0] in ("n", "l", "s")
    return single and _has_number(older) and _is_plain(older) and '"' not in older.code


def _divides(older: Function) -> bool:
    found = changes.DIVISION.findall(older.code)
    return len(found) == 1 and found[0] in older.parameters and _is_single(older)


def _gives(kind: str) -> Suits:
    return lambda older: _is_single(older) and older.signature.endswith(f">{kind}")


def _gives_unsorted(older: Function) -> bool:
    return _gives("l")(older) and "sorted(" not in older.code


def _gives_whole_list(older: Function) -> bool:
    return _gives("l")(older) and not re.search(r"return \[(\w+) for \1 in .+ if ", older.code)


def _is_plain(older: Function) -> bool:
    known = set(older.signature.replace(">", ",").split(",")) <= set(changes.HINTS)
    return known and f"({', '.join(older.parameters)}):" in older.code


def _has_default(older: Function) -> bool:
    return (
        _is_plain(older) and older.signature.split(">")[0].endswith("n") and "," in older.signature
    )


def _takes_one(kinds: str) -> Suits:
    def suits(older: Function) -> bool:
        return older.signature.split(">")[0] in kinds.split() and "    if " not in older.code

    return suits


_WORD_TASKS = (
    "longest_word", "shortest_word", "lengths", "sort_len", "initials_list", "upper_all",
    "length_list", "reverse_list", "sort_list", "unique", "has_duplicates", "first_item", "last_item",
)  # fmt: skip


EDITS: dict[str, tuple[Suits, changes.Maker]] = {
    "rename": (_always, changes.rename),
    "param": (_always, changes.rename_parameter),
    "hints": (_is_plain, changes.add_hints),
    "round": (_gives_number, changes.wrapped("round(%s, $k)")),
    "plus": (_gives_number, changes.wrapped("%s + $k")),
    "mult": (_gives_number, changes.wrapped("%s * $k")),
    "absr": (_gives_number, changes.wrapped("abs(%s)")),
    "intr": (_gives_number, changes.wrapped("int(%s)")),
    "roundint": (_gives_number, changes.wrapped("round(%s)")),
    "cap": (_gives_number, changes.wrapped("min(%s, $k)")),
    "floor": (_gives_number, changes.wrapped("max(%s, $k)")),
    "minus": (_gives_number, changes.wrapped("%s - $k")),
    "invert": (_gives("b"), changes.wrapped("not (%s)")),
    "lowr": (_gives("s"), changes.wrapped("%s.lower()")),
    "uppr": (_gives("s"), changes.wrapped("%s.upper()")),
    "suffix": (_gives("s"), changes.wrapped('%s + "$w"')),
    "sorted": (_gives_unsorted, changes.wrapped("sorted(%s)")),
    "strr": (_gives_number, changes.wrapped("str(%s)", "s")),
    "zero": (_divides, changes.guard_zero),
    "const": (_has_number, changes.change_constant),
    "takek": (_takes_number, changes.take_constant),
    "default": (_has_default, changes.add_default),
    "sentence": (_uses_list_once, changes.call_on("$a.split()")),
    "nocase": (_reads_text, changes.call_on("$a.lower()")),
    "border": (_has_border, changes.move_border),
    "word": (_has_words, changes.change_word),
    "branch": (_has_branches, changes.add_branch),
    "flag": (_changes_number, changes.add_flag),
    "addsum": (_is_plain_single, changes.add_parameter("+")),
    "addminus": (_is_plain_single, changes.add_parameter("-")),
    "addtimes": (_is_plain_single, changes.add_parameter("*")),
    "order": (_has_order, changes.swap_order),
    "nodup": (_gives("l"), changes.wrapped("list(dict.fromkeys(%s))")),
    "desc": (_gives_unsorted, changes.wrapped("sorted(%s, reverse=True)")),
    "backr": (_gives("l"), changes.wrapped("%s[::-1]")),
    "unit": (_gives_number, changes.wrapped('str(%s) + "$w"', "s")),
    "hundred": (_gives_number, changes.wrapped("%s * 100")),
    "title": (_gives("s"), changes.wrapped("%s.strip()")),
    "prefix": (_gives("s"), changes.wrapped('"$w" + %s')),
    "lenr": (_gives_whole_list, changes.wrapped("len(%s)", "n")),
    "sumr": (_gives("l"), changes.wrapped("sum(%s)", "n")),
    "yesno": (_gives("b"), changes.to_yes_no),
    "short": (_takes_one("l s"), changes.guard("len($a) < 2")),
    "nothing": (_takes_one("l s n"), changes.guard("$a is None")),
    "absin": (_takes_one("n"), changes.call_on("abs($a)")),
    "empty": (_takes_one("l s"), changes.guard("not $a")),
    "neg": (_takes_one("n"), changes.guard("$a < 0")),
}
