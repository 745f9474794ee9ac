"""Requests that are declined, and the sentence that declines them."""

from functools import cache
from random import Random

from tools.demo import grammar, phrases, prompts
from tools.demo.prompts import Turn

_PLAIN = 0.8  # of the off-topic prompts are sentences as they stand, the others of a grammar


@cache
def _offtopic() -> phrases.Phrases:
    return phrases.load("offtopic")


def refuse(language: str, rng: Random) -> Turn:
    """An off-topic request and the sentence that declines it."""
    lines = _offtopic()
    section = (
        f"{language}!" if rng.random() < _PLAIN and f"{language}!" in lines.sections else language
    )
    request = grammar.expand(rng.choice(lines.sections[section]), lines.macros, rng)
    if language == "en" and rng.random() < 0.3:
        request = request[0].lower() + request[1:]
    return Turn(request, prompts.wording(language).sections["refuse"][0], None)
