"""One request for one function: the wording around a task, and the code that answers it."""

import dataclasses
import re
from dataclasses import dataclass
from functools import cache
from random import Random

from tools.demo import constants, examples, grammar, inflect, names, noise, phrases
from tools.demo.families import Family, Wording

_SLOTS = "abcd"
_NAMED = 0.5
_NAMED_WHOLE = 0.3  # of the requests that come whole
_INLINE = 0.7
_OPEN = 0.4  # of the requests are made around a phrase, at least
_FRAMED = 0.16  # of the requests have something else said before it, as many after it
_NAMED_PARAMETERS = 0.12
_PHRASE_MACROS = {"X": "\1", "XS": "\2", "XING": "\3", "XTE": "\4"}
_SHOWN = 0.12  # of the tasks come with an example
_BARE = 0.08  # of the special follow-ups say nothing but the name


@dataclass(frozen=True)
class Function:
    """A function some answer defined."""

    name: str
    parameters: tuple[str, ...]
    code: str
    signature: str
    topics: tuple[str, ...]


@dataclass(frozen=True)
class Turn:
    """A request and its answer; `function` is None for a refusal."""

    request: str
    answer: str
    function: Function | None


@cache
def wording(language: str) -> phrases.Phrases:
    """The wording file of a language."""
    return phrases.load(language)


def compose(
    family: Family,
    language: str,
    rng: Random,
    older: Function | None = None,
    other: Function | None = None,
) -> Turn:
    """A request for `family`, put in `language`; a follow-up calls `older`, or `older` and `other`."""
    if older is not None and other is not None:
        family = dataclasses.replace(family, code=family.code.replace("$h", other.name))
    bare = family.is_special and rng.random() < _BARE
    text = _bare(language, rng) if bare else _word(family, language, rng, older)
    text = noise.disturb(_frame(text, language, rng), language, rng)
    function = _define(family, text, rng, older, bare=bare)
    values = _values(family, function, older, rng, text) | {"h": other.name if other else ""}
    request = grammar.fill(text, values)
    request, code = constants.put(request, function.code, language, rng)
    if older is None and rng.random() < _SHOWN:
        request += examples.show(code, family, language, rng)
    done = Function(function.name, function.parameters, code, family.signature, function.topics)
    return Turn(noise.space(request, language, rng), code, done)


def compose_swap(family: Family, language: str, rng: Random, older: Function) -> Turn:
    """`family` asked for in place of what `older` does: same name, same parameters."""
    lines = wording(language)
    choice = rng.choice(family.wordings[language])
    phrase = grammar.expand(choice.text, lines.macros, rng)
    wrapper = rng.choice(lines.sections[f"swap{choice.kind}"])
    text = _insert(grammar.expand(wrapper, lines.macros | _PHRASE_MACROS, rng), phrase)
    text = noise.disturb(text, language, rng)
    values = dict(zip(_SLOTS, older.parameters, strict=False)) | constants.KEPT
    values |= {"f": older.name, "g": older.name, "p": ", ".join(older.parameters)}
    request, code = constants.put(
        grammar.fill(text, values), grammar.fill(family.code, values), language, rng
    )
    done = Function(older.name, older.parameters, code, family.signature, (family.id, family.topic))
    return Turn(noise.space(request, language, rng), code, done)


def compose_opposite(family: Family, language: str, rng: Random, older: Function) -> Turn:
    """`family` asked for by saying no more than that it is the opposite of `older`."""
    lines = wording(language)
    kind = rng.choice(("reverse", "switch"))
    text = grammar.expand(rng.choice(lines.sections[kind]), lines.macros | {"F": "$f"}, rng)
    plain = grammar.expand(rng.choice(family.wordings[language]).text, lines.macros, rng)
    text = text.replace("\1", plain.replace("^", ""))
    made = _define(family, text, rng, older, bare="$f" not in text)
    name = older.name if kind == "switch" and "$f" not in text else made.name
    code = re.sub(rf"\b{made.name}\b", name, made.code)
    request = grammar.fill(text, _values(family, made, older, rng, text))
    request, code = constants.put(request, code, language, rng)
    done = Function(name, made.parameters, code, family.signature, made.topics)
    return Turn(noise.space(request, language, rng), code, done)


def _frame(text: str, language: str, rng: Random) -> str:
    lines = wording(language)
    gap = " " if language == "en" else ""
    if rng.random() < _FRAMED:
        text = grammar.expand(rng.choice(lines.sections["before"]), lines.macros, rng) + gap + text
    if rng.random() < _FRAMED:
        text += _clause(lines.sections["after"], text, language, rng)
    return text


def _bare(language: str, rng: Random) -> str:
    lines = wording(language)
    macros = lines.macros | {"F": "$f"}
    return grammar.expand(rng.choice(lines.sections["bare"]), macros, rng)


def _word(family: Family, language: str, rng: Random, older: Function | None) -> str:
    lines = wording(language)
    choice = _choose(family.wordings[language], rng)
    named = rng.random() < _NAMED
    kinds = lines.sections.get(choice.kind, ())
    if named and f"{choice.kind}!" in lines.sections and rng.random() < 0.25:
        kinds = lines.sections[f"{choice.kind}!"]
    if choice.kind == "x":
        text = grammar.expand(choice.text, lines.macros, rng)
        named = rng.random() < _NAMED_WHOLE
        if older is not None:
            text = _point(text, language, rng)
        return _append(text.replace("~", ""), language, named, rng)
    phrase = grammar.expand(choice.text, lines.macros, rng)
    if language == "zh" and choice.kind == "w":
        phrase = inflect.question(phrase, rng)
    text = _wrap(rng.choice(kinds), phrase, language, named, rng)
    if older is not None:
        text = _refer(text, language, rng)
    return _append(text, language, named, rng)


def _choose(wordings: tuple[Wording, ...], rng: Random) -> Wording:
    """One of the wordings; those that need a sentence around them come in endless variety."""
    open_ended = [each for each in wordings if each.kind != "x"]
    return rng.choice(open_ended if open_ended and rng.random() < _OPEN else wordings)


def _point(text: str, language: str, rng: Random) -> str:
    """A whole request that names the older function, points at it, or says to use it."""
    if not re.search(r"\$[gh]|~", text):
        return _refer(text, language, rng)
    if "$h" in text or "$g(" in text or rng.random() < _NAMED:
        return text
    pointer = grammar.expand(wording(language).macros["POINTER"], wording(language).macros, rng)
    return text.replace("$g", pointer)


def _wrap(wrapper: str, phrase: str, language: str, named: bool, rng: Random) -> str:
    lines = wording(language)
    inline = named and rng.random() < _INLINE
    macros = lines.macros | {
        "C": rng.choice(lines.sections["C"]) if inline and "C" in lines.sections else "",
        "F": rng.choice(lines.sections["F"]) if inline and "F" in lines.sections else "{FNU}",
        "X": "\1",
        "XS": "\2",
        "XING": "\3",
        "XTE": "\4",
    }
    text = grammar.expand(wrapper, macros, rng)
    return _insert(text, phrase)


def _insert(text: str, phrase: str) -> str:
    text = text.replace("\1", phrase.replace("^", ""))
    text = text.replace("\2", inflect.third_person(phrase))
    text = text.replace("\3", inflect.gerund(phrase))
    return text.replace("\4", inflect.te_form(phrase))


def _refer(text: str, language: str, rng: Random) -> str:
    lines = wording(language)
    opening = grammar.expand(lines.sections["NOW"][0], lines.macros, rng)
    joined = opening + (" " if opening and language == "en" else "") + text
    if "$g" in text or (rng.random() < 0.7 and _mentions(opening)):
        return joined
    closing = grammar.expand(rng.choice(lines.sections["U"]), lines.macros, rng)
    return joined + ("" if closing[0] == "," or language != "en" else " ") + closing


def _mentions(opening: str) -> bool:
    return bool(re.search(r"\$g|it:|on it|它|函数|関数|それ", opening))


def _append(text: str, language: str, named: bool, rng: Random) -> str:
    lines = wording(language)
    if named and "$f" not in text:
        text += _clause(lines.sections["T"], text, language, rng)
    if "$p" not in text and rng.random() < _NAMED_PARAMETERS:
        text += _clause(lines.sections["A"], text, language, rng)
    return text


def _clause(options: tuple[str, ...], text: str, language: str, rng: Random) -> str:
    clause = grammar.expand(rng.choice(options), wording(language).macros, rng)
    if text[-1] in "?.\uff1f\u3002" and clause[0] in ".,\u3002\uff0c\u3001":
        clause = clause[1:].lstrip()
    return (" " if language == "en" and clause[0] not in ".," else "") + clause


def _define(
    family: Family, text: str, rng: Random, older: Function | None, *, bare: bool
) -> Function:
    called = older.name if older else ""
    code = family.code.replace("$g", called)
    usual = tuple(name for name in family.names if name != called) or ("f",)
    name = names.pick_function(usual, code, rng) if "$f" in text else usual[0]
    name = rng.choice(usual[:3]) if bare else name
    parameters = _parameters(family, text, code + " " + name, rng)
    values = dict(zip(_SLOTS, parameters, strict=False)) | constants.KEPT | {"f": name, "g": called}
    code = grammar.fill(family.code, values)
    return Function(name, parameters, code, family.signature, (family.id, family.topic))


def _parameters(family: Family, text: str, code: str, rng: Random) -> tuple[str, ...]:
    usual = family.parameters[0]
    while True:
        chosen = names.pick_parameters(family.parameters, code, rng)
        pairs = zip(_SLOTS, chosen, usual, strict=False)
        result = tuple(new if "$p" in text or f"${s}" in text else old for s, new, old in pairs)
        if len(set(result)) == len(result):
            return result


def _values(
    family: Family, function: Function, older: Function | None, rng: Random, text: str
) -> dict[str, str]:
    listed = ", ".join(function.parameters)
    if not re.search(r"\$f\(\$p\)", text) and len(function.parameters) == 2 and rng.random() < 0.4:
        listed = (
            f"{function.parameters[0]} {'and' if text.isascii() else '和'} {function.parameters[1]}"
        )
        listed = listed if text.isascii() or "関" not in text else ", ".join(function.parameters)
    values = dict(zip(_SLOTS, function.parameters, strict=False))
    return values | {
        **constants.KEPT,
        "f": function.name,
        "p": listed,
        "g": older.name if older else "",
    }
