"""Words or numbers for positive, zero and negative."""

from functools import cache
from random import Random

from tools.demo import names
from tools.demo import tariff_words as words
from tools.demo.tariff_results import quotes
from tools.demo.tariff_scenes import fill
from tools.demo.tariff_words import Draft

_SIGNS = {">": "$a > 0", "<": "$a < 0", "=": "$a == 0"}


@cache
def _sign_lines(language: str) -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    said: dict[str, list[str]] = {}
    sentences = []
    for line in words.lines("signs"):
        word, key, text = line.split(" ", 2)
        if word == language and key in "sv":
            sentences.append((key, text))
        elif word == language:
            said[key] = text.split("|")
    return said, sentences


def draw(language: str, rng: Random) -> Draft:
    """Words or numbers for positive, zero and negative, in the order of the telling."""
    said, sentences = _sign_lines(language)
    order = rng.choice(("><=", ">=<", "<=>", "=><", ">=<", "<>=", "=<>"))
    if rng.random() < 0.4:
        kind, results = "n", {">": "1", "=": "0", "<": "-1"}
        if rng.random() < 0.3:
            drawn = rng.sample(("0", "1", "2", "3", "5", "10", "-1", "-5", "100"), 3)
            results = dict(zip("><=", drawn, strict=True))
        shown = results
    else:
        kind = "s"
        listed: list[str] = []
        while len(listed) < 3:
            word = names.pick_word(language, rng)
            listed += [] if word in listed else [word]
        quote = rng.choice(quotes(language))
        results = dict(zip(order, [f'"{word}"' for word in listed], strict=True))
        shown = dict(zip(order, [quote.replace("#", word) for word in listed], strict=True))
    form, text = rng.choice(sentences)
    slots = dict(zip("ABC", [rng.choice(said[key]) for key in order], strict=True))
    slots |= dict(zip("QRS", [shown[key] for key in order], strict=True))
    body = "".join(f"if {_SIGNS[key]}:\n    return {results[key]}\n" for key in order[:2])
    return Draft(
        "sign_words", form, fill(words.expand(text, rng), slots),
        f"{body}return {results[order[2]]}", "sign",
        ("sign", "sign_of", "direction", "trend", "balance", "fuhao", "zhengfu", "fugo"),
        ("x",), (("n", "x", "num", "diff", "change", "balance"),), f"n>{kind}",
        values={"sign": repr(results)},
    )  # fmt: skip
