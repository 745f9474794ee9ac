"""What drawing several answers is worth: turns right when run, by how the answer is chosen.

python -m tools.sessions.draws [--cases tuning wide people]

Every turn of evals/demo is asked after the right answers to the earlier ones, greedily and `DRAWS`
times at random, without the beginnings of code jobs. docs/coding.md has the figures.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from app import settings
from app.coding import answers, checks, instruction, ranking, symbols
from app.coding.adherence import Said
from app.coding.ranking import Draw
from app.inference.engine import Output, Request, Sampling
from app.wire.rows import Symbol
from app.workers import loading
from app.workers.loading import Loaded
from tools.demo import execute

FOLDER = Path(__file__).parents[2] / "evals" / "demo"
DRAWS = 48
_REPEATS = 8  # samples of the draws
_OLD = 16  # draws where a fault was found, until 2026-12-01


@dataclass(frozen=True)
class Turn:
    """A request after the right answers to those before it, and what must be true of its answer."""

    requests: tuple[str, ...]
    before: tuple[str, ...]
    checks: tuple[execute.Check, ...]

    @property
    def messages(self) -> list[dict[str, Any]]:
        said = zip(self.requests, self.before, strict=False)
        pairs = ((("user", asked), ("assistant", told)) for asked, told in said)
        earlier = [{"role": role, "content": text} for pair in pairs for role, text in pair]
        return [*earlier, {"role": "user", "content": self.requests[-1]}]

    @property
    def kind(self) -> str:
        return "later" if self.before else "first"


def read(name: str) -> Iterator[Turn]:
    """The turns of a set that has references."""
    lines = (FOLDER / f"references_{name}.jsonl").read_text(encoding="utf-8").splitlines()
    right = {each["id"]: tuple(each["answers"]) for each in map(json.loads, lines)}
    for case in map(json.loads, (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()):
        found, number = right.get(case["id"]), len(case["turns"])
        for at in range(number if found and case["kind"] != "offtopic" else 0):
            due = (execute.Check(**each) for each in case["checks"])
            kept = tuple(replace(each, turn=-1) for each in due if each.turn % number == at)
            yield Turn(tuple(case["turns"][: at + 1]), (found or ())[:at], kept)


def ask(loaded: Loaded, turn: Turn, number: int) -> tuple[Draw, list[Draw]]:
    """The greedy answer and the drawn ones, read and checked."""
    prompt = tuple(loaded.tokenizer.prompt(turn.messages))
    greedy = Sampling(max_tokens=160, temperature=0.0, logprobs=0)
    drawn = replace(greedy, temperature=ranking.HEAT, n=DRAWS, seed=number)
    first, several = (
        _run(loaded, Request(f"{number}:{each.n}", prompt, each)) for each in (greedy, drawn)
    )
    known = _know(turn.before)
    return _read(first, turn, known), [
        _read(each, turn, known) for each in (several, *several.others)
    ]


def _run(loaded: Loaded, request: Request) -> Output:
    loaded.engine.add(request)
    while not (outputs := loaded.engine.step()):
        pass
    return outputs[0]


def _know(codes: Sequence[str]) -> list[Symbol]:
    """The latest version of each symbol, the last one first."""
    found: dict[str, Symbol] = {}
    for at, code in enumerate(codes):
        for each in symbols.extract(code, "python"):
            found[each.name] = Symbol(
                at, "", None, None, each.name, each.kind, "python", 1, each.signature, each.type,
                each.value, each.code, "", pinned=False, is_current=True, created_at=0.0,
            )  # fmt: skip
    return sorted(found.values(), key=lambda symbol: -symbol.id)


def _read(output: Output, turn: Turn, known: Sequence[Symbol]) -> Draw:
    text = turn.requests[-1]
    tree = instruction.parse(text)
    answer = checks.examine(answers.read(output.text, tree), Said(tree, text), turn.messages, known)
    return Draw(answer, sum(each.logprob for each in output.logprobs or ()))


def compare(first: Draw, draws: Sequence[Draw], turn: Turn, rng: Random) -> dict[str, float]:
    """How often each way of choosing is right."""
    right = {
        text: execute.find_fault([*turn.before, text], list(turn.checks)) is None
        for text in {draw.answer.text for draw in (first, *draws)}
    }
    found: Counter[str] = Counter({"greedy": right[first.answer.text]})
    for _ in range(_REPEATS):
        found["asked again"] += right[_ask_again(first, rng.sample(draws, _OLD))] / _REPEATS
        for count in (8, 16, 32):
            some = rng.sample(draws, count)
            found[f"of {count}"] += right[some[ranking.pick(some)].answer.text] / _REPEATS
            found[f"any of {count}"] += any(right[each.answer.text] for each in some) / _REPEATS
        likely = max(some, key=lambda draw: draw.likelihood)
        found["of 32, unchecked"] += right[likely.answer.text] / _REPEATS
    return found


def _ask_again(first: Draw, draws: Sequence[Draw]) -> str:
    """The first answer, or the most frequent of better ones, as it was once done."""
    times = Counter(draw.answer.code for draw in draws)
    best = min(draws, key=lambda each: (checks.weigh(each.answer), -times[each.answer.code]))
    is_better = checks.weigh(best.answer) < checks.weigh(first.answer)
    return (best if is_better else first).answer.text


def main() -> None:
    """Prints the share of right turns of each set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", default=["tuning", "wide", "people"])
    names = parser.parse_args().cases
    loaded, rng = loading.load(settings.load().models[0], "cpu"), Random(1)
    for name in names:
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        for number, turn in enumerate(read(name)):
            sums[turn.kind].update(compare(*ask(loaded, turn, number), turn, rng))
            sums[turn.kind]["turns"] += 1
        for kind, found in sums.items():
            print(name, kind, found.pop("turns"), {each: round(found[each]) for each in found})


if __name__ == "__main__":
    main()
