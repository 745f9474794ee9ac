"""The written parts of tools/demo/series.py: tasks, sentences and nouns."""

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

from tools.demo import families, grammar

FOLDER = Path(__file__).parent / "series_parts"
_LINE = re.compile(r"^(en|zh|ja) ([nvx]) (.+)$")


@dataclass(frozen=True)
class Task:
    """A task; `wordings` holds kind and text by language."""

    id: str
    signature: str
    names: tuple[str, ...]
    parameters: tuple[tuple[str, ...], ...]
    code: str
    test: str
    wordings: dict[str, tuple[tuple[str, str], ...]]


@cache
def load(name: str) -> tuple[Task, ...]:
    """The tasks of one file."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(_extend(_parse(block)) for block in re.split(r"^@ ", text, flags=re.M)[1:])


@cache
def _more() -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    """Further wordings by task and language: blocks of more_en.txt, more_zh.txt and more_ja.txt."""
    found: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
    for language in families.LANGUAGES:
        text = (FOLDER / f"more_{language}.txt").read_text(encoding="utf-8")
        for block in re.split(r"^@ ", text, flags=re.M)[1:]:
            title, *lines = block.strip().splitlines()
            said = [(line[0], option) for line in lines for option in grammar.split(line[2:])]
            found[title.strip(), language] = tuple(said)
    return found


def _extend(task: Task) -> Task:
    more = {language: _more().get((task.id, language), ()) for language in families.LANGUAGES}
    said = {language: (*lines, *more[language]) for language, lines in task.wordings.items()}
    return replace(task, wordings=said)


@cache
def _families() -> dict[str, families.Family]:
    return {family.id: family for family in families.load_tasks()}


def _parse(block: str) -> Task:
    header, *lines = [line for line in block.splitlines() if line.strip()]
    title, _, base = header.partition(" : ")
    said: dict[str, list[tuple[str, str]]] = {language: [] for language in families.LANGUAGES}
    fields, code = {}, []
    for line in lines:
        match = _LINE.match(line)
        word, _, rest = line.partition(" ")
        if match:
            said[match[1]] += [(match[2], option) for option in grammar.split(match[3])]
        elif word in ("name", "arg", "test"):
            fields[word] = rest
        else:
            code.append(line)
    wordings = {language: tuple(found) for language, found in said.items()}
    return _make(title.split(), base.strip(), fields, "\n".join(code), wordings)


def _make(
    title: list[str],
    base: str,
    fields: dict[str, str],
    code: str,
    wordings: dict[str, tuple[tuple[str, str], ...]],
) -> Task:
    if base:
        known = _families()[base]
        return Task(
            title[0], known.signature, known.names, known.parameters, known.code,
            fields.get("test", known.test), wordings,
        )  # fmt: skip
    parameters = tuple(tuple(names.split()) for names in fields["arg"].split("|"))
    return Task(
        title[0], title[1], tuple(fields["name"].split()), parameters, code,
        fields["test"], wordings,
    )  # fmt: skip


@cache
def said() -> dict[tuple[str, str], tuple[str, ...]]:
    """Lines of said.txt: language, word, text."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for line in (FOLDER / "said.txt").read_text(encoding="utf-8").splitlines():
        if line.strip():
            language, word, text = line.split(" ", 2)
            found[language, word] = (*found.get((language, word), ()), text)
    return found


@cache
def macros(language: str) -> dict[str, str]:
    """What {L}, {E} ... stand for."""
    return {
        word: lines[0]
        for (spoken, word), lines in said().items()
        if spoken == language and word.isupper() and word not in ("T", "W")
    }


@cache
def frames(language: str) -> dict[str, tuple[str, ...]]:
    """Sentences around a noun (n) or verb phrase (v)."""
    return {kind: said()[language, kind] for kind in "nv"}


@cache
def _nouns(kind: str, language: str) -> tuple[str, ...]:
    return tuple(noun for line in said()[language, kind] for noun in line.split("|"))


def pick_noun(kind: str, language: str, rng: Random) -> str:
    """What the numbers (T) or words (W) of a list are, in the plural."""
    return rng.choice(_nouns(kind, language))


@cache
def used_words(code: str) -> frozenset[str]:
    """Names that a parameter must not have."""
    return frozenset(re.findall(r"(?<!\$)\b[a-z_]\w*", code)) | {"list", "max", "min", "sum"}
