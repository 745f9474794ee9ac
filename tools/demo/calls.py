"""Later turns that write a new function which calls earlier ones, and conversations that lead to it.

A file of `calls/` holds blocks that start with `@ id signatures : result`. `*` stands for any
parameters (up to three), `n*` for numbers only; two functions are joined with `&`. `name` lists names,
`arg` the new parameters: `own` (those of the older function), `rest` (all but its first), `items`,
`z=...` (one more number, with its usual names) or names as they are. In `code` and wordings {call}
is the call with all own parameters, {each} that with an element x, {a} {b} {c} are the own parameters,
{z} the new one, {l} the list; {k} {t} and others are drawn constants.
"""

from dataclasses import replace
from functools import cache
from random import Random

from tools.demo import callkinds, callwords, families, grammar, prompts
from tools.demo.callkinds import Call
from tools.demo.families import LANGUAGES, Family, Wording
from tools.demo.prompts import Function, Turn

_SLOTS = "abcd"
_OLD = 0.25  # of the calls, where there are several functions, name one that is not the latest
_BOTH = 0.3  # of the calls, where there are several functions, call the last two
_SPECIAL = 0.6  # of the calls of a function with calls of its own are such
_THIRD = 0.4  # of the beginnings have one more call
_SIBLING = 0.35  # of the follow-ups to a function with siblings ask for one of them
_COMPARED = {">=": "is_enough", ">": "is_over", "<": "is_under", "<=": "fits", "==": "is_exactly"}
_TRIES = 12


def compose(known: list[Function], language: str, rng: Random) -> Turn | None:
    """A request for a function that calls one or two of the known ones, oldest first."""
    newest = {function.name: function for function in known}  # what a name stands for in the end
    usable = [one for one in known if newest[one.name] is one and callkinds.is_usable(one)]
    if not usable or usable[-1] is not known[-1]:
        return None
    if usable[-1].topics[0] in callwords.words().siblings and rng.random() < _SIBLING:
        return ask_sibling(usable[-1], known, language, rng)
    if len(usable) > 1 and usable[-2].name != usable[-1].name and rng.random() < _BOTH:
        turn = _call_both(usable[-2], usable[-1], known, language, rng)
        if turn is not None:
            return turn
    older = usable[0] if len(usable) > 1 and rng.random() < _OLD else usable[-1]
    call = _choose(older, rng)
    for _ in range(_TRIES if call else 0):
        turn = ask(call, older, known, language, rng)  # type: ignore[arg-type]
        if older is usable[-1] or older.name in turn.request:
            return turn
    return None


def ask_sibling(older: Function, known: list[Function], language: str, rng: Random) -> Turn:
    """A request for the same with another result, in a function of its own that calls nothing."""
    wanted, *said = rng.choice(callwords.words().siblings[older.topics[0]])
    task = next(one for one in _tasks() if one.id == wanted)
    line = rng.choice(callwords.words().lines[language, "sibling"])
    text = grammar.expand(line, {}, rng).replace("%", said[LANGUAGES.index(language)])
    taken = {function.name for function in known}
    family = replace(
        task,
        names=tuple(name for name in task.names if name not in taken) or (f"{wanted}_2",),
        parameters=(callkinds.required(older),),
        wordings={word: (Wording("x", text),) for word in LANGUAGES},
    )
    return prompts.compose(family, language, rng)


def _choose(older: Function, rng: Random) -> Call | None:
    special = [call for topic in older.topics for call in _specials().get(topic, ())]
    special = [call for call in special if callkinds.suits(call, older)]
    if special and rng.random() < _SPECIAL:
        return rng.choice(special)
    suited = callkinds.suited("generic", older.signature)
    suited = tuple(call for call in suited if callkinds.suits(call, older))
    return rng.choices(suited, [len(call.lines["en"]) for call in suited])[0] if suited else None


@cache
def _specials() -> dict[str, tuple[Call, ...]]:
    found: dict[str, tuple[Call, ...]] = {}
    for call in callkinds.load("special"):
        for topic in call.patterns[0].split(","):
            found[topic] = (*found.get(topic, ()), call)
    return found


def _call_both(
    first: Function, second: Function, known: list[Function], language: str, rng: Random
) -> Turn | None:
    suited = [call for call in callkinds.load("both") if callkinds.match_both(call, first, second)]
    return ask(rng.choice(suited), first, known, language, rng, second) if suited else None


def ask(
    call: Call,
    older: Function,
    known: list[Function],
    language: str,
    rng: Random,
    other: Function | None = None,
) -> Turn:
    """One request for `call`."""
    own = callkinds.required(other if other is not None and "other" in call.arguments else older)
    values = callwords.draw(call.code, language, rng)
    factor = callkinds.FACTOR.search(older.code)
    values |= {"own": ", ".join(f"${slot}" for slot in _SLOTS[: len(own)])}
    values |= {"factor": factor[1]} if factor else {}
    taker = other if other is not None and "other" in call.arguments else older
    rows, kinds = _parameters(call, taker, own, language, rng)
    slots = _slots(call, own, rows[0])
    line = rng.choice(call.lines[language])
    text = callwords.say(line, older, language, rng, values | slots)
    taken = {function.name for function in known} | set(own)
    named = (_COMPARED[values["o"]],) if call.id == "compare" else call.names
    usual = tuple(name for name in named if name not in taken) or (f"{named[0]}_2",)
    usual += (callwords.name(language, "names", rng),)
    body = callwords.fill(call.code, values | slots).replace("«", "{").replace("»", "}")
    giving = {"*": older, "-": older, "+": other}.get(call.result)
    result = giving.signature.split(">")[1] if giving else call.result
    head = ", ".join(f"${slot}" for slot in _SLOTS[: len(rows[0])])
    family = Family(
        id=f"call_{call.id}",
        signature=f"{','.join(kinds)}>{result}",
        bases=(older.signature,),
        names=usual,
        parameters=rows,
        code=f"def $f({head}):\n    " + body.replace("\n", "\n    "),
        test="",
        wordings={word: (Wording("x", text),) for word in LANGUAGES},
        topic="calls",
    )
    return prompts.compose(family, language, rng, older, other)


def _parameters(
    call: Call, older: Function, own: tuple[str, ...], language: str, rng: Random
) -> tuple[tuple[tuple[str, ...], ...], list[str]]:
    """Rows of parameter names, the usual one first, and the kinds of the parameters."""
    first = older.signature[0]
    options: list[list[str]] = []
    kinds: list[str] = []
    for word in call.arguments:
        if word in ("own", "other", "rest"):
            taken = own[1:] if word == "rest" else own
            options += [[name] for name in taken]
            kinds += older.signature.split(">")[0].split(",")[-len(taken) :] if taken else []
        elif word in ("items", "numbers", "words"):
            options.append([name for name in callwords.lists(word, first) if name != older.name])
            kinds.append("l")
        else:
            label, _, named = word.rpartition("=")
            taken = (*own, older.name)
            free = [name for name in named.split(",") if name not in taken or not label]
            options.append(free or [f"{own[0]}2"])
            if label == "z":
                extra = callwords.name(language, "extras", rng)
                options[-1] += [] if extra in taken else [extra]
            kinds.append({"": first, "z": "n"}.get(label, label))
    usual = tuple(names[0] for names in options)
    rows = [usual] + [tuple(map(rng.choice, options)) for _ in range(2)]
    return tuple(row for row in rows if len(set(row)) == len(row)), kinds


def _slots(call: Call, own: tuple[str, ...], row: tuple[str, ...]) -> dict[str, str]:
    """What {call}, {each}, {z}, {l} and {a} {b} {c} stand for."""
    found: dict[str, str] = {}
    listed = iter(f"${slot}" for slot in _SLOTS[: len(row)])
    called: list[str] = []
    for word in call.arguments:
        if word in ("own", "other"):
            called = [next(listed) for _ in own]
        elif word == "rest":
            called = ["x", *(next(listed) for _ in own[1:])]
        elif word in ("items", "numbers", "words"):
            found["l"] = next(listed)
        else:
            found["z" if "=" in word else word] = next(listed)
    found["call"] = f"$g({', '.join(called)})"
    found["swap"] = f"$g({', '.join(reversed(called))})"
    found["other"] = f"$h({', '.join(called)})"
    found["each"] = f"$g({', '.join(called or ['x'])})" if "rest" in call.arguments else "$g(x)"
    return found | dict(zip("abc", called, strict=False))


def start(language: str, rng: Random) -> list[Turn]:
    """A first request and one or two that belong to it."""
    while True:
        call = rng.choice(callkinds.load("special"))
        task = callwords.settle(rng.choice(_bases(call.patterns)), language, rng)
        first = prompts.compose(task, language, rng)
        older = first.function
        if older is not None and callkinds.is_usable(older) and callkinds.suits(call, older):
            break
    turns = [first, ask(call, older, [older], language, rng)]
    second = turns[1].function
    if rng.random() < _THIRD and second is not None:
        third = compose([older, second], language, rng)
        turns += [third] if third else []
    return turns


@cache
def _tasks() -> tuple[Family, ...]:
    return (*families.load_tasks(), *families.load("starts"))


@cache
def _bases(patterns: tuple[str, ...]) -> tuple[Family, ...]:
    """The tasks that a special call goes with."""
    wanted = patterns[0].split(",")
    suited = (one for one in _tasks() if one.id in wanted)
    return tuple(one for one in suited if callkinds.matches(patterns, one.signature))
