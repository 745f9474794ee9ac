"""Function names in pinyin and romaji, as people who write Chinese or Japanese choose them."""

from functools import cache

from tools.demo import phrases

_ANY = {"zh": ("jisuan", "chuli", "hanshu"), "ja": ("keisan", "shori", "kansu")}
_TEST = {"zh": ("panduan", "jiancha", "shifou"), "ja": ("hantei", "shirabe", "kakunin")}


@cache
def _table() -> dict[str, dict[str, tuple[str, ...]]]:
    table: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in phrases.read("translated").splitlines():
        title, pinyin, romaji = (part.split() for part in line.split("|"))
        table[title[0]] = {"zh": tuple(pinyin), "ja": tuple(romaji)}
    return table


def names(id: str, returns: str, language: str) -> tuple[str, ...]:
    """Names for a task in `language`; none in English."""
    if language == "en":
        return ()
    known = _table().get(id)
    return known[language] if known else (_TEST if returns == "b" else _ANY)[language]
