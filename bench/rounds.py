"""Runs that alternate between methods, and the medians of them."""

import contextlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench import children, choices, report, service, workloads
from bench.children import Answer, Method
from bench.shapes import Shape
from bench.workloads import Job, Workload


@dataclass(frozen=True)
class Order:
    """What to measure: methods on a workload, `runs` times each, with the chosen settings;
    `python` is the interpreter of vLLM's environment."""

    workload: Workload
    methods: tuple[str, ...]
    shape: Shape
    runs: int = report.FEWEST_ROUNDS
    python: str | None = None


@dataclass(frozen=True)
class Programs:
    """What a benchmark starts, each like the function that stands here."""

    start: Callable[..., AbstractContextManager[Method]] = children.start
    serve: Callable[[Shape, Workload], Method] = service.Service
    measure_pipeline: Callable[..., dict[str, Any]] = service.measure_pipeline


def measure(order: Order, programs: Programs) -> Iterator[dict[str, Any]]:
    """After each of the `runs` rounds a row for each method. Every method takes one turn in a
    round, while the processes of the others wait."""
    parts = {name: part(order.workload, name) for name in order.methods}
    answers: dict[str, list[Answer]] = {name: [] for name in order.methods}
    with contextlib.ExitStack() as stack:
        started = {
            name: stack.enter_context(_start(order, name, programs)) for name in order.methods
        }
        for number in range(order.runs):
            for name, method in started.items():
                answer = run(method, parts[name], number)
                answers[name].append(answer)
                print(f"  {order.workload.name} {name} {answer.seconds:.2f} s", flush=True)
            rows = _tabulate(order, parts, answers)
            yield {
                name: row | {"versions": started[name].versions or report.read_versions()}
                for name, row in rows.items()
            }


def part(workload: Workload, method: str) -> Workload:
    """What of the workload the method is given."""
    share = workloads.share_of(workload, method)
    return workload if share == 1 else workloads.sample(workload, share)


def run(method: Method, workload: Workload, number: int) -> Answer:
    """One run, whose answers must have as many tokens as the workload has."""
    answer = method.run(workload.draw(number))
    if answer.tokens != workload.num_tokens:
        raise RuntimeError(f"{answer.tokens} tokens came, {workload.num_tokens} were asked for")
    return answer


def warm(method: Method, workload: Workload) -> None:
    """A few short jobs, so that the first run pays for no start."""
    method.run([Job(job.prompt[-256:], min(8, job.answer)) for job in workload.draw(-1)[:4]])


@contextlib.contextmanager
def _start(order: Order, name: str, programs: Programs) -> Iterator[Method]:
    if name == "service":
        yield programs.serve(order.shape, order.workload)
        return
    options = choices.find(order.workload.name, name)
    python = order.python if name == "vllm" else None
    with programs.start(name, order.shape, options, python=python) as child:
        warm(child, order.workload)
        yield child


def _tabulate(
    order: Order, parts: Mapping[str, Workload], answers: Mapping[str, Sequence[Answer]]
) -> dict[str, Any]:
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    rows = {
        name: summarize(parts[name], [answer.seconds for answer in answers[name]])
        | {"share": workloads.share_of(order.workload, name)}
        | {"settings": choices.find(order.workload.name, name), "measured_at": moment}
        | {"model": order.shape.path.parent.name}
        for name in order.methods
    }
    return compare(rows)


def compare(rows: dict[str, Any]) -> dict[str, Any]:
    """The rows of one run with their ratio to ours of that run."""
    if "ours" not in rows:
        return rows
    ours = rows["ours"]["tokens_per_second"]
    return {
        name: row | {"to_ours": round(row["tokens_per_second"] / ours, 3)}
        for name, row in rows.items()
    }


def summarize(workload: Workload, seconds: Sequence[float]) -> dict[str, Any]:
    """The rates of the median run."""
    median = statistics.median(seconds)
    return {
        "tokens_per_second": round(workload.num_tokens / median, 1),
        "jobs_per_second": round(len(workload.lengths) / median, 2),
        "seconds": [round(each, 3) for each in seconds],
    }
