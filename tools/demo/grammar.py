"""Random text from a small grammar: `[a|b|]` chooses, `{NAME}` expands a macro."""

import re
from collections.abc import Mapping
from random import Random

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_NUMBERS = r"(?:[\d\s,.\x0e\x0f-]*\d)[\d\s,.\x0e\x0f-]*"
_TEXTS = r"\"[^\"|\[\]]*\"(?:, ?\"[^\"|\[\]]*\")+"
_LIST = re.compile(rf"\[({_NUMBERS}|{_TEXTS})\]")  # no choice, but a list as it is written
_MACRO = re.compile(r"\{([A-Z0-9]+)\}")


def expand(text: str, macros: Mapping[str, str], rng: Random) -> str:
    """One random expansion of `text`; unknown macros raise KeyError."""
    while _MACRO.search(text):
        text = _MACRO.sub(lambda match: macros[match[1]], text)
    while _LIST.search(text):
        text = _LIST.sub("\x0e\\1\x0f", text)
    while _CHOICE.search(text):
        text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text, count=1)
    if re.search(r"[\[\]|]", text):
        raise ValueError(f"unbalanced brackets: {text}")
    text = text.replace("\x0e", "[").replace("\x0f", "]")
    return re.sub(r" {2,}", " ", text).strip()


def expand_outside(text: str, macros: Mapping[str, str], rng: Random) -> str:
    """The same for text that may hold bars of its own, which stay as they are."""
    while _MACRO.search(text):
        text = _MACRO.sub(lambda match: macros[match[1]], text)
    while _CHOICE.search(text):
        text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text, count=1)
    return text


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with each `$key` replaced by its value; longer keys are not used."""
    return re.sub(r"\$([a-z])(?![a-z])", lambda match: values[match[1]], text)


def split(text: str) -> list[str]:
    """The alternatives between the bars that stand outside of brackets."""
    depth, options = 0, [""]
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "|" and depth == 0:
            options.append("")
        else:
            options[-1] += character
    return [option for option in options if option.strip()]
