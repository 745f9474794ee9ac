"""A constant of a task becomes its second parameter: "add k to each number", "words that start
with a given letter"."""

import re
from dataclasses import replace
from random import Random

from tools.demo.series_said import Task

_KNOWN = {
    **dict.fromkeys("td", ("n", "k", "m", "n")),
    **dict.fromkeys("kjmnh", ("k", "n", "m", "k", "p")),
    "l": ("letter", "char", "c", "ch"),
    "w": ("word", "w", "s", "text"),
    "v": ("word", "w", "s", "text"),
    "y": ("prefix", "start", "p", "s"),
    "z": ("suffix", "ending", "end", "s"),
}
_LIMITS = ("limit", "k", "n", "threshold", "bound", "limit", "t")
_OWN_NAMES = {
    "list_gt": "above", "list_starts": "starting_with", "list_starts_word": "starting_with",
    "list_ends": "ending_with", "list_ends_word": "ending_with", "list_has": "containing",
    "list_exactly": "words_of_length", "list_multiple": "multiples",
}  # fmt: skip
_CONDITIONS = re.compile(r"_(gt|ge|lt|le|equal|not_equal)$")
_OTHERWISE = {  # have a family with a parameter of its own
    "take", "tail", "top_k", "chunks", "rotate_k", "count_k", "contains_k", "without_k", "times",
    "count_word", "contains_word", "without_word", "third_max", "get_word", "get_k",
}  # fmt: skip
_TEXTS = ("text", "word", "s", "part", "w", "given", "t")
_LETTERS = ("letter", "char", "c", "ch")
_SLOT = re.compile(r"\$([kjnhdemtilwvyz])")


def take(task: Task, text: str, rng: Random) -> tuple[Task, str]:
    """The task with a further parameter and the wording that names it; or both as they are."""
    slots = set(_SLOT.findall(task.code))
    single = len(slots) == 1 and "," not in task.signature and task.code.count("$f(") == 1
    slot = slots.pop() if single else ""
    if task.id in _OTHERWISE or slot in "ei" or f"${slot}" not in text:
        return task, text
    known = _LIMITS if _CONDITIONS.search(task.id) else _KNOWN[slot]
    if slot in "lwyzv":
        pattern = rf"[\"“「]\${slot}[\"”」]"
        whole = len(re.findall(rf"\${slot}", text)) == len(re.findall(pattern, text))
        done = (_change(task, rf'"\${slot}"', known, "s"), _name(text, pattern))
    else:
        pattern = rf"\${slot}(?![a-z])"
        whole = not re.search(rf'"\${slot}"|\.0?\${slot}', task.code + text)
        done = (_change(task, pattern, known, "n"), _name(text, pattern))
    return done if whole else (task, text)


def _name(text: str, pattern: str) -> str:
    return re.sub(pattern, "$b", text)


def _change(task: Task, pattern: str, known: tuple[str, ...], kind: str) -> Task:
    code = re.sub(pattern, "$b", task.code).replace("$f($a)", "$f($a, $b)")
    used = set(re.findall(r"\w+", task.code))
    second = [name for name in known if name not in used]
    usual = task.parameters[0]
    parameters = [
        (*first, name) for name in second for first in task.parameters if name not in first
    ]
    first = next(name for name in second if name not in usual)
    return replace(
        task,
        names=(_OWN_NAMES[task.id], *task.names) if task.id in _OWN_NAMES else task.names,
        code=code,
        signature=task.signature.replace(">", f",{kind}>"),
        parameters=((*usual, first), *parameters),
    )
