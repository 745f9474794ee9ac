"""The training data: conversations made from a seed, bit for bit the same each time.

python -m tools.demo.generate --count 20 prints some.
"""

import argparse
import json
from dataclasses import dataclass
from functools import cache
from random import Random

from tools.demo import edits, families, grammar, names, phrases, prompts
from tools.demo.families import LANGUAGES, Family
from tools.demo.prompts import Function, Turn

SINGLE, REFUSED = 0.36, 0.16
_COPYING = 0.4  # of the conversations: some only repeat names, the skill all others need
_FIRST = 0.2  # of the conversations: single turns only, short ones teach copying names fastest


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
        ("rule_list_gt", "rule_list_lt"), ("starts_with", "ends_with"), ("first_n", "last_n"),
        ("drop_first", "drop_last"), ("is_positive", "is_negative"), ("first_word", "last_word"),
        ("longest_word", "shortest_word"), ("floor_divide", "remainder"),
        ("greater_than_k", "less_than_k"), ("rule_at_least", "rule_at_most"),
    )
    for one, other in ((first, second), (second, first))
}  # fmt: skip


@dataclass(frozen=True)
class Conversation:
    """Turns in one language."""

    language: str
    turns: tuple[Turn, ...]

    @property
    def messages(self) -> list[dict[str, str]]:
        return [
            {"role": role, "content": text}
            for turn in self.turns
            for role, text in (("user", turn.request), ("assistant", turn.answer))
        ]


def generate(count: int, seed: int) -> list[Conversation]:
    """`count` conversations; the same seed gives the same ones."""
    rng = Random(seed)
    return [_choose(i / count, rng) for i in range(count)]


def _choose(progress: float, rng: Random) -> Conversation:
    if progress < _COPYING and rng.random() < 0.15:
        return Conversation("en", (copy(rng),))
    return _converse(rng.choice(LANGUAGES), progress < _FIRST, rng)


@cache
def _tasks() -> tuple[Family, ...]:
    return families.load_tasks()


@cache
def _followups() -> tuple[Family, ...]:
    return families.load("followups")


@cache
def _offtopic() -> phrases.Phrases:
    return phrases.load("offtopic")


def _converse(language: str, alone: bool, rng: Random) -> Conversation:
    draw = rng.random()
    if draw < REFUSED:
        return Conversation(language, (refuse(language, rng),))
    if alone or draw < REFUSED + SINGLE:
        return Conversation(language, (_start(language, rng),))
    return Conversation(language, _talk(language, rng))


def _start(language: str, rng: Random) -> Turn:
    return prompts.compose(rng.choice(_tasks()), language, rng)


def _start_linked(language: str, rng: Random) -> Turn:
    wanted = rng.choice([family for family in _followups() if family.is_special])
    suited = [family for family in _tasks() if {family.id, family.topic} & set(wanted.bases)]
    return prompts.compose(rng.choice(suited), language, rng)


def _talk(language: str, rng: Random) -> tuple[Turn, ...]:
    start = _start_linked if rng.random() < 0.5 else _start
    turns = [start(language, rng)]
    for _ in range(rng.choice((1, 1, 1, 2, 2))):
        draw = rng.random()
        if draw < 0.1:
            turns.append(refuse(language, rng))
        elif draw < 0.2:
            turns.append(_start(language, rng))
        else:
            turns.append(_continue(turns, language, rng))
    if rng.random() < 0.06:
        turns.insert(0, refuse(language, rng))
    return tuple(turns)


def _continue(turns: list[Turn], language: str, rng: Random) -> Turn:
    known = [turn.function for turn in turns if turn.function is not None]
    latest = known[-1]
    if latest.topics[0] in PAIRS and rng.random() < 0.3:
        return _oppose(latest, language, rng)
    if rng.random() < 0.35:
        return edits.compose(latest, language, rng)
    if len(known) > 1 and rng.random() < 0.3:
        return _call_by_name(known[0], language, rng) or _start(language, rng)
    family = _choose_followup(latest, rng)
    if family is None:
        return edits.compose(latest, language, rng)
    return prompts.compose(family, language, rng, latest)


def _oppose(older: Function, language: str, rng: Random) -> Turn:
    """The opposite task, in a function of its own or in place of the older one."""
    family = next(task for task in _tasks() if task.id == PAIRS[older.topics[0]])
    return prompts.compose_opposite(family, language, rng, older)


def _call_by_name(older: Function, language: str, rng: Random) -> Turn | None:
    family = _choose_followup(older, rng)
    for _ in range(20 if family else 0):
        turn = prompts.compose(family, language, rng, older)  # type: ignore[arg-type]
        if older.name in turn.request:
            return turn
    return None


def _choose_followup(older: Function, rng: Random) -> Family | None:
    topics = set(older.topics)
    special = [family for family in _followups() if topics & set(family.bases)]
    general = [family for family in _followups() if older.signature in family.bases]
    if special and (not general or rng.random() < 0.6):
        return rng.choice(special)
    return rng.choice(general) if general else None


def refuse(language: str, rng: Random) -> Turn:
    """An off-topic request and the sentence that declines it."""
    lines = _offtopic()
    request = grammar.expand(rng.choice(lines.sections[language]), lines.macros, rng)
    if language == "en" and rng.random() < 0.3:
        request = request[0].lower() + request[1:]
    return Turn(request, prompts.wording(language).sections["refuse"][0], None)


def copy(rng: Random) -> Turn:
    """Names to be repeated as they stand."""
    listed = " ".join(names.invent(rng) for _ in range(rng.randrange(2, 12)))
    return Turn(f"= {listed}", listed, None)


def main() -> None:
    """Prints conversations as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for conversation in generate(options.count, options.seed):
        print(json.dumps(conversation.messages, ensure_ascii=False))


if __name__ == "__main__":
    main()
