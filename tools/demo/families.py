"""Function families: what a task computes, and how it is put in three languages.

A family file holds blocks that start with `@ id signature`. `name` lists function names, `arg`
parameter names (the first is used when the prompt names none), `test` one call and its value,
`en|zh|ja n|v|w|q|x` the wording as a noun phrase, verb phrase, condition, question or whole request;
all other lines are the code. A follow-up's header goes on with `: base ...`, the families or signatures it calls.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "zh", "ja")
_WORDING = re.compile(r"^(en|zh|ja) ([nvwqx]) (.+)$")


@dataclass(frozen=True)
class Wording:
    """One way to say what is computed; `kind` is n(oun), v(erb), w(hether), q(uestion), x (whole)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Family:
    """A task. `code` has $f for the name, $a.. for parameters, $k $j numbers, $w $v words, $g an older name."""

    id: str
    signature: str
    bases: tuple[str, ...]
    names: tuple[str, ...]
    parameters: tuple[tuple[str, ...], ...]
    code: str
    test: str
    wordings: dict[str, tuple[Wording, ...]]
    topic: str

    @property
    def returns(self) -> str:
        return self.signature.split(">")[1]

    @property
    def is_special(self) -> bool:
        """Whether it goes with certain families only, and so its name alone says what it does."""
        return bool(self.bases) and ">" not in self.bases[0]


def load(name: str) -> tuple[Family, ...]:
    """All families of one file."""
    text = (FOLDER / "families" / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(_parse(block, name) for block in re.split(r"^@ ", text, flags=re.M) if block)


def load_tasks() -> tuple[Family, ...]:
    """The families that stand alone, in a fixed order."""
    topics = (
        "arithmetic", "conditions", "geometry", "units", "strings", "lists", "recursion", "rules",
    )  # fmt: skip
    return tuple(family for topic in topics for family in load(topic))


def _parse(block: str, topic: str) -> Family:
    header, *lines = block.splitlines()
    title, _, bases = header.partition(" : ")
    fields = dict(_fields(lines))
    return Family(
        id=title.split()[0],
        signature=title.split()[1],
        bases=tuple(bases.split()),
        names=tuple(fields["name"].split()),
        parameters=tuple(tuple(names.split()) for names in fields["arg"].split("|")),
        code="\n".join(line for line in lines if _is_code(line)).strip(),
        test=fields.get("test", ""),
        wordings={language: tuple(_wordings(lines, language)) for language in LANGUAGES},
        topic=topic,
    )


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in ("name", "arg", "test"):
            yield word, rest


def _is_code(line: str) -> bool:
    return not (_WORDING.match(line) or line.split(" ")[0] in ("name", "arg", "test"))


def _wordings(lines: list[str], language: str) -> Iterator[Wording]:
    for line in lines:
        match = _WORDING.match(line)
        if match and match[1] == language:
            yield Wording(match[2], match[3])
