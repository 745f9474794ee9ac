"""`autoglm submit --check --server`: the server judges the file, and nothing is queued."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from app.cli import client
from app.cli.submit import check, division
from app.cli.submit.source import Source

N = TypeVar("N", int, float)


@dataclass
class Judgement:
    """What the server found, summed over the parts of the file."""

    lines: int = 0
    batches: int = 0
    errors: int = 0
    warnings: int = 0
    prompt_tokens: int | None = 0
    max_answer_tokens: int = 0
    device_minutes: float | None = 0.0
    reason: str | None = None  # why the time is unknown

    def add(self, verdict: dict[str, Any]) -> None:
        """Adds one part; what is unknown of any of them is unknown of all."""
        self.batches += 1
        for name in ("lines", "errors", "warnings", "max_answer_tokens"):
            setattr(self, name, getattr(self, name) + int(verdict[name]))
        self.prompt_tokens = _add(self.prompt_tokens, verdict["prompt_tokens"])
        estimate = verdict["estimate"]
        self.device_minutes = _add(self.device_minutes, estimate["device_minutes"])
        self.reason = self.reason or estimate["reason"]


def _add(total: N | None, part: N | None) -> N | None:
    return None if total is None or part is None else round(total + part, 2)


def ask(
    api: client.Client,
    source: Source,
    verdict: check.Verdict,
    report: Callable[[check.Problem], None],
) -> Judgement:
    """Uploads each part, has it judged, and removes it again; `report` hears of every finding, with
    its line number in this file."""
    judgement = Judgement()
    for index, chunk in enumerate(verdict.chunks):
        name = f"check-{index}.jsonl"
        file = api.upload_file(name, chunk.bytes, lambda span=chunk.span: source.read(span))  # type: ignore[misc]
        try:
            answer = api.validate_file(str(file["id"]), verdict.endpoint)
        finally:
            api.delete_file(str(file["id"]))
        _report(source, chunk, answer["data"], report)
        judgement.add(answer)
    return judgement


def _report(
    source: Source,
    chunk: division.Chunk,
    found: list[dict[str, Any]],
    report: Callable[[check.Problem], None],
) -> None:
    numbers = source.line_numbers(chunk.span, {each["line"] for each in found if each["line"]})
    for each in found:
        report(
            check.Problem(
                numbers.get(each["line"] or 0),
                each["code"],
                each["param"],
                text=each["message"],
                severity=each["severity"],
            )
        )
