"""Fees, discounts, flags, checks and words by a rule: the blocks of fees.txt and choices.txt.

A block gives the code (lines with a colon), the values its slots may have, and the sentences.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from random import Random

from tools.demo import names, tariff_signs
from tools.demo import tariff_words as words
from tools.demo.tariff_results import quotes
from tools.demo.tariff_values import MAKERS
from tools.demo.tariff_words import Draft

_MONEY = {
    "en": ("", "", " euros", " dollars", "", " EUR", " pounds"),
    "zh": ("元", "元", "块", "", "块钱"),
    "ja": ("円",),
}
_DEFAULT = {
    "en": (" ($b defaults to #)", ", $b is # by default", ", default of $b: #", ", $b=# if not given"),
    "zh": ("，$b默认#", "，$b默认为#", "（$b默认值#）", "，不传$b就当#"),
    "ja": ("、$bの既定値は#", "、$bはデフォルト#", "（$bの初期値は#）", "、$bは省略時#"),
}  # fmt: skip


@dataclass
class Block:
    """One kind of task."""

    id: str
    signature: str
    fields: dict[str, str] = field(default_factory=dict)
    code: list[str] = field(default_factory=list)
    said: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


@cache
def blocks() -> tuple[Block, ...]:
    found: list[Block] = []
    for name in ("fees", "choices", "checks", "maps"):
        _read(name, found)
    return tuple(found)


def _read(name: str, found: list[Block]) -> None:
    for line in words.lines(name):
        if line[0] == "@":
            title, signature = line[2:].split(" ")
            found.append(Block(title, signature))
        elif line[0] == ":":
            found[-1].code.append(line[2:])
        elif re.match(r"(en|zh|ja) [sv] ", line):
            found[-1].said.setdefault(line[:2], []).append((line[3], line[5:]))
        else:
            size = 2 if re.match(r"(en|zh|ja|ku|wl) ", line) else 1
            *key, value = f"{line} ".split(" ", size)
            found[-1].fields[" ".join(key)] = value.strip()


def pick(language: str, rng: Random) -> Draft:
    """One of the blocks, or the sign of a number."""
    at = rng.randrange(len(blocks()) + 1)
    return (
        draw(blocks()[at], language, rng)
        if at < len(blocks())
        else tariff_signs.draw(language, rng)
    )


def draw(block: Block, language: str, rng: Random) -> Draft:
    """A task of one block with its values."""
    values = _draw_values(block, language, rng)
    kind, text = rng.choice(block.said[language])
    slots = _say_limits(block, values, language, rng) | {
        "Y": rng.choice(_MONEY[language]),
        "GE": rng.choice(("", "", "元")),
        "EACH": rng.choice(("", " each")),
        "DEF": "",
    }
    defaults = {}
    if "default" in block.fields:
        at, default, chance = block.fields["default"].split()
        if rng.random() < float(chance):
            defaults[int(at)] = default
            slots["DEF"] = rng.choice(_DEFAULT[language]).replace("#", default)
    text = _put(words.expand(text, rng), slots)
    shown = rng.choice(quotes(language))
    text = re.sub(r"#([wvuhi])#", lambda match: shown.replace("#", values[match[1]]), text)
    body = "\n".join(block.code)
    return Draft(
        topic=block.id,
        kind=kind,
        text=_put_values(text, values, language, rng),
        body=re.sub(r"\$([^ab\W\d])(?!\w)|\$(o)", lambda match: values[match[1] or match[2]], body),
        name=block.fields["name"],
        names=tuple(block.fields["names"].split()),
        canonical=tuple(block.fields["arg"].split()),
        identifiers=tuple(zip(*_identifiers(block), strict=True)),
        signature=block.signature,
        defaults=defaults,
        values=values | {"want": block.fields["want"], "try": block.fields.get("try", "")},
    )


def _identifiers(block: Block) -> list[tuple[str, ...]]:
    return [tuple(option.split()) for option in block.fields["par"].split("|")]


def _put(text: str, slots: dict[str, str]) -> str:
    while "{" in text:
        text = re.sub(r"\{([A-Z]+)\}", lambda match: slots[match[1]], text)
    return text


def _put_values(text: str, values: dict[str, str], language: str, rng: Random) -> str:
    def put(match: re.Match[str]) -> str:
        value = values[match[1]]
        follows = text[match.end() : match.end() + 1]
        return value if follows == "%" else words.spell(value, language, rng, 0.04)

    return re.sub(r"\$([^ab\W\d])", put, text)


def _draw_values(block: Block, language: str, rng: Random) -> dict[str, str]:
    fields = block.fields
    while True:
        values = {key: _number(fields, key, language, rng) for key in "kjmu" if key in fields}
        rising = [float(values[key]) for key in fields.get("rise", "").split()]
        if len(set(values.values())) == len(values) and rising == sorted(rising):
            break
    if "op" in fields:
        values["sign"] = rng.choice(fields.get(f"{language} op", fields["op"]).split())
        values["o"] = words.SIGNS[values["sign"]]
    for key, make in MAKERS.items():
        if key in fields:
            values |= make(fields[key], language, rng)
    if "keys" in fields:
        pair = rng.choice(fields[f"{language} keys"].split(";")).split("/")
        values |= dict(zip("hi", rng.sample(pair, 2), strict=True))
    return _draw_words(block, values, language, rng) | values


def _number(fields: dict[str, str], key: str, language: str, rng: Random) -> str:
    option = rng.choice(fields.get(f"{language} {key}", fields[key]).split("|"))
    span = re.fullmatch(r"(\d+)-(\d+)(?:/(\d+))?", option)
    if span:
        return str(rng.randrange(int(span[1]), int(span[2]) + 1, int(span[3] or 1)))
    return rng.choice(option.split(","))


def _draw_words(block: Block, values: dict[str, str], language: str, rng: Random) -> dict[str, str]:
    fields, found = block.fields, {}
    taken: list[str] = []
    while len(taken) < 3:
        word = names.pick_word(language, rng)
        taken += [] if word in taken else [word]
    found = dict(zip("wvu", taken, strict=True))
    for slot in "wvu":
        if f"wl {slot}" in fields:
            found[slot] = rng.choice(fields[f"wl {slot}"].split(","))
    if f"{language} w" in fields:
        listed = fields[f"{language} w"]
        if "pairs" in fields and rng.random() < 0.8:
            found["w"], found["v"] = rng.choice(listed.split(";")).split("/")
        elif "pairs" not in fields:
            found["w"] = rng.choice(listed.split("/"))
    if "fizz" in fields and rng.random() < 0.75:
        found["u"] = found["w"] + found["v"]
    return found


def _say_limits(block: Block, values: dict[str, str], language: str, rng: Random) -> dict[str, str]:
    if "sign" not in values:
        return {}
    unit = rng.choice(block.fields.get(f"ku {language}", "#").split("|"))
    number = unit.replace("#", "$k")
    own = words.parse_own("满#", "zh") if language == "zh" and values["sign"] == "ge" else ()
    own = own if block.id.startswith(("discount", "minus")) else ()

    sign = values["sign"]
    plain = words.say(language, sign, number, rng, "plain", own)
    of = "aged " if block.id == "child_half" else "of "
    attribute = f"{of if plain.kind == 'q' else ''}{plain.text}"
    condition = words.say_if(words.say(language, sign, number, rng, "free", own), rng)
    return {"OVER": attribute, "OVERK": attribute, "ISOVER": plain.text, "IFOVER": condition}
