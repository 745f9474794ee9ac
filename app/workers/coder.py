"""Code jobs at a worker: what goes into the prompt, and what becomes of the answer.

The clerk calls `prepare` before the engine and `review` after it, both from its own thread; a
review may ask the model once more. The steps themselves are app.coding's.
"""

from dataclasses import dataclass, replace
from typing import Any

from app import settings, text
from app.coding import beginnings, instruction, memory, prompts, ranking
from app.coding.answers import Answer
from app.coding.prompts import Form
from app.errors import AutoglmError
from app.models.database import Database
from app.models.states import JobState
from app.text import Tokenizer
from app.wire.rows import Job, Memo, Outcome, Result, Turn
from app.workers import drafts, orders, schemas
from app.workers.drafts import Draft, Messages
from app.workers.orders import Order

_MOST_DRAFTS = 10_000
_MOST_SYMBOLS = 100  # of one answer that are remembered
_ANSWER_TOKENS = 256  # left free for an answer whose length the client left open
_TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens")


@dataclass(frozen=True)
class Bench:
    """What code jobs of one worker are prepared with."""

    db: Database
    tokenizer: Tokenizer
    max_context: int | None
    form: Form
    options: settings.Memory


class Coder:
    """Keeps the drafts of the jobs that this worker holds."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._drafts: dict[tuple[str, int], Draft] = {}

    def prepare(self, job: Job) -> Order:
        """The engine's order for a code job. Raises AutoglmError as orders.prepare does."""
        draft = self._draft(job)
        order = self._order(job, draft)
        self._keep(job, draft)
        return order

    def review(self, job: Job, outcome: Outcome) -> Outcome | Order:
        """The finished outcome, or the order by which the model is asked once more because
        something is wrong with its code. Where that fails, the first answer stands."""
        if outcome.result is None:
            return self._fall_back(job, outcome)
        draft = self._drafts.pop((job.id, job.attempt), None) or self._draft(job)
        outcome = drafts.complete(outcome, draft)
        assert outcome.result is not None
        if draft.first is not None:
            return self._finish(job, outcome, draft, drafts.choose(draft, outcome.result))
        result, answer = drafts.take(job, draft, outcome.result)
        if self._bench.form.heeds_faults(draft.draws) and drafts.is_wrong(answer, result):
            again = self._ask_again(job, draft, answer, result)
            if again is not None:
                return again
        return self._finish(job, outcome, draft, (result, answer))

    def _fall_back(self, job: Job, outcome: Outcome) -> Outcome:
        draft = self._drafts.pop((job.id, job.attempt), None)
        if draft is None or draft.first is None:
            return outcome
        asked, state = job.request["messages"], JobState.SUCCEEDED
        nothing: dict[str, Any] = dict.fromkeys(_TOKENS, 0)
        second = replace(draft.first, **nothing)
        outcome = Outcome(job.id, job.attempt, state, result=second, messages=asked)
        return self._finish(
            job, outcome, draft, (draft.first, drafts.read(draft, draft.first.text))
        )

    def _draft(self, job: Job) -> Draft:
        bench = self._bench
        asked: Messages = job.request["messages"]
        words = _find_instruction(asked)
        tree = instruction.parse(words)
        turns, dropped = self._choose_turns(job, asked)
        repeated = [message for turn in turns for message in _repeat(turn)]
        found = memory.retrieve(self._scope(job))
        choice = memory.choose(
            found,
            tree,
            words,
            seen="\n".join(turn.answer for turn in turns),
            count=lambda code: len(bench.tokenizer.encode(code)),
            budget=bench.options.context_tokens,
        )
        messages = prompts.compose(tree, choice.used, repeated, asked, form=bench.form)
        used = {"used": len(turns), "dropped": dropped}
        is_held = schemas.find_guide(job) is not None  # by a guide of the client's own
        beginning = "" if is_held else beginnings.find(tree, bench.form, found, words)
        shape = None if is_held else prompts.shape(tree, bench.form)
        context = {"symbols": choice.as_json(), "turns": used}
        draws = bench.form.draws if drafts.may_draw(job) and not is_held else 1
        return Draft(tree, words, messages, context, found, beginning, shape, draws)

    def _scope(self, job: Job) -> memory.Scope:
        days = self._bench.options.days
        name = job.request.get("scope")
        return memory.Scope(self._bench.db, job.tenant_id, job.session_id, name, days)

    def _choose_turns(self, job: Job, asked: Messages) -> tuple[list[Turn], int]:
        """The session's turns that fit beside everything else, pinned ones and the latest first, and
        how many do not."""
        turns = orders.read_turns(self._bench.db, job)
        room = self._find_room(job, asked)
        kept: list[Turn] = []
        for turn in sorted(turns, key=lambda turn: (not turn.pinned, -turn.turn_no)):
            room -= self._bench.tokenizer.count(_repeat(turn))
            if room < 0:
                break
            kept.append(turn)
        return sorted(kept, key=lambda turn: turn.turn_no), len(turns) - len(kept)

    def _find_room(self, job: Job, asked: Messages) -> float:
        bench = self._bench
        if bench.max_context is None:
            return float("inf")
        answer = job.request.get("sampling", {}).get("max_tokens", _ANSWER_TOKENS)
        used = bench.tokenizer.count(asked) + answer + bench.options.context_tokens
        return bench.max_context - used

    def _order(self, job: Job, draft: Draft) -> Order:
        bench = self._bench
        text.refuse_huge(bench.tokenizer, job.request, bench.max_context)
        order = orders.make(
            bench.tokenizer, job, bench.max_context, draft.messages, draft.beginning
        )
        order = orders.hold(order, draft.shape) if draft.shape else order
        return orders.draw(order, draft.draws, ranking.HEAT) if draft.draws > 1 else order

    def _keep(self, job: Job, draft: Draft) -> None:
        while len(self._drafts) >= _MOST_DRAFTS:  # of jobs that were cancelled or given back
            self._drafts.pop(next(iter(self._drafts)))
        self._drafts[job.id, job.attempt] = draft

    def _ask_again(self, job: Job, draft: Draft, answer: Answer, result: Result) -> Order | None:
        """Shows the model what is wrong. None where the longer conversation does not fit: then the
        first answer stands."""
        messages = prompts.compose_again(draft.tree, draft.messages, answer)
        try:
            order = self._order(job, replace(draft, messages=messages, draws=1))
        except AutoglmError:
            return None
        self._keep(job, replace(draft, first=result))
        return replace(order, request=replace(order.request, id=f"{order.request.id}:again"))

    def _finish(
        self, job: Job, outcome: Outcome, draft: Draft, chosen: tuple[Result, Answer]
    ) -> Outcome:
        assert outcome.result is not None
        result, answer = chosen
        coding = {
            **answer.as_json(),
            "asked": 1 if draft.first is None else 2,
            "drawn": draft.draws,
            "context_used": draft.context,
            "instruction": draft.tree.as_json(),
        }
        counted = _add_up(outcome.result, draft.first)
        result = replace(
            result, coding=coding, **{name: getattr(counted, name) for name in _TOKENS}
        )
        return replace(outcome, result=result, memo=self._make_memo(job, answer))

    def _make_memo(self, job: Job, answer: Answer) -> Memo | None:
        scope = job.request.get("scope")
        if not answer.symbols or (job.session_id is None and scope is None):
            return None
        return Memo(
            tenant_id=job.tenant_id,
            job_id=job.id,
            session_id=job.session_id,
            scope=scope,
            symbols=answer.symbols[:_MOST_SYMBOLS],
            max_symbols=self._bench.options.max_symbols,
        )


def _find_instruction(messages: Messages) -> str:
    """The last thing that the user said."""
    said = [message["content"] for message in messages if message["role"] == "user"]
    return str(said[-1]) if said else ""


def _repeat(turn: Turn) -> Messages:
    return [*turn.messages, {"role": "assistant", "content": turn.answer}]


def _add_up(result: Result, first: Result | None) -> Result:
    """All answers were paid for."""
    if first is None:
        return result
    return replace(
        result, **{name: getattr(result, name) + getattr(first, name) for name in _TOKENS}
    )
