"""What a batch of this file would meet, before anything is queued: every bad line, lines that are too
long, duplicates, schemas that cannot be used, and how much work it would be.

One pass in bounded memory: of each line two 8-byte hashes are kept, and one of each session.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from app import locales
from app.errors import AutoglmError, BadRequest, NotFound
from app.intake import kinds, lines, links, schemas
from app.wire import generation, responses

DEFAULT_ANSWER_TOKENS = 256  # the engine's, where a line does not say max_tokens

Measure = Callable[[str, Mapping[str, Any]], int | None]
"""The tokens of a request's prompt for a model; BadRequest if it is too long. None: the model's
tokenizer is not to be had, so nobody knows."""


@dataclass(frozen=True)
class Finding:
    """Something about a line (None: the file). An error of `scope` "batch" has the whole batch
    refused, one of "line" fails that line alone; a warning ("note") changes nothing."""

    line: int | None
    scope: str
    code: str
    message: str
    param: str | None = None
    first_line: int | None = None

    def show(self) -> dict[str, Any]:
        """As a client sees it: an entry of a batch's `errors`, and what it means."""
        entry = {"line": self.line, "code": self.code, "message": self.message, "param": self.param}
        severity = "warning" if self.scope == "note" else "error"
        return {**entry, "severity": severity, "scope": self.scope, "first_line": self.first_line}


@dataclass
class Preflight:
    """Judges a file line by line; the counts are complete when `read` has ended."""

    rules: lines.Rules
    measure: Measure
    has_session: Callable[[str], bool]
    total: int = 0
    batch_errors: int = 0
    line_errors: int = 0
    warnings: int = 0
    prompt_tokens: int | None = 0  # None as soon as one line's are unknown
    max_answer_tokens: int = 0
    num_answers: int = 0  # of lines that can run: one for each choice
    model: str | None = None
    _requests: dict[int, int] = field(default_factory=dict)
    _index: links.Index = field(default_factory=links.Index)
    _sessions: dict[bytes, bool] = field(default_factory=dict)
    _failing: set[int] = field(default_factory=set)  # lines that later ones cannot follow on

    def read(self, file: BinaryIO) -> Iterator[Finding | None]:
        """Every finding, in the order of the lines; None after a line without any, so that the
        caller can tell that time passes."""
        survey = lines.Survey(self.rules)
        for raw in lines.iterate(file, self.rules.limits.max_line_bytes):
            if self.total == self.rules.limits.max_batch_lines:
                yield self._refuse(None, lines.BadLine("too_many_tasks", limit=self.total))
                return
            self.total += 1
            yield from self._judge(survey, raw)
        if not self.total:
            yield self._refuse(None, lines.BadLine("empty_file"))
        self.model = survey.model

    def _judge(self, survey: lines.Survey, raw: lines.Raw) -> Iterator[Finding | None]:
        refusal = survey.take(raw)
        if refusal is not None:
            yield self._refuse(raw.number, refusal)
            return
        custom_id, was_known = None, self.prompt_tokens is not None
        try:
            record = lines.read_record(raw, self.rules.limits)
            custom_id = record["custom_id"]
            lines.refuse_unknown(record)
            self._measure(record["body"], survey.model or "")
        except AutoglmError as error:
            self.line_errors += 1
            self._failing.add(raw.number)
            self._index.add(getattr(error, "custom_id", custom_id), raw.number)
            message = locales.explain(error, self.rules.locale)
            yield Finding(raw.number, "line", error.code, message, error.param)
        else:
            yield from self._tell_unknown(survey.model or "", was_known=was_known)
            yield self._compare(raw.number, record["body"])
            self._index.add(custom_id, raw.number)

    def _refuse(self, number: int | None, error: lines.BadLine) -> Finding:
        self.batch_errors += 1
        shown = lines.describe(error, number, self.rules.locale)
        return Finding(number, "batch", shown["code"], shown["message"], shown["param"])

    def _measure(self, body: dict[str, Any], model: str) -> None:
        """Counts the tokens of a line that can run; AutoglmError for any other. Of a conversation
        only what the line itself says is counted: what precedes it is not there yet."""
        plain, _ = kinds.split(body, self.rules.endpoint)
        rest, named = links.split(plain, self.rules.endpoint, self._index)
        request = generation.parse(rest, endpoint=self.rules.endpoint, limits=self.rules.limits)
        schemas.check(request, self.rules.endpoint)
        if named.session_id is not None and not self._has_session(named.session_id):
            raise NotFound("session_not_found", param="session_id", id=named.session_id)
        if named.parent_line in self._failing:
            name = body["previous_response_id"].removeprefix(links.PREFIX)
            raise BadRequest("dependency_failed", param="previous_response_id", custom_id=name)
        tokens = self._count(model, request, body)
        known = self.prompt_tokens
        self.prompt_tokens = None if tokens is None or known is None else known + tokens
        sampling = request["sampling"]
        longest, choices = sampling.get("max_tokens", DEFAULT_ANSWER_TOKENS), sampling.get("n", 1)
        self.max_answer_tokens += longest * choices
        self.num_answers += choices

    def _count(self, model: str, request: dict[str, Any], body: dict[str, Any]) -> int | None:
        try:
            return self.measure(model, responses.find_least(request))
        except BadRequest as error:
            param = responses.name_param(error.param, self.rules.endpoint)
            if param == "max_tokens":
                param = generation.name_limit(body.get("max_completion_tokens"))
            raise BadRequest(error.code, param=param, **error.values) from error

    def _tell_unknown(self, model: str, *, was_known: bool) -> Iterator[Finding]:
        """Once, at the first line whose prompt could not be counted."""
        if was_known and self.prompt_tokens is None:
            self.warnings += 1
            error = BadRequest("lengths_unknown", model=model)
            message = locales.explain(error, self.rules.locale)
            yield Finding(None, "note", error.code, message)

    def _has_session(self, session_id: str) -> bool:
        """Asked once for each session, however many lines name it."""
        key = hashlib.blake2b(session_id.encode(), digest_size=8).digest()
        if key not in self._sessions:
            self._sessions[key] = self.has_session(session_id)
        return self._sessions[key]

    def _compare(self, number: int, body: dict[str, Any]) -> Finding | None:
        """A warning for a request that an earlier line makes too."""
        canonical = json.dumps(body, sort_keys=True).encode()  # of integers of any size
        key = int.from_bytes(hashlib.blake2b(canonical, digest_size=8).digest(), "big")
        first = self._requests.setdefault(key, number)
        if first == number:
            return None
        self.warnings += 1
        error = BadRequest("identical_request", line=first)
        message = locales.explain(error, self.rules.locale)
        return Finding(number, "note", error.code, message, "body", first)
