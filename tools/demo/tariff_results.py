"""What a rule with limits gives: words of its domain, prices or numbers."""

from random import Random

from tools.demo import names
from tools.demo.tariff_scenes import Clause, Domain, Scene, domains

_FREE = {"en": "free", "zh": "免费", "ja": "無料"}
_FOURS = ("A/B/C/D", "D/C/B/A", "1st/2nd/3rd/4th", "S/M/L/XL", "red/orange/yellow/green")
_FORMATS = {
    "en": ("#", "#", "#", "$#", "€#", "# euros", "# dollars", "£#"),
    "zh": ("#元", "#元", "#块", "#", "#块钱"),
    "ja": ("#円", "#円", "#円", "#"),
}
_NUMBERS = ("0", "1", "-1", "2", "3", "4", "5", "6", "10", "15", "20", "25", "50", "100", "0.5", "1.5", "0.1")  # fmt: skip


def draw(
    scene: Scene, kind: str, clauses: list[Clause], rng: Random
) -> tuple[list[str], list[str]]:
    """The results in code, and as they are said."""
    count, language = len(clauses) + 1, scene.language
    if kind == "w":
        drawn = _draw_words(scene.domain, clauses, language, rng)
        marks = rng.choice(quotes(language))
        return [f'"{word}"' for word in drawn], [marks.replace("#", word) for word in drawn]
    if kind == "n":
        drawn = rng.sample(_NUMBERS, count)
        return drawn, drawn
    drawn = draw_prices(count, language, rng)
    shape = scene.unit if scene.domain.id == "amount" else rng.choice(_FORMATS[language])
    free = _FREE[language] if rng.random() < 0.8 else "0"
    return drawn, [free if price == "0" else shape.replace("#", price) for price in drawn]


def quotes(language: str) -> tuple[str, ...]:
    return {
        "en": ('"#"', '"#"', "'#'", "#", "#"),
        "zh": ("“#”", '"#"', "#", "#", "#", "「#」"),
        "ja": ("「#」", "「#」", "#", "#", '"#"'),
    }[language]


def _draw_words(domain: Domain, clauses: list[Clause], language: str, rng: Random) -> list[str]:
    count = len(clauses) + 1
    chance = rng.random()
    if count == 4:
        drawn = rng.choice(_FOURS).split("/")
    elif chance < 0.18:
        drawn = []
        while len(drawn) < count:
            word = names.pick_word(language, rng)
            drawn += [] if word in drawn else [word]
        return drawn
    else:
        home = domain if chance < 0.8 else domains()[0]
        listed = "en" if language != "en" and chance > 0.93 else language
        drawn = rng.choice(home.fields[f"{listed} w{count}"].split(";")).split("/")
    return drawn[::-1] if clauses[0].operator in ("gt", "ge") else drawn


def draw_prices(count: int, language: str, rng: Random) -> list[str]:
    """Distinct prices, at times one of them nothing."""
    while True:
        drawn = [_price(language, rng) for _ in range(count)]
        if rng.random() < 0.25:
            drawn[rng.choice((0, -1))] = "0"
        if len(set(drawn)) == count:
            return drawn


def _price(language: str, rng: Random) -> str:
    if language == "ja":
        return str(rng.choice((50, 100, 100, 100)) * rng.randrange(1, 31))
    draw = rng.random()
    if draw < 0.15 and language == "en":
        return f"{rng.randrange(1, 30)}.{rng.choice(('50', '90', '99', '95', '20', '5'))}"
    if draw < 0.1:
        return f"{rng.randrange(1, 30)}.5"
    if draw < 0.6:
        return str(rng.randrange(1, 31))
    return str(rng.choice((5, 10)) * rng.randrange(1, 25))
