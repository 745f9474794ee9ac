"""One request for one function: the wording around a task, and the code that answers it."""

import dataclasses
import re
from dataclasses import dataclass
from functools import cache
from random import Random

from tools.demo import (
    constants,
    determined,
    examples,
    grammar,
    inflect,
    noise,
    phrases,
    translated,
)
from tools.demo.defining import Function, define, values
from tools.demo.families import Family, Wording

__all__ = ["Function", "Turn", "compose", "insert", "uncapitalize", "wording"]

_ENDS = "?.!\uff1f\u3002\uff01"
_NAMED = 0.5
_NAMED_WHOLE = 0.3  # of the requests that come whole
_INLINE = 0.7
_OPEN = 0.4  # of the requests are made around a phrase, at least
_FRAMED = 0.1  # of the requests have something else said before it, as many after it
_NAMED_PARAMETERS = 0.12
_SHOWN = 0.12  # of the tasks come with an example
_BARE = 0.08  # of the special follow-ups say nothing but the name
_TRIES = 12  # to put a request that says all that its answer needs
_TWICE = re.compile(r"\b([A-Za-z]{2,}) \1\b")  # "gallons gallons": a name beside its own word
_IF = re.compile(r"[若当]|如果|返回|\$f.*True")  # a condition, not a question, follows
_ORDER = re.compile(r"order|順|顺序|依次")


@dataclass(frozen=True)
class Turn:
    """A request and its answer; `function` is None for a refusal."""

    request: str
    answer: str
    function: Function | None

    @property
    def made(self) -> Function:
        """The function of a turn that is no refusal."""
        assert self.function is not None
        return self.function


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
    for _ in range(_TRIES):
        turn = _compose(family, language, rng, older, other)
        made, seen = turn.function, f"{older.code if older else ''}\n{turn.request}"
        if _TWICE.search(turn.request):
            continue
        if made and determined.is_said(family, seen, turn.answer, (made.name, *made.parameters)):
            break
    return turn


def _compose(
    family: Family, language: str, rng: Random, older: Function | None, other: Function | None
) -> Turn:
    bare = family.is_special and rng.random() < _BARE
    text = _bare(language, rng) if bare else _word(family, language, rng, older)
    spoken = translated.names(family.id, family.returns, language)
    function = define(family, text, rng, older, bare=bare, more=spoken)
    drawn = constants.draw(function.code, language, rng, text)
    code = constants.fill(function.code, drawn)
    if older is None and rng.random() < _SHOWN:
        text += examples.show(code, family, language, rng, ended=text[-1] in _ENDS)
    text = noise.disturb(_frame(text, language, rng), language, rng)
    known = values(language, function, older, rng, text) | {"h": other.name if other else ""}
    request = constants.say(grammar.fill(text, known), drawn, language, rng)
    done = Function(function.name, function.parameters, code, family.signature, function.topics)
    spaced = noise.space(request, language, rng)
    return Turn(spaced, code, done)


def _frame(text: str, language: str, rng: Random) -> str:
    lines = wording(language)
    gap = " " if language == "en" else ""
    if rng.random() < _FRAMED:
        before = grammar.expand(rng.choice(lines.sections["before"]), lines.macros, rng)
        text = before + gap + (uncapitalize(text) if before[-1] == "," else text)
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
        return _append(text.replace("~", ""), family, language, named, rng)
    phrase = grammar.expand(choice.text, lines.macros, rng)
    wrapper = rng.choice(kinds)
    if language == "zh" and choice.kind == "w" and not _IF.search(wrapper):
        phrase = inflect.question(phrase, rng)
    text = _wrap(wrapper, phrase, language, named, rng)
    if older is not None:
        text = _refer(text, language, rng)
    return _append(text, family, language, named, rng)


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
    return insert(text, phrase)


def insert(text: str, phrase: str) -> str:
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
    if joined[-1] in _ENDS:
        closing = closing.lstrip(".,\u3002\uff0c\u3001 ")
    return joined + ("" if closing[0] in ",." or language != "en" else " ") + closing


def _mentions(opening: str) -> bool:
    return bool(re.search(r"\$g|it:|on it|它|函数|関数|それ", opening))


def _append(text: str, family: Family, language: str, named: bool, rng: Random) -> str:
    lines = wording(language)
    alone = named and "$f" not in text
    if alone:
        text += _clause(lines.sections["T"], text, language, rng)
    if "$p" not in text and rng.random() < _NAMED_PARAMETERS:
        options = lines.sections["A"]
        if len(family.parameters[0]) == 1:
            options = tuple(line for line in options if not _ORDER.search(line))
        text += _clause(options, text, language, rng, alone=alone)
    return text


def uncapitalize(text: str) -> str:
    """An English text as it goes on after a comma."""
    return text[0].lower() + text[1:] if re.match(r"[A-HJ-Z][a-z]* ", text) else text


def _clause(
    options: tuple[str, ...], text: str, language: str, rng: Random, *, alone: bool = False
) -> str:
    """A clause to be put after `text`: after the end of a sentence, one that may stand alone."""
    if text[-1] in _ENDS or alone:
        suited = tuple(line for line in options if re.match(r"\[?[.。(]| +[(]", line))
        clause = grammar.expand(rng.choice(suited or options), wording(language).macros, rng)
    else:
        clause = grammar.expand(rng.choice(options), wording(language).macros, rng)
    if text[-1] in _ENDS:
        clause = clause.lstrip(".,\u3002\uff0c\u3001 ")
        clause = clause[:1].upper() + clause[1:] if re.match(r"[a-z]+ ", clause) else clause
    return (" " if language == "en" and clause[0] not in ".,:" else "") + clause
