"""Verb forms that the wording needs: English -s and -ing, Japanese -te, Chinese questions."""

import re
from random import Random

_DOUBLED = ("get", "put", "split", "trim", "drop", "swap", "flip", "cut", "clip", "sum", "spot")
_TE = (
    ("する", "して"), ("せる", "せて"), ("ける", "けて"), ("げる", "げて"), ("える", "えて"),
    ("べる", "べて"), ("める", "めて"), ("れる", "れて"), ("てる", "てて"), ("分ける", "分けて"),
    ("引く", "引いて"), ("除く", "除いて"), ("割る", "割って"), ("取る", "取って"),
    ("なす", "なして"), ("す", "して"), ("く", "いて"), ("る", "って"), ("ぶ", "んで"), ("う", "って"),
)  # fmt: skip


def third_person(text: str) -> str:
    """ "add x and ^return y" -> "adds x and returns y"."""
    return re.sub(r"(^|\^)([a-z-]+)", lambda match: _add_s(match[2]), text, flags=re.I)


def gerund(text: str) -> str:
    """ "add x" -> "adding x"."""
    return re.sub(r"(^|\^)([a-z-]+)", lambda match: _add_ing(match[2]), text, flags=re.I)


def te_form(text: str) -> str:
    """A Japanese verb phrase as the stem of a request."""
    for ending, form in _TE:
        if text.endswith(ending):
            return text.removesuffix(ending) + form
    return text


_QUESTIONS = (
    (
        re.compile(r"(?<![不都全只也既但总还就可要于])是(?![否不])"),
        ("是否是", "是不是", "是否为", "是"),
    ),
    (re.compile(r"(?<![不只可功都也才])能(?![否不])"), ("能否", "能不能", "是否能", "能")),
    (re.compile(r"(?<![不都也既且])大于"), ("是否大于", "大于")),
    (re.compile(r"(?<![不都也既且])小于"), ("是否小于", "小于")),
    (re.compile(r"(?<![不只都也])包含"), ("是否包含", "包不包含", "包含")),
    (re.compile(r"(?<![不都只存也])在(?=[\d$a-z])"), ("是否在", "在不在", "在")),
)


def question(text: str, rng: Random) -> str:
    """A Chinese condition in one of its "whether" forms; a joined or negated one stays as it is."""
    if re.search(r"是否|是不是|能否|能不能|不|且|或|都|全|既|只|没|无", text):
        return text
    for pattern, options in _QUESTIONS:
        if pattern.search(text):
            return pattern.sub(rng.choice(options), text, count=1)
    return text


def _add_s(verb: str) -> str:
    if verb.endswith(("s", "sh", "ch", "x", "z")):
        return verb + "es"
    if verb.endswith("y") and verb[-2:-1] not in "aeou":
        return verb[:-1] + "ies"
    return verb + "s"


def _add_ing(verb: str) -> str:
    if verb in _DOUBLED:
        return verb + verb[-1] + "ing"
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    return verb + "ing"
