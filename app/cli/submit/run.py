"""One submission from input file to results file, in steps that can each be repeated safely."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import cli, errors
from app.cli import client
from app.cli.submit import batches, check, division, merge, progress, state
from app.cli.submit.source import Source


@dataclass(frozen=True)
class Submission:
    """What to submit, and where its results and its state go."""

    source: Path
    results: Path
    limits: division.Limits
    report: Callable[[check.Problem], None]  # hears of every problem, as it is found

    @property
    def state_path(self) -> Path:
        return state.state_path(self.results)


@dataclass(frozen=True)
class Summary:
    """How a submission ended; `seconds` and `rate` (lines per second) are those of this run."""

    results: str
    lines: int
    succeeded: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    rate: float


def check_source(submission: Submission) -> check.Verdict:
    """Checks the file against the rules; InputError if it breaks one."""
    verdict = check.check_file(submission.source, submission.limits, submission.report)
    if verdict.problems:
        raise errors.InputError(
            "invalid_input_file", path=str(submission.source), problems=verdict.problems
        )
    return verdict


def run_submission(
    submission: Submission, api: client.Client, display: progress.Display, *, resume: bool
) -> Summary:
    """Carries the submission to its end, from wherever an earlier run left it."""
    started = time.monotonic()
    source = Source(submission.source)
    current = _prepare(submission, source, api.url, resume=resume)
    is_resumed = current.is_begun
    if is_resumed:
        display.say(cli.say("submit.resumed", state=str(submission.state_path)))
    current = _create(submission, source, api, display, current)
    ended, done_before = batches.follow(api, display, current)
    if any(batch["status"] == "failed" for batch in ended):
        _refuse(submission, source, api, current, ended)
    tally = _collect(submission, source, api, current, ended)
    submission.state_path.unlink(missing_ok=True)
    return _summarize(
        submission, tally, time.monotonic() - started, done_before if is_resumed else 0
    )


def _prepare(submission: Submission, source: Source, url: str, *, resume: bool) -> state.State:
    """The state to go on from; it is on disk before anything is sent."""
    left = state.load_state(submission.state_path) if resume else None
    if left:
        _refuse_mismatch(submission, left, source, url)
        return left
    verdict = check_source(submission)
    parts = tuple(state.Part(chunk) for chunk in verdict.chunks)
    fresh = state.State(source.sha256, url, verdict.endpoint, uuid.uuid4().hex, parts)
    state.save_state(submission.state_path, fresh)
    return fresh


def _refuse_mismatch(submission: Submission, left: state.State, source: Source, url: str) -> None:
    path = str(submission.source)
    if left.sha256 != source.sha256:
        raise errors.InputError("input_changed", path=path, state=str(submission.state_path))
    if left.url != url:
        raise errors.InputError("other_server", path=path, url=left.url, given=url)


def _create(
    submission: Submission,
    source: Source,
    api: client.Client,
    display: progress.Display,
    current: state.State,
) -> state.State:
    """Uploads and creates what is still missing, noting each step as soon as it is done."""
    for index in range(len(current.parts)):
        for step in (batches.upload, batches.create):
            current = step(api, source, current, index)
            state.save_state(submission.state_path, current)
        display.say(cli.say("submit.created", **_names(current.parts[index])))
    return current


def _names(part: state.Part) -> dict[str, Any]:
    return {"batch": part.batch_id, "file": part.file_id, "lines": part.chunk.lines}


def _refuse(
    submission: Submission,
    source: Source,
    api: client.Client,
    current: state.State,
    ended: list[dict[str, Any]],
) -> None:
    """Reports every error of the batches the server refused, and gives up the whole file."""
    problems = 0
    for part, batch in zip(current.parts, ended, strict=True):
        for problem in batches.problems(source, part, batch):
            problems += 1
            submission.report(problem)
    batches.cancel_rest(api, ended)
    submission.state_path.unlink(missing_ok=True)
    raise errors.InputError("batch_refused", path=str(source.path), problems=problems)


def _collect(
    submission: Submission,
    source: Source,
    api: client.Client,
    current: state.State,
    ended: list[dict[str, Any]],
) -> merge.Tally:
    """Downloads all results and writes them in input order, replacing the results file at once."""
    tally = merge.Tally()
    with state.replacing(submission.results) as target, target.open("wb") as out:
        for part, batch in zip(current.parts, ended, strict=True):
            paths = batches.download(api, batch, submission.results)
            ids = source.custom_ids(part.chunk.span)
            merge.merge_results(ids, paths, out, tally, missing=batches.missing_code(batch))
            for path in paths:
                path.unlink()
    return tally


def _summarize(
    submission: Submission, tally: merge.Tally, seconds: float, done_before: int
) -> Summary:
    lines = tally.succeeded + tally.failed
    return Summary(
        results=str(submission.results),
        lines=lines,
        succeeded=tally.succeeded,
        failed=tally.failed,
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        seconds=round(seconds, 3),
        rate=round((lines - done_before) / max(seconds, 0.001), 2),
    )
