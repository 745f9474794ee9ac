"""Tasks put together from parts: a condition on numbers, words or letters and what is done with
those that meet it, one or two operations on a value or on every element of a list, a choice.

The families made here live for one request: their wording holds one phrase.
"""

import re
from random import Random
from typing import Any

from tools.demo import conditions, operations, parts
from tools.demo.conditions import Condition
from tools.demo.families import Family, Wording
from tools.demo.parts import Part

_TRIES = 60
_CHECK = Part("decide", "n s", {"name": ("check is_ok matches fits test",)})
_CHOICE = Part("decide", "n s", {"name": ("label classify judge describe category",)})


def pick(language: str, rng: Random) -> Family:
    """A random made task."""
    draw = rng.random()
    if draw < 0.4:
        return select(language, rng)
    if draw < 0.52:
        return characters(language, rng)
    if draw < 0.8:
        return operations.operate(language, rng)
    return decide(language, rng)


def pick_pair(language: str, rng: Random) -> tuple[Family, Family]:
    """Two tasks of one kind on the same input."""
    first = pick(language, rng)
    makers = {
        "select": select,
        "characters": characters,
        "operate": operations.operate,
        "decide": decide,
    }
    for _ in range(_TRIES):
        second = makers[first.topic](language, rng)
        if _takes(second) == _takes(first) and second.code != first.code:
            return first, second
    return pick_pair(language, rng)


def _takes(family: Family) -> tuple[str, bool]:
    """What the family works on: one or a list, and whether of texts."""
    texts = family.parameters[0][0] in ("s", "words", "ch", "text", "texts", "sentence")
    return family.signature.split(">")[0], texts


def select(language: str, rng: Random) -> Family:
    """A condition on the elements of a list, and what is done with those that meet it."""
    kind = rng.choice("nns")
    condition = conditions.pick(kind, language, rng)
    options = [part for part in parts.load("aggregates") if kind in part.kinds.split()[1]]
    if re.fullmatch(r"x == \d+", condition.code):  # nothing to compare or add up
        options = [part for part in options if part.id not in ("sum", "mean", "max", "min")]
    chosen = rng.choice(options[:3] * 2 + options)
    code = chosen.code.replace("{C}", condition.code).replace("{D}", condition.opposite)
    wording = _say_selection(chosen, condition, language, rng)
    signature = chosen.kinds.split()[0]
    return parts.make_family(
        "select", chosen, signature, code, kind=kind, wording=(language, wording)
    )


def _say_selection(chosen: Part, condition: Condition, language: str, rng: Random) -> Wording:
    kind, text = chosen.pick_line(language, rng)
    text = text.replace("{L}", parts.say_list(language, condition.noun))
    for key, value in (
        ("NP", condition.nouns),
        ("N", condition.noun),
        ("P", condition.predicate),
        ("PS", condition.singular),
        ("Q", condition.predicate),
    ):
        text = text.replace(f"{{{key}}}", value)
    return Wording(kind, text)


def characters(language: str, rng: Random) -> Family:
    """A condition on the letters of a string, and what is done with those that meet it."""
    values = parts.draw_values(rng)
    condition = rng.choice(parts.load("characters"))
    chosen = rng.choice([part for part in parts.load("aggregates") if part.kinds.startswith("c ")])
    code = _tidy(chosen.code.replace("{C}", parts.put_values(condition.code, values)))
    kind, text = chosen.pick_line(language, rng)
    options = condition.options(language)
    if chosen.id == "cany":  # one of several is enough
        options = tuple(one for one in options if not re.search(r" and |和|[^a-z]と", one))
    text = text.replace("{NP}", parts.put_values(rng.choice(options), values))
    result = {"ccount": "n", "ckeep": "s", "cdrop": "s"}.get(chosen.id, "b")
    wording = (language, Wording(kind, text))
    chosen = _name_by_code(chosen, code)
    return parts.make_family("characters", chosen, f"s>{result}", code, kind="s", wording=wording)


_QUOTED = r"(\"[^\"]*\")"
_SHORTER = (
    (rf"not \((x(?:\.lower\(\))?) in {_QUOTED}\)", r"\1 not in \2"),
    (rf"not \(x == {_QUOTED}\)", r"x != \1"),
    (r"not \((x\.\w+\(\))\)", r"not \1"),
    (rf"sum\(1 for x in \$a if x == {_QUOTED}\)", r"$a.count(\1)"),
    (rf"\"\"\.join\(x for x in \$a if x != {_QUOTED}\)", r'$a.replace(\1, "")'),
    (rf"any\(x == {_QUOTED} for x in \$a\)", r"\1 in $a"),
)


_NAMES = (
    (r"\$a\.startswith\(\"[^\"]*\"\)", "starts_with begins starts"),
    (r"\$a\.endswith\(\"[^\"]*\"\)", "ends_with ends"),
    (rf"(return )?{_QUOTED} in \$a", "has_char has contains"),
    (rf"(return )?\$a\.count\({_QUOTED}\)", "count_char count how_many"),
    (rf"(return )?\$a\.replace\({_QUOTED}, \"\"\)", "remove_char without strip_out"),
)


def _name_by_code(part: Part, code: str) -> Part:
    """`part` with the names of what `code` does, if there are such."""
    for pattern, names in _NAMES:
        if re.fullmatch(pattern, code):
            return Part(part.id, part.kinds, {**part.fields, "name": (names,)})
    return part


def _tidy(code: str) -> str:
    """The shortest form, which is that of the families, too."""
    for long, short in _SHORTER:
        code = re.sub(long, short, code)
    return code


def decide(language: str, rng: Random) -> Family:
    """Whether a value meets a condition or two, or one of two words by it."""
    kind = rng.choice("nns")
    code, said = _draw_test(kind, language, rng)
    while not _can_differ(code, kind):
        code, said = _draw_test(kind, language, rng)
    code = re.sub(r"\bx\b(?![\"'])", "$a", code)
    thing = parts.say(language, "number" if kind == "n" else "text")
    if rng.random() < 0.6:
        joint = {"en": " ", "zh": "", "ja": "が"}[language]
        wording = (language, Wording("w", f"{thing}{joint}{said}"))
        body = f"return {code}"
        chosen = _name_by_code(_CHECK, code)
        return parts.make_family("decide", chosen, f"{kind}>b", body, kind=kind, wording=wording)
    text = parts.say(language, "choice").replace("{T}", thing).replace("{P}", said)
    body = f'if {code}:\n    return "$w"\nreturn "$v"'
    wording = (language, Wording("x", text))
    return parts.make_family("decide", _CHOICE, f"{kind}>s", body, kind=kind, wording=wording)


def _can_differ(code: str, kind: str) -> bool:
    """Whether two joined conditions can be both met and not met, and none of them says it all."""
    joint = re.search(r" (and|or) ", code)
    if joint is None:
        return True
    edges = {int(number) for number in re.findall(r"\d+", code)}
    tried = _try_texts(code, edges) if kind == "s" else _try_numbers(edges)
    test = eval(f"lambda x: ({code}, {code[: joint.start()]}, {code[joint.end() :]})")
    results = [test(x) for x in tried]
    return all(len({one[i] for one in results}) == 2 for i in range(3)) and not any(
        all(one[0] == one[i] for one in results) for i in (1, 2)
    )


def _try_numbers(edges: set[int]) -> list[Any]:
    near = [edge + step for edge in edges for step in (-1, 0, 1, 2)]
    return [*near, -3, -2, 0, 1, 4, 1001, 1002]


def _try_texts(code: str, edges: set[int]) -> list[Any]:
    letters = re.findall(r"\"(.)\"", code)
    lengths = {edge + step for edge in edges for step in (-1, 0, 1)} | {3, 12}
    texts = ["12", "7", "123456789012", "AB", "ABCDEFGHIJKL", "level", "wx", "noon", "x"]
    for length in lengths:
        texts += ["qr" * length, ("qw" * length)[: max(length, 1)]]
        texts += [letter + "q" * (length - 1) for letter in letters]
        texts += ["q" * (length - 1) + letter for letter in letters]
        texts += [a + "q" * (length - 2) + b for a in letters for b in letters]
    return [text for text in texts if text]


def _draw_test(kind: str, language: str, rng: Random) -> tuple[str, str]:
    first = conditions.pick(kind, language, rng)
    if rng.random() < 0.35:
        second = conditions.pick(kind, language, rng)
        word = rng.choice(("and", "or"))
        if not (first.is_joined or second.is_joined):
            said = _join(first.singular, second.singular, word, language)
            return f"{first.code} {word} {second.code}", said
    return first.code, first.singular


def _join(first: str, second: str, word: str, language: str) -> str:
    if language == "en":
        pair = {"and": "both ", "or": "either "}[word]
        return f"[{first} {word} {second}|{pair}{first} {word} {second}]"
    if language == "zh":
        joints = {"and": "且|并且|而且|同时", "or": "或|或者"}[word]
        return f"{first}[{joints}]{second}"
    return first + {"and": "、かつ", "or": "か、または"}[word] + second
