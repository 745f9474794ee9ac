"""Numbers and words for the slots of series.py: what a request says and its code holds."""

import re
from random import Random

from tools.demo import names, parts, series_said

_COUNTED = r"(?<!第)\${}[个项次倍根名位条]"
_IN_FORMULA = r"\${}([%*]| \*|-th)|[+*]\${}".replace("{}", "{0}")
_KNOWN = (
    1,
    5,
    10,
    12,
    18,
    20,
    24,
    30,
    37,
    50,
    60,
    65,
    75,
    80,
    90,
    99,
    100,
    120,
    150,
    200,
    250,
    500,
)
_FACTORS = ("0.5", "0.8", "0.85", "0.9", "1.1", "1.2", "1.5", "2.5", "1.08", "0.1", "2.54", "1.25")
_ORDINALS = {
    "2": ("2nd", "second"), "3": ("3rd", "third"), "4": ("4th", "fourth"), "5": ("5th", "fifth"),
    "6": ("6th", "sixth"), "7": ("7th", "seventh"), "8": ("8th", "eighth"), "9": ("9th", "ninth"),
}  # fmt: skip
_USUAL = (
    *[
        "60",
        "60",
        "18",
        "30",
        "65",
        "70",
        "80",
        "90",
        "50",
        "100",
        "20",
        "25",
        "10",
        "40",
        "15",
        "12",
        "5",
        "120",
        "200",
        "500",
        "1000",
    ],
    "37.5",
)
_LETTERS = "aaabbcddeefghiklmmnoprssttuwz"
_SIDES = {
    "en": ("Mr. ", "Dr. ", "item_", "no. ", "-", "x", "#", "re", "un", "pre", "my_", "old_", "new_", "*", "@"),
    "zh": ("老", "小", "第", "编号", "张", "item_", "#", "-", "vip_", "@", "新"),
    "ja": ("お", "第", "番号", "旧", "新", "item_", "#", "-", "@", "株式会社"),
}  # fmt: skip
_ENDS = {
    "en": ("!", "?", ".txt", "s", "-kun", "_old", " kg", "%", " USD", ";", "ing", "*", ".jpg", " ok", "_v2"),
    "zh": ("!", "元", "同学", "老师", "先生", "号", "分", "市", "kg", ".txt", "你好", "?", "岁"),
    "ja": ("さん", "君", "様", "円", "!", "点", "個", "号", "駅", "kg", ".txt", "県", "くん"),
}  # fmt: skip


def put_values(text: str, code: str, test: str, language: str, rng: Random) -> tuple[str, str, str]:
    """Request, code and test with a value in each slot for a number, letter or word."""
    for slot, value in draw_values(code + text, language, rng).items():
        said = say(value, slot, text, language, rng)
        text = text.replace(f"${slot}", said)
        code = code.replace(f"${slot}", value)
        test = test.replace(f"${slot}", value)
    return text, code, test


def say(value: str, slot: str, text: str, language: str, rng: Random) -> str:
    """The value as the request has it: at times a small number is a word."""
    if re.search(_IN_FORMULA.format(slot), text) or not value.isdigit():
        return value
    if language == "ja":
        return "〇一二三四五"[int(value)] if slot == "t" and rng.random() < 0.15 else value
    spelled = parts.spell(value, language, rng, often=slot in "dt")
    two = language == "zh" and spelled == "二" and re.search(_COUNTED.format(slot), text)
    return "两" if two else spelled


def draw_values(code: str, language: str, rng: Random) -> dict[str, str]:
    """A value for each slot in `code`."""
    low = (
        rng.choice(_KNOWN) if rng.random() < 0.5 else rng.randrange(2, rng.choice((13, 100, 1000)))
    )
    high = low + rng.choice((2, 3, 5, 8, 10, 20, 40, 50, 100))
    first, second = _pick_words(language, rng)
    digit, small = rng.randrange(2, 10), rng.randrange(2, 6)
    drawn = {
        "k": str(low),
        "j": str(high),
        "n": _draw_limit(low, rng),
        "h": rng.choice(_USUAL),
        "d": str(digit),
        "e": str(digit + 1),
        "t": str(small),
        "i": str(small - 1),
        "m": rng.choice(_FACTORS) if rng.random() < 0.5 else str(rng.randrange(2, 13)),
        "l": rng.choice(_LETTERS),
        "w": first,
        "v": second,
        "y": rng.choice(_SIDES[language]),
        "z": rng.choice(_ENDS[language]),
    }
    return {slot: value for slot, value in drawn.items() if f"${slot}" in code}


def _draw_limit(usual: int, rng: Random) -> str:
    """A limit for numbers: at times with decimals, or below zero."""
    draw = rng.random()
    if draw < 0.1:
        return f"{rng.choice((usual, rng.randrange(1, 40)))}.{rng.choice('55512348')}"
    return str(-rng.choice((1, 2, 5, 10, 20))) if draw < 0.14 else str(usual)


def _pick_words(language: str, rng: Random) -> tuple[str, str]:
    """Two different words, at times such as go together."""
    if rng.random() < 0.5:
        first, _, second = rng.choice(series_said.said()[language, "pair"]).partition("/")
        return first, second
    first = second = names.pick_word(language, rng)
    while second == first:
        second = names.pick_word(language, rng)
    return first, second


def polish(text: str, language: str, rng: Random) -> str:
    """The request as it is written: English ordinals, a Chinese word that would mean another."""
    if language == "en":
        text = re.sub(r"\b(a)(?= (8|11|18|8\d|8\d\d)\b)", "an", text)
        return re.sub(r"\b([1-9])-th\b", lambda match: rng.choice(_ORDINALS[match[1]]), text)
    return re.sub(r"(?<![整负正偶奇票步页倍约因素质方幂分函参])数列表", "数字列表", text)


def pick_nothing(language: str, rng: Random) -> str:
    """A word for what is not there, or another word."""
    if rng.random() < 0.3:
        return names.pick_word(language, rng)
    return rng.choice(series_said.said()[language, "nothing"])
