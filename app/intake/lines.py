"""The lines of a batch's input file: read with bounded memory, checked as OpenAI's Batch API does."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from app import locales
from app.errors import BadRequest
from app.settings import Limits
from app.wire import document

MAX_CUSTOM_ID = 64
_KEPT_PROBLEMS = 1000
_START_BYTES = 64 * 1024  # of a line that is too long, to look for its custom_id in
_REQUIRED = ("custom_id", "method", "url", "body")
_INPUTS = {
    "/v1/completions": ("prompt", "Completions"),
    "/v1/responses": ("input", "Responses"),
}
_CHAT_INPUT = ("messages", "Chat Completions")
_PLAIN_FAULTS = frozenset({"invalid_json", "invalid_utf8"})
_ID = re.compile(rb'"custom_id"\s*:\s*("(?:[^"\\]|\\.){1,256}")')


class BadLine(BadRequest):
    """A line, or the whole file, fails its batch. OpenAI has texts of its own for this: they are
    the entries `ingest.<code>`, or `ingest.<text>` for a code that has several."""


class RefusedLine(BadRequest):
    """A line that others would take and we do not (endless nesting, NaN, a NUL, too long, ...): it
    fails alone, as a line with a bad body does. `custom_id` is None if it could not be made out."""

    @property
    def custom_id(self) -> str | None:
        custom_id: str | None = self.values["custom_id"]
        return custom_id


@dataclass(frozen=True)
class Raw:
    """One line of a file as it stands there: its number from 1; `content` None if it is too long, and
    then `start` is what it begins with."""

    number: int
    content: bytes | None
    start: bytes = b""


def iterate(file: BinaryIO, max_bytes: int) -> Iterator[Raw]:
    """Every line that is not blank, holding one at a time."""
    number = 0
    while content := file.readline(max_bytes + 1):
        number += 1
        if len(content) > max_bytes and not content.endswith(b"\n"):
            _skip_line(file, max_bytes)
            yield Raw(number, None, content[:_START_BYTES])
        elif content.strip(b"\xef\xbb\xbf \t\r\n"):
            yield Raw(number, content)


def _skip_line(file: BinaryIO, max_bytes: int) -> None:
    while (rest := file.readline(max_bytes + 1)) and not rest.endswith(b"\n"):
        pass


@dataclass(frozen=True)
class Rules:
    """What the lines of one batch must be: their endpoint, the models served (by every name they
    have), the limits, and the language their problems are told in."""

    endpoint: str
    models: Mapping[str, str]
    limits: Limits
    locale: str


@dataclass
class Survey:
    """The check of a whole file, line by line, in constant memory: ids are kept as 8-byte hashes."""

    rules: Rules
    total: int = 0
    num_problems: int = 0
    model: str | None = None
    problems: list[dict[str, Any]] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)

    def read(self, file: BinaryIO, look: Callable[[], object] = lambda: None) -> None:
        """Checks every line; stops at the first one that is too many. `look` is called before each
        and may raise to end the reading."""
        for raw in iterate(file, self.rules.limits.max_line_bytes):
            look()
            if self.total == self.rules.limits.max_batch_lines:
                self._add(None, BadLine("too_many_tasks", limit=self.total))
                return
            self.total += 1
            refusal = self.take(raw)
            if refusal is not None:
                self._add(raw.number, refusal)
        if self.total == 0:
            self._add(None, BadLine("empty_file"))

    def take(self, raw: Raw) -> BadLine | None:
        """Checks the next line; what of it would fail the whole batch, if anything."""
        try:
            self._check(raw)
        except BadLine as error:
            return error
        return None

    def close(self) -> list[dict[str, Any]]:
        """The first problems, and how many more there are."""
        hidden = self.num_problems - len(self.problems)
        if not hidden:
            return self.problems
        more = describe(BadLine("more_problems", count=hidden), None, self.rules.locale)
        return [*self.problems, more]

    def _check(self, raw: Raw) -> None:
        try:
            record = read_record(raw, self.rules.limits)
        except RefusedLine as error:
            if error.custom_id is not None:
                self._check_unique(error.custom_id)
            return
        _check_envelope(record, self.rules)
        model = _check_body(record["body"], self.rules)
        if model != (self.model or model):
            name = record["body"]["model"]
            raise BadLine("mismatched_model", param="body.model", model=name)
        self.model = model
        self._check_unique(record["custom_id"])

    def _check_unique(self, custom_id: str) -> None:
        digest = hashlib.blake2b(custom_id.encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "big")
        if key in self._seen:
            raise BadLine("duplicate_custom_id", param="custom_id", custom_id=custom_id)
        self._seen.add(key)

    def _add(self, number: int | None, error: BadLine) -> None:
        self.num_problems += 1
        if len(self.problems) < _KEPT_PROBLEMS:
            self.problems.append(describe(error, number, self.rules.locale))


def describe(error: BadLine, number: int | None, locale: str) -> dict[str, Any]:
    """An entry of the batch's `errors`."""
    key = error.values.get("text", error.code)
    values = {name: value for name, value in error.values.items() if name != "text"}
    message = locales.message(f"ingest.{key}", locale=locale, param=error.param, **values)
    return {"code": error.code, "message": message, "param": error.param, "line": number}


def read_record(raw: Raw, limits: Limits) -> dict[str, Any]:
    """The line's JSON object; BadLine otherwise, RefusedLine if the line alone is to fail."""
    if raw.content is None:
        custom_id = _find_id(raw.start)
        raise RefusedLine("line_too_long", limit=limits.max_line_bytes, custom_id=custom_id)
    try:
        record = document.loads(raw.content)
    except BadRequest as error:
        if error.code in _PLAIN_FAULTS:
            raise BadLine("invalid_json_line") from error
        custom_id = _find_id(raw.content)
        raise RefusedLine(error.code, **error.values, custom_id=custom_id) from error
    if not isinstance(record, dict):
        raise BadLine("invalid_json_line", text="not_an_object")
    return record


def refuse_unknown(record: dict[str, Any]) -> None:
    """BadRequest for a member that no line has: it fails the line alone, as one of the body does."""
    unknown = next((name for name in record if name not in _REQUIRED), None)
    if unknown is not None:
        raise BadRequest("unknown_parameter", param=unknown[:MAX_CUSTOM_ID])


def _find_id(content: bytes) -> str | None:
    """The custom_id of a line that cannot be read as a whole, if it is a sane one."""
    found = _ID.search(content)
    try:
        custom_id = document.loads(found[1]) if found else ""
    except BadRequest:
        return None
    return custom_id if 0 < len(custom_id) <= MAX_CUSTOM_ID else None


def _check_envelope(record: dict[str, Any], rules: Rules) -> None:
    missing = next((name for name in _REQUIRED if record.get(name) is None), None)
    if missing is not None:
        raise BadLine("missing_required_parameter", param=missing)
    custom_id = record["custom_id"]
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID:
        raise BadLine("invalid_custom_id", param="custom_id", limit=MAX_CUSTOM_ID)
    if record["method"] != "POST":
        raise BadLine("invalid_method", param="method")
    if record["url"] != rules.endpoint:
        raise BadLine("invalid_url", param="url")
    if not isinstance(record["body"], dict):
        raise BadLine("invalid_body", param="body")


def _check_body(body: dict[str, Any], rules: Rules) -> str:
    """The model that is meant, by its own name."""
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise BadLine("invalid_request", param="body.model", text="model_required")
    if name not in rules.models:
        raise BadLine("model_not_found", param="body.model", model=name[:MAX_CUSTOM_ID])
    field_name, interface = _INPUTS.get(rules.endpoint, _CHAT_INPUT)
    if body.get(field_name) is None:
        param = f"body.{field_name}"
        raise BadLine("invalid_request", param=param, text=f"{field_name}_required")
    if body.get("stream"):
        raise BadLine("streaming_unsupported", param="body.stream", interface=interface)
    return rules.models[name]
