"""Answers that must match a schema are judged, and asked for again with what was wrong."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from app import locales
from app.errors import AutoglmError, Unavailable
from app.inference.engine import FinishReason, Output
from app.models.states import JobState
from app.wire import guides
from app.wire.rows import Job, Outcome, Problem
from app.workers import orders, schemas
from app.workers.orders import Order, Spent

_LANGUAGE = "en-US"  # of what the model is told; the job's own language is not known


@dataclass(frozen=True)
class Broken:
    """An answer that does not fit, and why; of several choices the first one."""

    text: str
    fault: str


@dataclass(frozen=True)
class Judge:
    """`prepare` turns a job into an order, as for a first attempt; `max_reasks` is the default."""

    prepare: Callable[[Job], Order]
    max_reasks: int = 0

    def decide(self, order: Order, output: Output, provenance: dict[str, Any]) -> Order | Outcome:
        """The outcome of an answer, or the order that asks for it again."""
        spent = order.spent.plus(output)
        broken = _find_broken(order.job, output)
        if broken is None:
            return _count(orders.conclude(order, output, provenance), order, spent)
        limit = order.job.request.get("max_reasks", self.max_reasks)
        if order.asks > limit:
            return _give_up(order, broken, spent)
        try:
            return self._ask(order, broken, spent)
        except Unavailable:
            raise
        except AutoglmError:  # what was wrong does not fit into the context any more
            return _give_up(order, broken, spent)

    def _ask(self, order: Order, broken: Broken, spent: Spent) -> Order:
        """The same request, followed by the answer and what is wrong with it. Only the last answer
        is shown, so that the prompt does not grow."""
        again = self.prepare(_extend(order.job, broken))
        asks = order.asks + 1
        name = f"{order.job.id}:{order.job.attempt}:ask{asks}"
        request = replace(again.request, id=name)
        return Order(order.job, request, asks, spent)


def _find_broken(job: Job, output: Output) -> Broken | None:
    schema = schemas.find_schema(job)
    texts = (each.text for each in (output, *getattr(output, "others", ())))
    judged = (Broken(text, schemas.find_fault(schema, text) or "") for text in texts)
    return next((each for each in judged if each.fault), None)


def is_due(order: Order, output: Output) -> bool:
    """Whether this output is an answer that has to be judged. One that max_tokens cut off would be
    cut off again: it is given out as it is, with finish_reason `length`."""
    is_whole = output.finish_reason is FinishReason.STOP
    return is_whole and schemas.find_schema(order.job) is not None


def _extend(job: Job, broken: Broken) -> Job:
    wish = locales.message("worker.ask_again", locale=_LANGUAGE, fault=broken.fault)
    request = dict(job.request)
    if "messages" in request:
        said = [{"role": "assistant", "content": broken.text}, {"role": "user", "content": wish}]
        request["messages"] = [*request["messages"], *said]
    else:
        request["prompt"] = f"{request['prompt']}{broken.text}\n\n{wish}\n"
    return replace(job, request=request)


def _count(outcome: Outcome, order: Order, spent: Spent) -> Outcome:
    """The tokens of every ask are the job's; how often it was asked stands in the provenance."""
    if outcome.result is None or order.asks == 1:
        return outcome
    provenance = outcome.result.provenance | {"asks": order.asks}
    return replace(outcome, result=replace(outcome.result, provenance=provenance, **vars(spent)))


def _give_up(order: Order, broken: Broken, spent: Spent) -> Outcome:
    values = {**vars(broken), "asks": order.asks, "usage": vars(spent)}
    guide = schemas.find_guide(order.job)
    assert guide is not None
    problem = Problem("schema_violation", guides.name(guide, order.job.endpoint), values)
    return Outcome(order.job.id, order.job.attempt, JobState.FAILED, problem=problem)
