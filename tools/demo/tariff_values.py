"""Values that belong together in a task: a percentage and its factor, days, divisors."""

import math
from collections.abc import Callable
from random import Random

_ZHE = dict(zip("123456789", "一二三四五六七八九", strict=True))
_DAYS = ((6, 7), (6, 7), (0, 6), (1, 2), (5, 6), (1, 7), (3, 7), (4, 5), (2, 4), (0, 1), (3, 6))
_RESULTS = ("None", "0", "-1", '"error"', "None", "0", '"invalid"', '"negative"', '"bad input"')
_SOUND = (
    ("$a ** 2", "the square", "平方", "2乗"),
    ("$a ** 2", "the number squared", "它的平方", "二乗"),
    ("$a ** 0.5", "the square root", "平方根", "平方根"),
    ("$a * 2", "the double", "两倍", "2倍"),
    ("$a", "the number itself", "原数", "そのままの値"),
    ("$a / 2", "half of it", "一半", "半分"),
    ("$a ** 3", "the cube", "立方", "3乗"),
    ("$a + 1", "the number plus 1", "加1的结果", "1を足した値"),
    ("$a * 10", "ten times the number", "10倍", "10倍"),
)


def _percents(listed: str, language: str, rng: Random) -> dict[str, str]:
    off = rng.choice(listed.split(","))
    left = f"{100 - int(off)}".rstrip("0")
    digits = "".join(_ZHE[digit] for digit in left)
    arabic = f"{left[0]}.{left[1]}" if len(left) == 2 else left
    fold = rng.choice((f"{digits}折", f"{digits}折", f"{arabic}折"))
    tenths = [f"{off}%引き", f"{off}%オフ", f"{off}%割引"]
    if off.endswith("0"):
        tenths += [f"{off[:-1]}割引"] * 3 + [f"{off[:-1]}割引き"]
    factor, share = f"{(100 - int(off)) / 100:g}", f"{int(off) / 100:g}"
    found = {"p": off, "d": factor, "e": share, "z": fold, "r": rng.choice(tenths)}
    return found | {"s": f"{(100 + int(off)) / 100:g}"}


def _more_percents(listed: str, language: str, rng: Random) -> dict[str, str]:
    more = _percents(listed, language, rng)
    return {"q": more["p"], "g": more["d"], "y": more["z"], "l": more["r"]}


def _fizz(_: str, language: str, rng: Random) -> dict[str, str]:
    while True:
        k, j = rng.sample(range(2, 14), 2)
        if k % j and j % k:
            return {"k": str(k), "j": str(j), "m": str(math.lcm(k, j))}


def _days(_: str, language: str, rng: Random) -> dict[str, str]:
    return dict(zip("kj", map(str, rng.choice(_DAYS)), strict=True))


def _three(_: str, language: str, rng: Random) -> dict[str, str]:
    drawn = rng.sample(range(1, rng.choice((13, 22, 100))), 3)
    return dict(zip("kjm", map(str, drawn), strict=True))


def _result(_: str, language: str, rng: Random) -> dict[str, str]:
    return {"m": rng.choice(_RESULTS)}


def _validation(_: str, language: str, rng: Random) -> dict[str, str]:
    code, *said = rng.choice(_SOUND)
    texts = dict(zip(("en", "zh", "ja"), said, strict=True))
    return {"j": rng.choice(_RESULTS), "m": code, "t": texts[language]}


MAKERS: dict[str, Callable[[str, str, Random], dict[str, str]]] = {
    "off": _percents,
    "off2": _more_percents,
    "fizz": _fizz,
    "days2": _days,
    "three": _three,
    "res": _result,
    "valid": _validation,
}
