"""What is said in a conversation: a first request, follow-ups, changes, refusals."""

import re
from collections.abc import Callable
from functools import cache
from random import Random

from tools.demo import (
    alters,
    calls,
    common,
    families,
    formulas,
    instead,
    made,
    names,
    phrases,
    prompts,
    refusals,
    series,
    tariffs,
    texts,
    written,
)
from tools.demo.families import Family
from tools.demo.prompts import Function, Turn

_CODE_COPIED = 0.4  # of what is only to be repeated
_SWAPPED = 0.12  # of the conversations: another task in place of the first
_CALL = re.compile(r"\$g\(([^()]+)\)")
_CALLED = 0.08  # of the conversations begin with a function and one made for it
_NEW_CALLS = 0.5  # of the follow-ups that are no edits


@cache
def _tasks() -> tuple[Family, ...]:
    return families.load_tasks()


@cache
def _weights() -> tuple[int, ...]:
    """What everybody thinks of is asked for often, and a bit more often what has many wordings."""
    return tuple(
        common.weigh("families", task.id) * (40 + min(60, _ways(task))) for task in _tasks()
    )


def _ways(task: Family) -> int:
    return sum(map(len, task.wordings.values()))


@cache
def _followups() -> tuple[Family, ...]:
    return families.load("followups")


@cache
def _pairs() -> tuple[Family, ...]:
    return families.load("pairs")


def start(language: str, rng: Random) -> Turn:
    """A first request, or another one that has nothing to do with what was said before."""
    return rng.choices(_MAKERS, _SHARES)[0](language, rng)


def _pick_task(language: str, rng: Random) -> Turn:
    return prompts.compose(rng.choices(_tasks(), _weights())[0], language, rng)


def _pick_made(language: str, rng: Random) -> Turn:
    return prompts.compose(made.pick(language, rng), language, rng)


_MAKERS: tuple[Callable[[str, Random], Turn], ...] = (
    _pick_task, _pick_made, formulas.pick, tariffs.pick, texts.pick, series.pick, written.pick,
)  # fmt: skip
_SHARES = (42, 12, 7, 5, 6, 5, 50)


def start_swapped(language: str, rng: Random) -> list[Turn]:
    """A task and then, in its place, another one that takes the same."""
    first, second = _pick_pair(language, rng)
    turn = prompts.compose(first, language, rng)
    assert turn.function is not None
    return [turn, instead.compose_swap(second, language, rng, turn.function)]


def _pick_pair(language: str, rng: Random) -> tuple[Family, Family]:
    if rng.random() < 0.5:
        return made.pick_pair(language, rng)
    group = rng.choice(_siblings())
    first, second = rng.sample(group, 2)
    return first, second


@cache
def _siblings() -> tuple[tuple[Family, ...], ...]:
    known = {task.id: task for task in _tasks()}
    return tuple(
        tuple(known[name] for name in line.split())
        for line in phrases.read("siblings").splitlines()
    )


def _start_linked(language: str, rng: Random) -> Turn:
    return prompts.compose(rng.choice(rng.choice(_bases())), language, rng)


@cache
def _bases() -> tuple[tuple[Family, ...], ...]:
    """For each special follow-up, the families that it goes with."""
    special = (family for family in _followups() if family.is_special)
    return tuple(tuple(one for one in _tasks() if _goes_with(wanted, one)) for wanted in special)


def _goes_with(wanted: Family, task: Family) -> bool:
    suits = bool({task.id, task.topic} & set(wanted.bases))
    return suits and _calls_with(wanted, len(task.parameters[0]))


def _calls_with(wanted: Family, count: int) -> bool:
    """Whether a special follow-up calls the older function with so many values."""
    calls = _CALL.findall(wanted.code)
    return all(len(call.split(",")) == count for call in calls)


def talk(language: str, rng: Random) -> tuple[Turn, ...]:
    draw, more = rng.random(), (1, 1, 1, 2, 2)
    if draw < _SWAPPED:
        turns = start_swapped(language, rng)
    elif draw < _SWAPPED + _CALLED:
        turns, more = calls.start(language, rng), (0, 0, 0, 1, 1)
    else:
        begin = _start_linked if rng.random() < 0.15 else start
        turns = [begin(language, rng)]
    for _ in range(rng.choice(more)):
        draw = rng.random()
        if draw < 0.06:
            turns.append(refusals.refuse(language, rng))
        elif draw < 0.18:
            turns.append(start(language, rng))
        else:
            turns.append(proceed(turns, language, rng))
    if rng.random() < 0.04:
        turns.insert(0, refusals.refuse(language, rng))
    return tuple(turns)


def go_on(turns: list[Turn], language: str, rng: Random) -> list[Turn]:
    """The conversation with one more turn, where its last function is one whose use is known."""
    if not written.is_plain(turns[-1].made):
        return turns
    return [*turns, proceed(turns, language, rng)]


def proceed(turns: list[Turn], language: str, rng: Random) -> Turn:
    """One more turn: a change of the last function, or a new one that calls earlier ones."""
    known = [turn.function for turn in turns if turn.function is not None]
    latest = known[-1]
    before = next((one for one in reversed(known[:-1]) if one.name == latest.name), None)
    if latest.topics[0] in instead.PAIRS and rng.random() < 0.3:
        return _oppose(latest, language, rng)
    if rng.random() < 0.5:
        return alters.compose(latest, language, rng, before)
    if rng.random() < _NEW_CALLS:
        return calls.compose(known, language, rng) or _call_latest(latest, language, rng, before)
    if len(known) > 1 and known[-2].name != latest.name and rng.random() < 0.4:
        return _use_older(known, language, rng)
    return _call_latest(latest, language, rng, before)


def _call_latest(latest: Function, language: str, rng: Random, before: Function | None) -> Turn:
    family = _choose_followup(latest, rng)
    if family is None:
        return alters.compose(latest, language, rng, before)
    return prompts.compose(family, language, rng, latest)


def _use_older(known: list[Function], language: str, rng: Random) -> Turn:
    """A call of the last two functions, or of the first one."""
    both = _choose_both(known[-2], known[-1], rng)
    if both is not None:
        return prompts.compose(both, language, rng, known[-2], known[-1])
    named = _call_by_name(known[0], language, rng)
    return named or start(language, rng)


def _oppose(older: Function, language: str, rng: Random) -> Turn:
    """The opposite task, in a function of its own or in place of the older one."""
    family = next(task for task in _tasks() if task.id == instead.PAIRS[older.topics[0]])
    return instead.compose_opposite(family, language, rng, older)


def _call_by_name(older: Function, language: str, rng: Random) -> Turn | None:
    family = _choose_followup(older, rng)
    for _ in range(20 if family else 0):
        turn = prompts.compose(family, language, rng, older)  # type: ignore[arg-type]
        if older.name in turn.request:
            return turn
    return None


def _choose_both(first: Function, second: Function, rng: Random) -> Family | None:
    """A task that calls both functions."""
    suited = [family for family in _pairs() if family.bases == (first.signature, second.signature)]
    return rng.choice(suited) if suited else None


def _choose_followup(older: Function, rng: Random) -> Family | None:
    topics = set(older.topics)
    count = len(older.parameters)
    special = [family for family in _followups() if topics & set(family.bases)]
    special = [family for family in special if _calls_with(family, count)]
    general = [family for family in _followups() if older.signature in family.bases]
    if special and (not general or rng.random() < 0.6):
        return rng.choice(special)
    return rng.choices(general, [_ways(one) for one in general])[0] if general else None


def copy(rng: Random) -> Turn:
    """Names or code to be repeated as they stand: whoever changes a function copies most of it."""
    function = start("en", rng).function if rng.random() < _CODE_COPIED else None
    listed = " ".join(names.invent(rng) for _ in range(rng.randrange(2, 12)))
    text = function.code if function else listed
    return Turn(f"= {text}", text, None)
