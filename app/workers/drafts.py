"""A code job between its prompt and its answer, and what is made of the answer: of several drawn ones
the best, of two the better one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.coding import answers, checks, ranking
from app.coding.adherence import Said
from app.coding.answers import Answer
from app.coding.instruction import Tree
from app.coding.ranking import Draw
from app.wire.rows import Choice, Job, Outcome, Result, Symbol

Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Draft:
    """A code job between its prompt and its answer; `first` is the result that was sent back, `known`
    are the symbols from before, `draws` how many answers are drawn to choose from."""

    tree: Tree
    words: str  # the instruction
    messages: Messages
    context: dict[str, Any]
    known: Sequence[Symbol] = ()
    beginning: str = ""  # of the answer, put into the model's mouth
    shape: str | None = None  # a regular expression that the engine holds the answer to
    draws: int = 1
    first: Result | None = None


def read(draft: Draft, text: str) -> Answer:
    """An answer with everything that is wrong with it."""
    answer = answers.read(text, draft.tree)
    return checks.examine(answer, Said(draft.tree, draft.words), draft.messages, draft.known)


def may_draw(job: Job) -> bool:
    """Whether answers may be drawn to choose from: not where the client wants several for itself, the
    one likeliest, or to see it grow."""
    wished = job.request.get("sampling", {})
    return (
        wished.get("n", 1) == 1 and wished.get("temperature") != 0 and not job.request.get("stream")
    )


def take(job: Job, draft: Draft, result: Result) -> tuple[Result, Answer]:
    """The answer, of several draws the best."""
    if draft.draws == 1:
        return result, read(draft, result.text)
    found = {text: read(draft, text) for text in {choice.text for choice in result.choices}}
    draws = [
        Draw(found[choice.text], sum(each["logprob"] for each in choice.logprobs or ()))
        for choice in result.choices
    ]
    at = ranking.pick(draws)
    return _single_out(job, result, result.choices[at]), draws[at].answer


def is_wrong(answer: Answer, result: Result) -> bool:
    """Of several choices the client takes one: only what no parser reads is wrong then."""
    return answer.fault is not None or bool(answer.flaws and len(result.choices) == 1)


def choose(draft: Draft, second: Result) -> tuple[Result, Answer]:
    """The better one of the first answer and the one that came after it."""
    assert draft.first is not None
    first, later = read(draft, draft.first.text), read(draft, second.text)
    return (second, later) if checks.is_better(later, first) else (draft.first, first)


def _single_out(job: Job, result: Result, choice: Choice) -> Result:
    """A result of one choice alone, with log-probabilities if the client asked for them."""
    is_wanted = job.request.get("sampling", {}).get("logprobs") is not None
    details = {"logprobs": choice.logprobs} if is_wanted and choice.logprobs is not None else None
    return replace(result, text=choice.text, finish_reason=choice.finish_reason, details=details)


def complete(outcome: Outcome, draft: Draft) -> Outcome:
    """The answer, every choice of it, with its beginning."""
    result = outcome.result
    assert result is not None
    details = result.details
    if details and "others" in details:
        others = [{**each, "text": draft.beginning + each["text"]} for each in details["others"]]
        details = {**details, "others": others}
    whole = replace(result, text=draft.beginning + result.text, details=details)
    return replace(outcome, result=whole)
