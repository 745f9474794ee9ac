"""The written parts of tools/demo/series.py: tasks, sentences, nouns, and values for their slots."""

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

from tools.demo import families, grammar, names, parts

FOLDER = Path(__file__).parent / "series_parts"
_LINE = re.compile(r"^(en|zh|ja) ([nvx]) (.+)$")
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


@dataclass(frozen=True)
class Task:
    """A task; `wordings` holds kind and text by language."""

    id: str
    signature: str
    names: tuple[str, ...]
    parameters: tuple[tuple[str, ...], ...]
    code: str
    test: str
    wordings: dict[str, tuple[tuple[str, str], ...]]


@cache
def load(name: str) -> tuple[Task, ...]:
    """The tasks of one file."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(_extend(_parse(block)) for block in re.split(r"^@ ", text, flags=re.M)[1:])


@cache
def _more() -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    """Further wordings by task and language: blocks of more_en.txt, more_zh.txt and more_ja.txt."""
    found: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
    for language in families.LANGUAGES:
        text = (FOLDER / f"more_{language}.txt").read_text(encoding="utf-8")
        for block in re.split(r"^@ ", text, flags=re.M)[1:]:
            title, *lines = block.strip().splitlines()
            said = [(line[0], option) for line in lines for option in grammar.split(line[2:])]
            found[title.strip(), language] = tuple(said)
    return found


def _extend(task: Task) -> Task:
    more = {language: _more().get((task.id, language), ()) for language in families.LANGUAGES}
    said = {language: (*lines, *more[language]) for language, lines in task.wordings.items()}
    return replace(task, wordings=said)


@cache
def _families() -> dict[str, families.Family]:
    return {family.id: family for family in families.load_tasks()}


def _parse(block: str) -> Task:
    header, *lines = [line for line in block.splitlines() if line.strip()]
    title, _, base = header.partition(" : ")
    said: dict[str, list[tuple[str, str]]] = {language: [] for language in families.LANGUAGES}
    fields, code = {}, []
    for line in lines:
        match = _LINE.match(line)
        word, _, rest = line.partition(" ")
        if match:
            said[match[1]] += [(match[2], option) for option in grammar.split(match[3])]
        elif word in ("name", "arg", "test"):
            fields[word] = rest
        else:
            code.append(line)
    wordings = {language: tuple(found) for language, found in said.items()}
    return _make(title.split(), base.strip(), fields, "\n".join(code), wordings)


def _make(
    title: list[str],
    base: str,
    fields: dict[str, str],
    code: str,
    wordings: dict[str, tuple[tuple[str, str], ...]],
) -> Task:
    if base:
        known = _families()[base]
        return Task(
            title[0], known.signature, known.names, known.parameters, known.code,
            fields.get("test", known.test), wordings,
        )  # fmt: skip
    parameters = tuple(tuple(names.split()) for names in fields["arg"].split("|"))
    return Task(
        title[0], title[1], tuple(fields["name"].split()), parameters, code,
        fields["test"], wordings,
    )  # fmt: skip


@cache
def _said() -> dict[tuple[str, str], tuple[str, ...]]:
    """Lines of said.txt: language, word, text."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for line in (FOLDER / "said.txt").read_text(encoding="utf-8").splitlines():
        if line.strip():
            language, word, text = line.split(" ", 2)
            found[language, word] = (*found.get((language, word), ()), text)
    return found


@cache
def macros(language: str) -> dict[str, str]:
    """What {L}, {E} ... stand for."""
    return {
        word: lines[0]
        for (spoken, word), lines in _said().items()
        if spoken == language and word.isupper() and word not in ("T", "W")
    }


@cache
def frames(language: str) -> dict[str, tuple[str, ...]]:
    """Sentences around a noun (n) or verb phrase (v)."""
    return {kind: _said()[language, kind] for kind in "nv"}


@cache
def _nouns(kind: str, language: str) -> tuple[str, ...]:
    return tuple(noun for line in _said()[language, kind] for noun in line.split("|"))


def pick_noun(kind: str, language: str, rng: Random) -> str:
    """What the numbers (T) or words (W) of a list are, in the plural."""
    return rng.choice(_nouns(kind, language))


@cache
def used_words(code: str) -> frozenset[str]:
    """Names that a parameter must not have."""
    return frozenset(re.findall(r"(?<!\$)\b[a-z_]\w*", code)) | {"list", "max", "min", "sum"}


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
        first, _, second = rng.choice(_said()[language, "pair"]).partition("/")
        return first, second
    first = second = names.pick_word(language, rng)
    while second == first:
        second = names.pick_word(language, rng)
    return first, second


def polish(text: str, language: str, rng: Random) -> str:
    """The request as it is written: English ordinals, a Chinese word that would mean another."""
    if language == "en":
        return re.sub(r"\b([1-9])-th\b", lambda match: rng.choice(_ORDINALS[match[1]]), text)
    return re.sub(r"(?<![整负正偶奇票步页倍约因素质方幂分函参])数列表", "数字列表", text)


def pick_nothing(language: str, rng: Random) -> str:
    """A word for what is not there, or another word."""
    if rng.random() < 0.3:
        return names.pick_word(language, rng)
    return rng.choice(_said()[language, "nothing"])
