"""Function families: what a task computes, and how it is put in three languages.

A family file holds blocks that start with `@ id signature`. `name` lists function names, `arg`
parameter names (the first is used when the prompt names none), `test` one call and its value,
`en|zh|ja n|v|w|q|x` the wording as a noun phrase, verb phrase, condition, question or whole request;
all other lines are the code. A follow-up's header goes on with `: base ...`, the families or signatures it calls.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from tools.demo import grammar

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
    """All families of one file, with the wordings that the files of `wordings/` add to them."""
    text = (FOLDER / "families" / f"{name}.txt").read_text(encoding="utf-8")
    more = more_wordings()
    found = (_parse(block, name) for block in re.split(r"^@ ", text, flags=re.M) if block)
    return tuple(extend(family, more.get(family.id, ())) for family in found)


@cache
def more_wordings() -> dict[str, tuple[str, ...]]:
    """Lines of more wordings by family; `e`, `z` and `j` stand for a whole request."""
    lines: dict[str, tuple[str, ...]] = {}
    for path in sorted((FOLDER / "wordings").glob("*.txt")):
        for title, more in read_wordings(path):
            lines[title] = (*lines.get(title, ()), *more)
    return lines


def read_wordings(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The families that a file of wordings names, each with its lines."""
    for block in re.split(r"^@ ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
        title, *rest = block.splitlines()
        yield title.strip(), tuple(map(_whole, rest))


def _whole(line: str) -> str:
    short = {"e ": "en x ", "z ": "zh x ", "j ": "ja x "}.get(line[:2])
    return short + line[2:] if short else line


def extend(family: Family, lines: tuple[str, ...]) -> Family:
    """The family with more wordings."""
    more = {lang: family.wordings[lang] + tuple(_wordings(list(lines), lang)) for lang in LANGUAGES}
    return replace(family, wordings=more)


def load_tasks() -> tuple[Family, ...]:
    """The families that stand alone, in a fixed order."""
    topics = (
        "arithmetic", "conditions", "geometry", "units", "strings", "lists", "recursion", "rules",
        "daily", "basics", "everyday",
    )  # fmt: skip
    return tuple(family for topic in topics for family in load(topic))


def _parse(block: str, topic: str) -> Family:
    header, *rest = block.splitlines()
    lines = [_whole(line) for line in rest]
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
            yield from (Wording(match[2], option) for option in grammar.split(match[3]))
