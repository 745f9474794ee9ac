"""A task asked for in place of what the last function does, or as its opposite."""

import re
from collections.abc import Callable
from random import Random

from tools.demo import constants, determined, grammar, noise
from tools.demo.defining import Function, define, fill_names
from tools.demo.families import Family
from tools.demo.prompts import Turn, insert, uncapitalize, wording

_TRIES = 12
_PHRASE_MACROS = {"X": "\1", "XS": "\2", "XING": "\3", "XTE": "\4"}
_BACK = re.compile("back|direction|convers|inverse|方向|向|换算|戻|変換|换回")
_NUMBER = re.compile(r"(?<![\w.\"])\d+(?:\.\d+)?(?![\w.\"])")
PAIRS = {  # tasks that are each other's opposite
    one: other
    for first, second in (
        ("c_to_f", "f_to_c"), ("km_to_miles", "miles_to_km"), ("m_to_cm", "cm_to_m"),
        ("inches_to_cm", "cm_to_inches"), ("kg_to_pounds", "pounds_to_kg"), ("kg_to_g", "g_to_kg"),
        ("minutes_to_seconds", "seconds_to_minutes"), ("hours_to_minutes", "minutes_to_hours"),
        ("c_to_k", "k_to_c"), ("feet_to_m", "m_to_feet"), ("km_to_m", "m_to_km"),
        ("max_list", "min_list"), ("max_two", "min_two"), ("max_three", "min_three"),
        ("is_even", "is_odd"), ("upper", "lower"), ("evens", "odds"), ("sort_list", "sort_desc"),
        ("first_item", "last_item"), ("first_char", "last_char"), ("positives", "negatives"),
        ("rule_list_gt", "rule_list_lt"), ("first_n", "last_n"), ("drop_first", "drop_last"),
        ("first_word", "last_word"), ("longest_word", "shortest_word"),
    )
    for one, other in ((first, second), (second, first))
}  # fmt: skip


def compose_swap(family: Family, language: str, rng: Random, older: Function) -> Turn:
    """`family` asked for in place of what `older` does: same name, same parameters."""
    return _draw(lambda: _compose_swap(family, language, rng, older), family, older)


def _compose_swap(family: Family, language: str, rng: Random, older: Function) -> Turn:
    lines = wording(language)
    choice = rng.choice(family.wordings[language])
    phrase = grammar.expand(choice.text, lines.macros, rng)
    wrapper = rng.choice(lines.sections[f"swap{choice.kind}"])
    wrapper = grammar.expand(wrapper, lines.macros | _PHRASE_MACROS, rng)
    phrase = uncapitalize(phrase) if re.search("[a-z,] ?\x01", wrapper) else phrase
    text = insert(wrapper, phrase)
    text = noise.disturb(text, language, rng)
    values = dict(zip("abcd", older.parameters, strict=False)) | constants.KEPT
    values |= {"f": older.name, "g": older.name, "p": ", ".join(older.parameters)}
    request, code = constants.put(
        grammar.fill(text, values), grammar.fill(family.code, values), language, rng
    )
    done = Function(older.name, older.parameters, code, family.signature, (family.id, family.topic))
    return Turn(noise.space(request, language, rng), code, done)


def _say_opposite(family: Family, language: str, rng: Random) -> tuple[str, str]:
    """The kind of line and its text; only a conversion has a way back, and whether something is
    not so is asked for as a change (`edits`), never with the words for an opposite task.
    """
    lines, converts = wording(language), "_to_" in family.id
    kind = "reverse" if family.returns == "b" else rng.choice(("reverse", "switch"))
    while True:
        line = rng.choice(lines.sections[kind])
        text = grammar.expand(line, lines.macros | {"F": "$f"}, rng)
        if converts or not _BACK.search(text):
            return kind, re.sub(r"(を|も|で|として)を", r"\1", text)


def compose_opposite(family: Family, language: str, rng: Random, older: Function) -> Turn:
    """`family` asked for by saying no more than that it is the opposite of `older`."""
    return _draw(lambda: _compose_opposite(family, language, rng, older), family, older)


def _draw(make: Callable[[], Turn], family: Family, older: Function) -> Turn:
    """A turn whose answer holds nothing that nobody said, if one comes in a few tries."""
    for _ in range(_TRIES):
        turn = make()
        if determined.is_said(family, f"{older.code}\n{turn.request}", turn.answer):
            break
    return turn


def _compose_opposite(family: Family, language: str, rng: Random, older: Function) -> Turn:
    """The number of `older`, where it has one, stays; in its place its names stay, too."""
    lines = wording(language)
    kind, text = _say_opposite(family, language, rng)
    plain = grammar.expand(rng.choice(family.wordings[language]).text, lines.macros, rng)
    text = text.replace("\1", plain.replace("^", ""))
    made = define(family, text, rng, older, bare=False)
    name, parameters = made.name, made.parameters
    if kind == "switch" and "$f" not in text:
        name, parameters = older.name, older.parameters
    code = fill_names(family, name, parameters, older)
    values = dict(zip("abcd", parameters, strict=False)) | constants.KEPT
    values |= {"f": name, "g": older.name, "p": ", ".join(parameters)}
    number = _NUMBER.findall(older.code)
    drawn = constants.draw(code, language, rng)
    drawn |= {"k": number[0]} if len(number) == 1 and "k" in drawn else {}
    request = constants.say(grammar.fill(text, values), drawn, language, rng)
    code = constants.fill(code, drawn)
    done = Function(name, parameters, code, family.signature, made.topics)
    return Turn(noise.space(request, language, rng), code, done)
