"""Numbers and words that a request names and the code holds."""

import re
from random import Random

from tools.demo import names, parts

_PERCENT = r"\$# ?(%|percent|％|パーセント)|百分之\$#|100 [-+] \$#"
KEPT = {slot: f"${slot}" for slot in "kjmorqtwvu"}  # slots for constants, filled in last


def put(request: str, code: str, language: str, rng: Random) -> tuple[str, str]:
    """Request and code with a value in each slot for a constant."""
    drawn = draw(code, language, rng, request)
    return say(request, drawn, language, rng), fill(code, drawn)


def fill(code: str, drawn: dict[str, str]) -> str:
    """Code with the drawn values in it."""
    for slot, chosen in drawn.items():
        code = code.replace(f"${slot}", chosen)
    return code


def say(request: str, drawn: dict[str, str], language: str, rng: Random) -> str:
    """A request with the drawn values in it: small numbers are words at times."""
    for slot, chosen in drawn.items():
        spelled = f"${slot}%" not in request
        said = parts.spell(chosen, language, rng, often=slot == "t") if spelled else chosen
        request = request.replace(f"${slot}", said)
    return request


def draw(code: str, language: str, rng: Random, text: str = "") -> dict[str, str]:
    """Values for the slots in `code`: free numbers, rising ones (o < r < q), a digit, words,
    and percentages where `text` or `code` speaks of such.
    """
    slots = [slot for slot in KEPT if f"${slot}" in code]
    rising = sorted(rng.sample(range(2, rng.choice((30, 100, 500))), 3))
    words: list[str] = []
    while len(words) < 3:
        word = names.pick_word(language, rng)
        words += [] if word in words else [word]
    drawn = dict(zip("orqwvu", [*map(str, rising), *words], strict=True))
    drawn["t"] = str(rng.randrange(1, 10))
    for slot in slots:
        if re.search(_PERCENT.replace("#", slot), f"{text}\n{code}"):
            drawn[slot] = rng.choice(parts.PERCENT)
    return {slot: drawn.get(slot) or _number(rng) for slot in slots}


def _number(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.08:
        return f"{rng.randrange(0, 10)}.{rng.randrange(1, 10)}"
    if draw < 0.25:
        return str(10 * rng.randrange(1, 101))
    return str(rng.randrange(2, rng.choice((13, 100, 1000))))
