"""Checks an input file against the rules of the Batch API, before any server is asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from app import cli
from app.cli.submit import division, lines
from app.errors import BadRequest
from app.wire import document

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/responses")
MAX_ID_CHARACTERS = 64
LINE_PREFIX = "custom_id:"  # of the line that another one follows on
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Problem:
    """One broken rule on one line (None: on the file as a whole)."""

    line: int | None
    code: str
    param: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    text: str = ""  # the message, where a server has already worded it
    severity: str = "error"  # a server's findings may be warnings

    @property
    def message(self) -> str:
        return self.text or cli.say(f"submit.problem_{self.code}", **self.values)

    def to_json(self) -> dict[str, Any]:
        found = {"line": self.line, "code": self.code, "param": self.param}
        warning = {} if self.severity == "error" else {"severity": self.severity}
        return {**found, "message": self.message, **warning}


@dataclass(frozen=True)
class Verdict:
    """What a check found: the chunks to submit, and how many problems there are."""

    endpoint: str
    lines: int
    chunks: tuple[division.Chunk, ...]
    problems: int


class Checker:
    """The rules that one line must keep, alone and beside the lines before it."""

    def __init__(self) -> None:
        self.endpoint: str | None = None
        self._model: str | None = None
        self._first_uses: dict[int, int] = {}  # hash of custom_id -> line: 64 bits suffice
        self.reach: dict[int, int] = {}  # line -> the last line that follows on it

    def check(self, line: lines.Line, limits: division.Limits) -> Iterator[Problem]:
        """Every problem of this line."""
        if line.content is None:
            yield Problem(line.number, "line_too_long", None, {"bytes": limits.line_bytes})
            return
        record = _parse(line.content)
        if isinstance(record, BadRequest):
            text = cli.say(f"errors.{record.code}", **record.values)
            yield Problem(line.number, record.code, text=text)
            return
        if isinstance(record, str):
            yield Problem(line.number, record)
            return
        for code, param, values in self._inspect(record, line.number):
            yield Problem(line.number, code, param, values)

    def _inspect(self, record: dict[str, Any], number: int) -> Iterator["Flaw"]:
        for name, kind in _FIELDS.items():
            yield from _inspect_field(record, name, kind)
        for name in sorted(record.keys() - _FIELDS.keys()):
            yield "unknown_parameter", _shown(name), {"name": _shown(name)}
        yield from self._inspect_id(record.get("custom_id"), number)
        yield from self._inspect_target(record)
        if isinstance(record.get("body"), dict):
            yield from self._inspect_model(record["body"].get("model"))
            yield from _inspect_body(record["body"], record.get("url"))
            self._note_link(record["body"].get("previous_response_id"), number)

    def _note_link(self, previous: Any, number: int) -> None:
        """One that names no line above is the server's to refuse."""
        if isinstance(previous, str) and previous.startswith(LINE_PREFIX):
            parent = self._first_uses.get(hash(previous.removeprefix(LINE_PREFIX)))
            if parent is not None:
                self.reach[parent] = number

    def _inspect_id(self, custom_id: Any, number: int) -> Iterator["Flaw"]:
        if not isinstance(custom_id, str):
            return
        if not 1 <= len(custom_id) <= MAX_ID_CHARACTERS:
            yield "invalid_custom_id", "custom_id", {"max": MAX_ID_CHARACTERS}
        first = self._first_uses.setdefault(hash(custom_id), number)
        if first != number:
            yield "duplicate_custom_id", "custom_id", {"id": _shown(custom_id), "line": first}

    def _inspect_target(self, record: dict[str, Any]) -> Iterator["Flaw"]:
        method, url = record.get("method"), record.get("url")
        if isinstance(method, str) and method != "POST":
            yield "invalid_method", "method", {"method": _shown(method)}
        if not isinstance(url, str):
            return
        if url not in ENDPOINTS:
            yield "unknown_url", "url", {"url": _shown(url), "supported": ", ".join(ENDPOINTS)}
            return
        self.endpoint = self.endpoint or url
        if url != self.endpoint:
            yield "invalid_url", "url", {"url": url, "first": self.endpoint}

    def _inspect_model(self, model: Any) -> Iterator["Flaw"]:
        if not isinstance(model, str) or not model:
            yield "missing_model", "body.model", {}
            return
        self._model = self._model or model
        if model != self._model:
            yield "mismatched_model", "body.model", {"model": _shown(model), "first": self._model}


Flaw = tuple[str, str | None, dict[str, Any]]
_FIELDS: dict[str, type] = {"custom_id": str, "method": str, "url": str, "body": dict}
_LINE_CODES = {"invalid_json": "invalid_json_line", "invalid_utf8": "invalid_utf8"}
_JSON_NAMES: dict[type, str] = {str: "string", dict: "object"}


def check_file(path: Path, limits: division.Limits, report: Callable[[Problem], None]) -> Verdict:
    """Reads the whole file, and once more if lines that follow on one another may need several
    batches; `report` hears of every problem as it is found."""
    checker, problems = Checker(), 0
    chunks: list[division.Chunk] = []
    for line in lines.read_lines(path, lines.Span(), max_bytes=limits.line_bytes):
        division.append(chunks, division.take(line), limits)
        for problem in checker.check(line, limits):
            problems += 1
            report(problem)
    count = sum(chunk.lines for chunk in chunks)
    if checker.reach and len(chunks) > 1:
        chunks = division.keep_together(path, limits, checker.reach)
    for problem in _inspect_chunks(chunks, limits):
        problems += 1
        report(problem)
    return Verdict(checker.endpoint or ENDPOINTS[0], count, tuple(chunks), problems)


def _inspect_chunks(chunks: list[division.Chunk], limits: division.Limits) -> Iterator[Problem]:
    if not chunks:
        yield Problem(None, "empty_file")
    for chunk in chunks:
        if chunk.lines > 1 and not division.fits(chunk, limits):
            values = {"lines": chunk.lines, "bytes": chunk.bytes}
            bounds = {"max_lines": limits.batch_lines, "max_bytes": limits.batch_bytes}
            yield Problem(
                chunk.span.number,
                "conversation_too_long",
                "body.previous_response_id",
                values | bounds,
            )


def _parse(content: bytes) -> dict[str, Any] | str | BadRequest:
    """The line's object, or the code of what is wrong with it, or what a server would say."""
    try:
        record = orjson.loads(content)
    except orjson.JSONDecodeError:
        return _find_fault(content)
    return record if isinstance(record, dict) else "not_an_object"


def _find_fault(content: bytes) -> str | BadRequest:
    """Why a line is not read: the faster reader does not say, the server's own one does."""
    try:
        document.loads(content)
    except BadRequest as error:
        return _LINE_CODES.get(error.code, error)
    return "invalid_json_line"


def _inspect_field(record: dict[str, Any], name: str, kind: type) -> Iterator[Flaw]:
    if record.get(name) is None:
        yield "missing_required_parameter", name, {"name": name}
    elif not isinstance(record[name], kind):
        yield "invalid_type", name, {"name": name, "expected": _JSON_NAMES[kind]}


def _inspect_body(body: dict[str, Any], url: Any) -> Iterator[Flaw]:
    if url == ENDPOINTS[0] and not (isinstance(body.get("messages"), list) and body["messages"]):
        yield "missing_messages", "body.messages", {}
    if url == ENDPOINTS[1] and not (isinstance(body.get("prompt"), str | list) and body["prompt"]):
        yield "missing_prompt", "body.prompt", {}
    if body.get("stream"):
        yield "streaming_unsupported", "body.stream", {}


def _shown(text: str) -> str:
    """Text of the file as it may appear in one line of a terminal."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:_SHOWN_CHARACTERS])
    return clean + ("..." if len(text) > _SHOWN_CHARACTERS else "")
