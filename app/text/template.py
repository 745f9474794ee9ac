"""Chat templates: Jinja as checkpoints write it, in a sandbox, bounded, failing as BadRequest."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node, Scope
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.errors import BadRequest

RENDER_LIMIT = 32 << 20  # characters
_DETAIL_LIMIT = 200  # characters
_FAILURES = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Template:
    """One compiled chat template with the texts of its checkpoint's named tokens (bos_token, ...)."""

    def __init__(self, source: str, tokens: Mapping[str, str]) -> None:
        self._template = _environment().from_string(source)
        self._tokens = dict(tokens)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        add_generation_prompt: bool,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """The conversation as one string; `options` are further variables of the template and
        replace none of its own. Raises BadRequest("chat_template_failed")."""
        own = {
            **self._tokens,
            "messages": messages,
            "add_generation_prompt": add_generation_prompt,
            "tools": None,
            "documents": None,
        }
        pieces = self._template.generate({**(options or {}), **own})
        try:
            return _join(pieces)
        except _FAILURES as error:
            detail = str(error)[:_DETAIL_LIMIT]
            raise BadRequest("chat_template_failed", param="messages", detail=detail) from error


def _join(pieces: Any) -> str:
    parts, length = [], 0
    for piece in pieces:
        parts.append(piece)
        length += len(piece)
        if length > RENDER_LIMIT:
            raise ValueError(f"more than {RENDER_LIMIT} characters")
    return "".join(parts)


class _Generation(Extension):
    """`{% generation %}` marks an assistant's text for training; here its body is simply written."""

    tags = {"generation"}  # noqa: RUF012  # jinja2 declares it so

    def parse(self, parser: Parser) -> Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return Scope(body, lineno=line)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    for name in ("lipsum", "cycler", "joiner"):
        del environment.globals[name]
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
    environment.filters["tojson"] = _tojson
    return environment


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any
) -> str:
    """Plain JSON: Jinja's own filter escapes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)
