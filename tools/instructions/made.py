"""Instructions made from phrases: what the intent's weights are fitted on besides example trees."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "phrases"
INTENTS = ("create", "change", "fix", "explain", "test", "convert")
_SLOT = re.compile(r"\{(\w+)\}")


def make(times: int, seed: int) -> Iterator[tuple[str, str]]:
    """Pairs of instruction and intent: every phrase `times` times with other fillings."""
    shared = _read("shared")
    for path in sorted(FOLDER.glob("??.yaml")):
        words = {**shared, **_read(path.stem)}
        for intent in INTENTS:
            for number, phrase in enumerate(words[intent]):
                draw = random.Random(f"{seed} {path.stem} {intent} {number}")
                for _ in range(times):
                    yield fill(phrase, intent, words, draw), intent


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


def fill(phrase: str, intent: str, words: dict[str, Any], draw: random.Random) -> str:
    """The phrase with a filling in every slot; a conversion leads to another language."""
    shown, other = draw.sample(sorted(words["code"]), 2)
    spelled = words["languages"]
    wanted = other if intent == "convert" else shown
    fillings = {
        "L": draw.choice(spelled[wanted]),
        "M": draw.choice(spelled[shown]),
        "n": _name(words["functions"], draw),
        "m": _name(words["functions"], draw),
        "N": draw.choice(words["classes"]),
        "M2": draw.choice(words["classes"]),
        **{name: _show(words, name, shown, draw) for name in ("code", "stub", "class")},
        **{name: _show_pair(words[name], draw) for name in ("sql", "cfg")},
    }
    return _SLOT.sub(lambda slot: _choose(slot[1], fillings, words, draw), phrase).strip()


def _choose(slot: str, fillings: dict[str, str], words: dict[str, Any], draw: random.Random) -> str:
    return fillings[slot] if slot in fillings else str(draw.choice(words[slot]))


def _name(names: list[str], draw: random.Random) -> str:
    """A name is sometimes set off, as people do."""
    name = draw.choice(names)
    return draw.choice((name, name, name, f"`{name}`", f"{name}()"))


def _show(words: dict[str, Any], kind: str, language: str, draw: random.Random) -> str:
    known = words[kind]
    language = language if language in known else draw.choice(sorted(known))
    return _fence(language, draw.choice(known[language]), draw)


def _show_pair(known: list[tuple[str, str]], draw: random.Random) -> str:
    language, code = draw.choice(known)
    return _fence(language, code, draw)


def _fence(language: str, code: str, draw: random.Random) -> str:
    """Mostly fenced, sometimes only set off by lines."""
    label = draw.choice((language, language, ""))
    fence = draw.random() < 0.8
    return f"\n\n```{label}\n{code.strip()}\n```\n\n" if fence else f"\n\n{code.strip()}\n\n"
