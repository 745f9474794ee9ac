"""One operation or two, on a number or a text or on each element of a list."""

import re
from random import Random

from tools.demo import conditions, grammar, inflect, parts
from tools.demo.families import Family, Wording
from tools.demo.parts import Part

_TO_TEXT = ("textn", "suffixn")
_BOUNDS = ("least", "most")
_WRAPPING = ("abs({X})", "int({X})", "round({X}", "str({X})", "len({X})", "max({X}", "min({X}")
_JOINTS = {
    "en": ("{} and ^{}", "{} and then ^{}", "{}, then ^{}"),
    "zh": ("先{},再{}", "{},再{}", "{},然后{}", "先{},然后{}"),
    "ja": ("、", "から", "、それから", "、次に"),
}
_MACRO = re.compile(r"\{([A-Z]+)\}")
Values = dict[str, str]


def operate(language: str, rng: Random) -> Family:
    """A random task of this sort."""
    kind = rng.choice("nns")
    chosen = _pick_parts(kind, language, rng)
    each = rng.random() < 0.45
    values = [_draw(part, rng) for part in chosen]
    code = apply(chosen, values, "x" if each else "$a")
    thing = _name_each(kind, language, rng) if each else {"n": "{N}", "s": "{S}"}[kind]
    wording = (language, _say(chosen, values, thing, language, rng))
    last = chosen[-1] if len(chosen) == 1 else _name_chain(chosen[-1], code, each=each)
    signature = "l>l" if each else f"{kind}>{_find_result(chosen[-1])}"
    body = f"return [{code} for x in $a]" if each else f"return {code}"
    return parts.make_family("operate", last, signature, body, kind=kind, wording=wording)


def _draw(part: Part, rng: Random) -> Values:
    """Constants; where they are percent, such as are usual."""
    values = parts.draw_values(rng)
    percent = part.id in ("percent", "off", "up")
    return values | {"k": rng.choice(parts.PERCENT)} if percent else values


def _name_chain(last: Part, code: str, *, each: bool) -> Part:
    """What is done in two steps has a name of its own."""
    name = "transform" if each or re.search('["\\[]|len|str|\\.\\w+\\(', code) else "calculate"
    return Part(last.id, last.kinds, {**last.fields, "name": (f"{name} process compute convert",)})


def _pick_parts(kind: str, language: str, rng: Random) -> list[Part]:
    every = parts.load("operations")
    options = [part for part in every if part.kinds[0] == kind and part.fields.get(language)]
    last = rng.choice(options)
    if rng.random() >= 0.35:
        return [last]
    unfit = (*_TO_TEXT, *(_BOUNDS if last.id in _BOUNDS else (last.id,)))
    firsts = [p for p in options if ">" not in p.kinds and p.id not in unfit]
    return [rng.choice(firsts), last]


def _find_result(part: Part) -> str:
    return "s" if part.id in _TO_TEXT else part.kinds.split(">")[-1]


def apply(chosen: list[Part], values: list[Values], start: str) -> str:
    """The code of the operations on `start`, one after the other."""
    code = start
    for part, constants in zip(chosen, values, strict=True):
        expression = parts.put_values(part.code, constants)
        alone = not re.search(r" [-+*/%] |^-", code) or expression.startswith(_WRAPPING)
        code = expression.replace("{X}", code if alone else f"({code})")
    return code


def _name_each(kind: str, language: str, rng: Random) -> str:
    noun = conditions.pick_noun(kind, language, rng).replace("もの", "要素")
    one = noun[:-3] + "y" if noun.endswith("ies") else noun.removesuffix("s")
    text = f"[{parts.say(language, 'each')}]".replace("{LN}", parts.say_list(language, noun))
    return text.replace("{ONE}", one).replace("{N}", noun)


def _say(
    chosen: list[Part], values: list[Values], thing: str, language: str, rng: Random
) -> Wording:
    if len(chosen) == 1:
        kind, text = chosen[0].pick_line(language, rng)
        text = parts.say_values(text, values[0], language, rng)
        return Wording(kind, text.replace("{O}", thing))
    first, second = (
        parts.say_values(part.pick_verb(language, rng), constants, language, rng)
        for part, constants in zip(chosen, values, strict=True)
    )
    result = parts.say(language, "result")
    return Wording(
        "v", _chain(first.replace("{O}", thing), second.replace("{O}", result), language, rng)
    )


def _chain(first: str, second: str, language: str, rng: Random) -> str:
    if language != "ja":
        return rng.choice(_JOINTS[language]).format(first, second)
    kept = _MACRO.sub("\5\\1\6", first)  # macros are expanded with the whole request
    plain = inflect.te_form(grammar.expand(kept, {}, rng))
    return plain.replace("\5", "{").replace("\6", "}") + rng.choice(_JOINTS["ja"]) + second
