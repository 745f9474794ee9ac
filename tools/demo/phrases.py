"""The wording files: macros and lines by section, for each language."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools.demo import grammar

FOLDER = Path(__file__).parent / "phrases"


@dataclass(frozen=True)
class Phrases:
    """`macros` expand `{NAME}`; `sections` hold the lines that start with each other word."""

    macros: dict[str, str]
    sections: dict[str, tuple[str, ...]]


def load(name: str) -> Phrases:
    """One file of the phrases folder, and what `more/` adds to it."""
    more = FOLDER / "more" / f"{name}.txt"
    return parse(read(name) + (more.read_text(encoding="utf-8") if more.exists() else ""))


def parse(text: str) -> Phrases:
    """Macros and sections from the text of a file."""
    macros: dict[str, str] = {}
    sections: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        word, _, text = line.partition(" ")
        if word == "=":
            macro, _, text = text.partition(" ")
            macros[macro] = text
        elif word != "#":
            sections[word] = (*sections.get(word, ()), *grammar.split(text))
    return Phrases(macros, sections)


@cache
def load_once(name: str) -> Phrases:
    """The same, kept."""
    return load(name)


def read(name: str) -> str:
    """The text of one file of the phrases folder."""
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
