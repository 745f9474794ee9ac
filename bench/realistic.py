"""A realistic offline file, seeded: instructions and few-shot examples that many lines share, and
duplicates, in the order in which such files come: shuffled.

`python -m bench.realistic FILE [LINES]` writes it as a batch file for POST /v1/files.
"""

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SEED = 21
_WORDS = [
    "the",
    "order",
    "was",
    "late",
    "and",
    "nobody",
    "answered",
    "my",
    "calls",
    "for",
    "three",
    "days",
    "though",
    "the",
    "parcel",
    "is",
    "here",
    "now",
    "please",
    "send",
    "a",
    "new",
    "cable",
    "because",
    "this",
    "one",
    "broke",
    "when",
    "I",
    "first",
    "used",
    "it",
    "thank",
    "you",
    "very",
    "much",
    "best",
    "screen",
    "battery",
    "price",
    "colour",
    "shop",
    "seller",
    "refund",
    "invoice",
    "address",
    "number",
    "weight",
    "size",
    "small",
    "green",
]


@dataclass(frozen=True)
class Task:
    """What one group of lines shares: instructions, and the pool its examples come from."""

    name: str
    instructions: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One line: its prompt as text (a byte is a token), its answer's tokens, and the number of the
    line that it repeats, if it does."""

    task: str
    prompt: str
    answer: int
    copy_of: int | None = None


def make(count: int = 256, *, tasks: int = 4, duplicates: float = 0.1) -> list[Line]:
    """`count` lines of several tasks, of which the share `duplicates` repeats an earlier line word
    for word. Each has its task's instructions, three or none of its examples, and its own text."""
    rng = random.Random(_SEED)
    kinds = [_make_task(rng, number) for number in range(tasks)]
    repeated = round(count * duplicates)
    originals = [_make_line(rng, rng.choice(kinds)) for _ in range(count - repeated)]
    order = [*range(len(originals)), *rng.sample(range(len(originals)), repeated)]
    rng.shuffle(order)
    return _mark(originals, order)


def _mark(originals: Sequence[Line], order: Sequence[int]) -> list[Line]:
    first: dict[int, int] = {}
    lines = []
    for number, index in enumerate(order):
        line = originals[index]
        copy_of = first.setdefault(index, number)
        is_copy = copy_of != number
        lines.append(Line(line.task, line.prompt, line.answer, copy_of if is_copy else None))
    return lines


def _make_task(rng: random.Random, number: int) -> Task:
    examples = [f"Text: {_write(rng, 60)}\nAnswer: {_write(rng, 20)}\n" for _ in range(4)]
    instructions = f"Task {number}. {_write(rng, rng.randint(150, 400))}\n"
    return Task(f"task-{number}", instructions, tuple(examples))


def _make_line(rng: random.Random, task: Task) -> Line:
    """Most users of a task take the same examples; the text differs, and so does the answer."""
    examples = "".join(task.examples[:3]) if rng.random() < 0.8 else ""
    own = _write(rng, int(min(400, max(20, 80 * rng.lognormvariate(0, 0.6)))))
    answer = int(min(128, max(4, 24 * rng.lognormvariate(0, 0.8))))
    return Line(task.name, f"{task.instructions}{examples}Text: {own}\nAnswer:", answer)


def _write(rng: random.Random, length: int) -> str:
    text = ""
    while len(text) < length:
        text += rng.choice(_WORDS) + " "
    return text[:length].strip()


def spell(lines: Sequence[Line], model: str) -> str:
    """The lines as a batch file for /v1/completions."""
    records = [
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/completions",
            "body": {
                "model": model,
                "prompt": line.prompt,
                "max_tokens": line.answer,
                "temperature": 0,
                "ignore_eos": True,
            },
        }
        for number, line in enumerate(lines)
    ]
    return "".join(json.dumps(record) + "\n" for record in records)


if __name__ == "__main__":
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 256
    Path(sys.argv[1]).write_text(spell(make(size), "bench"))
