"""Everyday formulas told as a situation; formulas/situations.txt holds them, situations_more.txt
further ways to tell them.

A block: `@ id signature`, `r` behind it where the value may be rounded; `name`; `arg` sets of
parameters (the first is used unless the request lists them); `code` in words of the first set;
`num` values of a slot; `pair` two slots that make 100, `zip`
numbers that go together; `en|zh|ja` requests.
"""

import re
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from tools.demo import asking, grammar, symbols
from tools.demo.asking import Task

_ORDER = re.compile(r"顺序|順に|の順|在前|\d")
_OTHER = 0.3  # of the requests name parameters of their own


@dataclass(frozen=True)
class Situation:
    """One formula and the ways to tell it."""

    id: str
    signature: str
    rounds: bool
    names: tuple[str, ...]
    parameters: tuple[tuple[str, ...], ...]
    code: str
    numbers: dict[str, tuple[str, ...]]
    makes_hundred: bool
    goes_together: bool
    said: dict[str, tuple[str, ...]]


@cache
def load() -> tuple[Situation, ...]:
    """All situations."""
    text = (asking.FOLDER / "situations.txt").read_text(encoding="utf-8")
    blocks = {block.split()[0]: block for block in re.split(r"^@ ", text, flags=re.M) if block}
    more = (asking.FOLDER / "situations_more.txt").read_text(encoding="utf-8")
    for block in re.split(r"^@ ", more, flags=re.M)[1:]:
        title, _, lines = block.partition("\n")
        blocks[title] += lines
    return tuple(_parse(block) for block in blocks.values())


def _parse(block: str) -> Situation:
    header, *lines = block.strip().splitlines()
    title, signature, *marks = header.split()
    fields = [line.partition(" ")[::2] for line in lines]
    one = dict(fields)
    numbers = (rest.split() for word, rest in fields if word == "num")
    said = {
        language: tuple(
            line for word, text in fields if word == language for line in grammar.split(text)
        )
        for language in ("en", "zh", "ja")
    }
    parameters = tuple(tuple(names.split()) for names in one["arg"].split("|"))
    return Situation(
        id=title,
        signature=signature,
        rounds="r" in marks,
        names=tuple(one["name"].split()),
        parameters=parameters,
        code=one["code"],
        numbers={slot: tuple(values) for slot, *values in numbers},
        makes_hundred="pair" in one,
        goes_together="zip" in one,
        said=said,
    )


def pick(language: str, rng: Random) -> Task:
    """A random situation."""
    return tell(rng.choice(load()), language, rng)


def tell(situation: Situation, language: str, rng: Random) -> Task:
    """One way to ask for the formula of `situation`."""
    values = {slot: _number(options, rng) for slot, options in situation.numbers.items()}
    if situation.goes_together:
        both = list(zip(*situation.numbers.values(), strict=True))
        values = dict(zip(situation.numbers, rng.choice(both), strict=True))
    if situation.makes_hundred:
        low = rng.choice((10, 20, 25, 30, 40, 45, 50, 60, 70, 75, 80))
        values = {"k": str(low), "j": str(100 - low)}
    usual = situation.parameters[0]
    parameters, listed = usual, rng.random() < 0.12
    if rng.random() < _OTHER and len(situation.parameters) > 1:
        parameters, listed = rng.choice(situation.parameters[1:]), True
    code = re.sub(r"[a-z]\w*", lambda match: dict(zip(usual, parameters, strict=True)).get(
        match[0], match[0]), situation.code)  # fmt: skip
    text = rng.choice(situation.said[language])
    for slot, value in values.items():
        code = code.replace(f"${slot}", value)
        text = text.replace(f"${slot}", value)
    text = _choose(text, rng)
    kind = _kind(text, language)
    task = Task(
        kind,
        text,
        parameters,
        (f"return {code}",),
        situation.names[:1],
        situation.signature,
        situation.id,
    )
    ordered = parameters != usual or bool(_ORDER.search(text)) or len(usual[0]) < 3
    return replace(task, rounds=situation.rounds, listed=listed, ordered=ordered)


def _number(options: tuple[str, ...], rng: Random) -> str:
    """One of the numbers, or another whole one between the least and the greatest."""
    if rng.random() < 0.5 or not all(option.isdigit() for option in options):
        return rng.choice(options)
    low, high = min(map(int, options)), max(map(int, options))
    step = 10 if high > 300 else 1
    return str(rng.randrange(low, high + 1, step))


def _choose(text: str, rng: Random) -> str:
    """One of each choice; brackets without a bar stay."""
    while match := re.search(r"\[([^\[\]]*\|[^\[\]]*)\]", text):
        text = text[: match.start()] + rng.choice(match[1].split("|")) + text[match.end() :]
    return re.sub(r"\[[^\]]*\]", lambda match: match[0].replace(",", symbols.COMMA), text)


_VERBS = {
    "en": r"(split|add|turn|take|share) [^:]*$",
    "zh": r"[把将算]",
    "ja": r".*(する|直す|出す|返す)$",
}
_NOUNS = {
    "en": r"(the|area|volume|price|BMI|average|density|surface|circumference) [^:?.]*$",
    "zh": r"(?!)",
    "ja": r"[^。?]*[\u4e00-\u9fff]$",
}


def _kind(text: str, language: str) -> str:
    """Noun and verb phrases get a sentence around them, all else is one."""
    if re.match(_VERBS[language], text):
        return "v"
    return "n" if re.match(_NOUNS[language], text) else "x"
