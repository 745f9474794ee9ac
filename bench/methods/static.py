"""transformers' model.generate on padded batches; each batch runs until its longest answer ends.

Settings: `batch` sequences at a time, in `order` of arrival, of the prompts' or of the answers'
length (no service knows the last beforehand: it flatters the method).
"""

from typing import Any

from bench import loop
from bench.methods import reference


def start(path: str, dtype: str, settings: dict[str, Any]) -> loop.Run:
    model = reference.load(path, dtype, settings)
    return lambda jobs: _run(model, jobs, settings["batch"], settings["order"])


def _run(model: Any, jobs: loop.Pairs, batch: int, order: str) -> list[list[int]]:
    keys = {
        "arrival": lambda number: number,
        "prompt": lambda number: len(jobs[number][0]),
        "answer": lambda number: jobs[number][1],
    }
    turns = sorted(range(len(jobs)), key=keys[order])
    answers: dict[int, list[int]] = {}
    for first in range(0, len(turns), batch):
        chosen = turns[first : first + batch]
        prompts = [list(jobs[number][0]) for number in chosen]
        longest = max(jobs[number][1] for number in chosen)
        answers |= dict(zip(chosen, reference.generate(model, prompts, longest), strict=True))
    return [answers[number][:length] for number, (_, length) in enumerate(jobs)]


if __name__ == "__main__":
    loop.serve(start, "transformers", "torch")
