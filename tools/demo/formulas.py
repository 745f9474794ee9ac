"""Requests that spell out what to calculate: expressions, conversions, everyday formulas, comparisons."""

from random import Random

from tools.demo import asking, conversions, situations, spelled
from tools.demo.prompts import Turn


def pick(language: str, rng: Random) -> Turn:
    """One request of any of these kinds, and its function."""
    return asking.compose(_task(language, rng), language, rng)


def _task(language: str, rng: Random) -> asking.Task:
    draw = rng.random()
    if draw < 0.36:
        return spelled.calculation(language, rng)
    if draw < 0.5:
        return spelled.comparison(language, rng)
    if draw < 0.7:
        return conversions.pick(language, rng)
    return situations.pick(language, rng)
