"""Requests for rules with limits: grades, age prices, fees, discounts, words by a number.

pick() gives a request and its function; what a rule says comes from tariff_rules (one to three
limits) and tariff_tables (fees, flags, checks), and the sentence around it from frames.txt.
"""

import re
from functools import cache
from random import Random

from tools.demo import grammar, inflect, names, tariff_rules, tariff_tables
from tools.demo import tariff_words as words
from tools.demo.prompts import Function, Turn
from tools.demo.tariff_words import Draft

TOPIC = "tariffs"
_RULES = 0.5  # of the requests are rules with one to three limits
_NAMED = 0.5
_PARAMETERS = 0.08  # of the requests say the parameters after the sentence
_TRADITIONAL = 0.05  # of the Chinese requests
_LETTERS = "abcdefghmnpqrstuvwxyz"
_CJK = r"[\u3040-\u30ff\u4e00-\u9fff]"
_ENDS = {"en": (".", ".", ".", "!", ", please.", " please"), "zh": ("。", "。", "！", "."), "ja": ("。", "。", "。", ".")}  # fmt: skip
_COMMAS = {"zh": (",", ", ", "， "), "ja": ("，", ",", "、 ")}


def pick(language: str, rng: Random) -> Turn:
    """A request for one rule and the function that follows it."""
    chosen = tariff_rules if rng.random() < _RULES else tariff_tables
    return finish(chosen.pick(language, rng), language, rng)


def finish(draft: Draft, language: str, rng: Random) -> Turn:
    """The draft in a sentence, with names for the function and its parameters."""
    text = _frame(draft, language, rng)
    parameters = _parameters(draft, text, rng)
    usual = tuple(name for name in draft.names if name not in parameters)
    name = draft.name
    while "$f" in text:
        name = names.pick_function(usual, draft.body, rng)
        if name not in parameters:
            break
    values = dict(zip("ab", parameters, strict=False))
    listed = [
        f"{parameter}={draft.defaults[at]}" if at in draft.defaults else parameter
        for at, parameter in enumerate(parameters)
    ]
    body = grammar.fill(draft.body, values).replace("\n", "\n    ")
    code = f"def {name}({', '.join(listed)}):\n    {body}"
    request = grammar.fill(text, values | {"f": name, "p": ", ".join(parameters)})
    request = _space(request, code, language, rng)
    if language == "zh" and rng.random() < _TRADITIONAL:
        request, code = (one.translate(_traditional()) for one in (request, code))
    done = Function(name, parameters, code, draft.signature, (TOPIC, draft.topic))
    return Turn(request, code, done)


@cache
def _traditional() -> dict[int, str]:
    return {ord(pair[0]): pair[1] for line in words.lines("traditional") for pair in line.split()}


@cache
def _frames(language: str, section: str) -> tuple[str, ...]:
    for line in words.lines("frames"):
        word, key, text = line.split(" ", 2)
        if (word, key) == (language, section):
            return tuple(text.split("|"))
    raise KeyError(section)


def _frame(draft: Draft, language: str, rng: Random) -> str:
    section = draft.kind + ("f" if rng.random() < _NAMED else "0")
    frame = rng.choice(_frames(language, section))
    if language == "ja" and draft.text.endswith("？") and not frame.endswith("{S}"):
        frame = "{S}" if section == "s0" else "{F}：{S}"
    if frame == "{S}" and len(draft.text) < 9:
        frame = rng.choice(_frames(language, "s0")[5:])
    text = draft.text.strip()
    inner = text.rstrip("?？") if "?" in frame or not frame.endswith("}") else text
    if language == "zh" and text.startswith(("如果", "若", "要是", "当", "假如")):
        frame = {"请": "{V}", "帮": "{V}", "用": "{F}：{V}"}.get(frame[0], frame)
    frame = frame.replace("{F}", rng.choice(("$f", "$f", "$f($p)", "$f($p)", "`$f`")))
    inner = _first_letter(inner, frame, draft.body, rng) if language == "en" else inner
    verb = inflect.third_person(inner[0].lower() + inner[1:]) if "{VS}" in frame else ""
    text = frame.replace("{VS}", verb).replace("{S}", inner).replace("{V}", inner)
    if "$p" not in text and rng.random() < _PARAMETERS:
        text = _add_parameters(draft, text, language, rng)
    return _punctuate(text, language, rng)


def _first_letter(inner: str, frame: str, body: str, rng: Random) -> str:
    starts = frame.startswith(("{S}", "{V}"))
    chance = 0.6 if starts else 0.3
    first = re.match(r"[A-Za-z]*", inner)
    if first and re.search(rf'"{first[0]}', body):  # a word of the answer keeps its letters
        return inner
    if "V" not in frame and inner[0].isalpha() and rng.random() < chance:
        return inner[0].upper() + inner[1:]
    if frame.startswith("{V}") and rng.random() < 0.6:
        return inner[0].upper() + inner[1:]
    return inner


def _add_parameters(draft: Draft, text: str, language: str, rng: Random) -> str:
    tail = rng.choice(_frames(language, "p" if len(draft.canonical) == 1 else "q"))
    if text[-1] in "?？。." and tail[0] in ".。，、":
        tail = tail[1:]
    if language == "en":
        tail = tail if text[-1] in "?.!" else f".{tail}" if tail[0] == " " else tail
    return text + tail


def _punctuate(text: str, language: str, rng: Random) -> str:
    if text[-1] not in "?.!？。！" and rng.random() < 0.45:
        end = rng.choice(_ENDS[language])
        text += "." if "please" in text.lower() and language == "en" else end
    if language == "en":
        return re.sub(r" +([,.:;])(?!\d)", r"\1", text)
    text = re.sub(r"(\$[abp])(?=[A-Za-z0-9-])", r"\1 ", text)
    if rng.random() < 0.15:
        text = text.replace("，" if language == "zh" else "、", rng.choice(_COMMAS[language]))
    if language == "zh" and rng.random() < 0.1:
        text = text.replace("：", ":").replace("；", ";").replace("？", "?")
    return text


def _space(request: str, code: str, language: str, rng: Random) -> str:
    """At times a space between scripts, where that splits no word of the code."""
    if language == "en" or rng.random() < 0.75:
        return request
    text = re.sub(rf"({_CJK})([A-Za-z0-9_])", r"\1 \2", request)
    text = re.sub(rf"([A-Za-z0-9_)])({_CJK})", r"\1 \2", text)
    return text if all(word in text for word in re.findall(r'"([^"]+)"', code)) else request


def _parameters(draft: Draft, text: str, rng: Random) -> tuple[str, ...]:
    """Names that the request says; canonical ones where it says none."""
    slots = [f"${slot}" for slot, _ in zip("ab", draft.canonical, strict=False)]
    said = [bool(re.search(rf"\{slot}(?![a-z])", text)) for slot in slots]
    listed = bool(re.search(r"\$p(?![a-z])", text))
    if not listed and not any(said):
        return draft.canonical
    while True:
        at = rng.randrange(len(draft.identifiers[0]))
        chosen = [options[at] for options in draft.identifiers]
        if listed and rng.random() < 0.3:
            chosen = _free_names(len(slots), rng, plain=any(said))
        pairs = zip(chosen, draft.canonical, said, strict=True)
        result = tuple(new if listed or named else old for new, old, named in pairs)
        if len({*result, draft.name}) == len(result) + 1:
            return result


def _free_names(count: int, rng: Random, *, plain: bool) -> list[str]:
    if plain or rng.random() < 0.6:
        return rng.sample(_LETTERS, count)
    found: set[str] = set()
    while len(found) < count:
        found.add(names.pick_other(found, rng))
    return sorted(found)
