"""`autoglm submit --check --server`: the server judges the file, and nothing is queued."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.cli import client
from app.cli.submit import check
from app.cli.submit.source import Source


@dataclass
class Judgement:
    """What the server found, summed over the parts of the file."""

    lines: int = 0
    batches: int = 0
    errors: int = 0
    warnings: int = 0
    prompt_tokens: int = 0
    max_answer_tokens: int = 0
    device_minutes: float | None = 0.0

    def add(self, verdict: dict[str, Any]) -> None:
        """Adds one part; the time is unknown if it is for any of them."""
        self.batches += 1
        for name in ("lines", "errors", "warnings", "prompt_tokens", "max_answer_tokens"):
            setattr(self, name, getattr(self, name) + int(verdict[name]))
        minutes = verdict["estimate"]["device_minutes"]
        known = self.device_minutes is not None and minutes is not None
        self.device_minutes = round((self.device_minutes or 0) + minutes, 2) if known else None


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
    chunk: check.Chunk,
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
