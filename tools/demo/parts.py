"""Parts of tasks that can be put together: conditions, what is done with them, operations.

A file of `parts/` holds blocks that start with `@ id kinds`: n(umbers), s(trings) or c(haracters).
`code` is an expression of `x` or `{X}` (or lines that hold a condition `{C}`, its opposite `{D}`),
`en|zh|ja` the wording: of a condition, what follows the noun; of all else as in families.py.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from tools.demo import families, grammar
from tools.demo.families import LANGUAGES, Family, Wording

FOLDER = Path(__file__).parent / "parts"
_ENGLISH = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)  # fmt: skip
_WORDS: dict[str, tuple[str, ...]] = {
    "en": _ENGLISH,
    "zh": (*"零一二三四五六七八九十", "十一", "十二"),
}
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
PLAIN = ("arithmetic", "conditions", "strings", "lists", "rules", "basics")
OF_A_FIELD = (
    "rule_fee",
    "rule_rate",
    "rule_unrate",
    "rule_speeding",
    "rule_too_low",
    "rule_off",
    "rule_plus_pct",
    "rule_ge",
    "rule_weekday",
    "divide_unit",
    "minsec",
)  # names of families that suit only what they are about
_USUAL = (
    5,
    5,
    8,
    10,
    10,
    10,
    12,
    15,
    15,
    20,
    20,
    20,
    25,
    25,
    30,
    30,
    35,
    40,
    50,
    60,
    75,
    3,
    7,
    18,
    45,
)
PERCENT = tuple(map(str, _USUAL))
_JAPANESE = ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十")
_PARAMETERS = {
    "list n": ("numbers", "items", "values", "xs", "nums"),
    "list s": ("words", "items", "texts", "strings", "names"),
    "n": ("x", "n", "num", "value", "number"),
    "s": ("s", "text", "word", "string"),
}


@dataclass(frozen=True)
class Part:
    """One block: `fields` holds its lines by first word."""

    id: str
    kinds: str
    fields: dict[str, tuple[str, ...]]

    def options(self, key: str) -> tuple[str, ...]:
        """The alternatives of a line that lists them with |."""
        return tuple(option for line in self.fields.get(key, ()) for option in line.split("|"))

    @property
    def code(self) -> str:
        return "\n".join(self.fields["code"])

    def pick_line(self, language: str, rng: Random) -> tuple[str, str]:
        """The kind and text of one wording."""
        kind, _, text = rng.choice(self.fields[language]).partition(" ")
        return kind, rng.choice(grammar.split(text))

    def pick_verb(self, language: str, rng: Random) -> str:
        """The text of one wording that is a verb phrase."""
        lines = [line[2:] for line in self.fields[language] if line.startswith("v ")]
        return rng.choice(grammar.split(rng.choice(lines)))


@cache
def load(name: str) -> tuple[Part, ...]:
    """All parts of one file."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(_parse(block) for block in re.split(r"^@ ", text, flags=re.M) if block)


def _parse(block: str) -> Part:
    header, *lines = block.splitlines()
    title, _, kinds = header.partition(" ")
    fields: dict[str, tuple[str, ...]] = {}
    for line in filter(None, lines):
        word, _, rest = line.partition(" ")
        fields[word] = (*fields.get(word, ()), rest)
    return Part(title, kinds, fields)


@cache
def _said() -> dict[tuple[str, str], str]:
    lines = (FOLDER / "said.txt").read_text(encoding="utf-8").splitlines()
    return {(word, key): text for word, key, text in (line.split(" ", 2) for line in lines)}


def say(language: str, key: str) -> str:
    """A line of said.txt: how lists, their elements and choices are spoken of."""
    return _said()[language, key]


_THINGS = ("もの", "项", "entries", "elements", "items")  # no word for what a list is of


def say_list(language: str, noun: str) -> str:
    """How a list of such things is spoken of."""
    text = say(language, "list")
    if noun not in _THINGS:
        return text
    options = [option for option in text.strip("[]").split("|") if "{N}" not in option]
    return f"[{'|'.join(options)}]"


def make_family(
    topic: str, part: Part, signature: str, body: str, *, kind: str, wording: tuple[str, Wording]
) -> Family:
    """A family of one parameter that is asked for in one way; `wording` begins with its language."""
    names = tuple(
        part.fields.get("name", (f"{part.id} {part.id}_it transform convert",))[0].split()
    )
    lines = "".join(f"\n    {line}" for line in body.split("\n"))
    usual = _PARAMETERS[f"list {kind}" if signature[0] == "l" else kind]
    code = f"def $f($a):{lines}"
    twin = _find_twin(signature[0], code)
    if twin and (part.id == "drop" or kind == "s") and twin.parameters[0] == ("numbers",):
        twin = twin if twin.names[0].startswith("drop") else None
    return Family(
        id=part.id,
        signature=signature,
        bases=(),
        names=twin.names if twin else names,
        parameters=twin.parameters if twin else tuple((name,) for name in usual),
        code=code,
        test="",
        wordings={word: (wording[1],) if word == wording[0] else () for word in LANGUAGES},
        topic=topic,
    )


def _find_twin(kind: str, code: str) -> Family | None:
    """The family with the same code, whatever its number: its names are used here, too."""
    twins = _twins()
    return twins.get((kind, code)) or twins.get((kind, _NUMBER.sub("#", code)))


@cache
def _twins() -> dict[tuple[str, str], Family]:
    found: dict[tuple[str, str], Family] = {}
    for family in families.load_tasks():
        if family.id == "parity_words" or (family.topic in PLAIN and family.id not in OF_A_FIELD):
            code = re.sub(r"\$[kjmorqt](?![a-z])", "#", family.code)
            found.setdefault((family.signature.split(">")[0], code), family)
    return found


def draw_values(rng: Random) -> dict[str, str]:
    """Constants for the slots $k < $j, $d (a small number) and the letters $c and $e."""
    low = rng.randrange(2, rng.choice((13, 13, 100, 1000)))
    high = low + rng.randrange(1, rng.choice((10, 100)))
    letters = rng.sample("abcdefghijklmnopqrstuvwxyz", 2)
    if rng.random() < 0.15:
        letters = rng.sample("-_/#@*+", 2)
    small = rng.randrange(2, 10)
    return {"k": str(low), "j": str(high), "d": str(small), "c": letters[0], "e": letters[1]}


def put_values(text: str, values: dict[str, str]) -> str:
    """`text` with the constants in it."""
    return re.sub(r"\$([kjdce])(?![a-z])", lambda match: values[match[1]], text)


def say_values(text: str, values: dict[str, str], language: str, rng: Random) -> str:
    """The same in a request: small numbers are words at times."""
    spelled = "$k%" not in text
    said = (
        {key: spell(value, language, rng) for key, value in values.items()} if spelled else values
    )
    return put_values(text, said)


def number_words(number: str) -> tuple[str, ...]:
    """A small number as a word, in each language."""
    count = int(number) if number.isdigit() else -1
    japanese = _JAPANESE[count - 1 : count] if count > 0 else ()
    return (*(words[count] for words in _WORDS.values() if 0 <= count < len(words)), *japanese)


def spell(number: str, language: str, rng: Random, *, often: bool = False) -> str:
    """A small number as a word, at times; all else as it is."""
    words = _WORDS.get(language, ())
    least, chance = (0, 0.6) if often else (2, 0.15)
    if number.isdigit() and least < int(number) < len(words) and rng.random() < chance:
        return words[int(number)]
    return number
