"""The request class: JSON is read strictly, uploads go to disk while they arrive."""

from collections.abc import Iterable
from itertools import chain
from typing import IO, Any

import flask
from werkzeug.exceptions import UnsupportedMediaType

from app.api import context, uploads
from app.errors import BadRequest
from app.wire import document


class Request(flask.Request):
    """Flask's request with our rules for bodies."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body as a JSON object; none at all counts as an empty one, as `curl -X POST` sends.
        Always raises on anything else, whatever `silent` says."""
        if not self.mimetype and not self.get_data(cache=True):
            return {}
        if self.mimetype != "application/json" or not is_plain():
            raise UnsupportedMediaType
        body = document.loads(self.get_data(cache=True))
        if not isinstance(body, dict):
            raise BadRequest("body_not_object")
        return body

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        current = context.current()
        limit = current.settings.limits.max_file_bytes
        sink = uploads.Sink(current.files_dir, limit)
        flask.g.setdefault("sinks", []).append(sink)
        return sink  # type: ignore[return-value]  # the form parser writes, and nothing else


def is_plain() -> bool:
    """Whether the body is sent as it is; packed ones are refused, their true size is unknown."""
    return flask.request.headers.get("Content-Encoding", "identity").lower() == "identity"


def refuse_nul() -> None:
    """A NUL character in path or query cannot be part of any id, and some databases choke on it."""
    if "\0" in flask.request.path or b"%00" in flask.request.query_string:
        raise BadRequest("nul_character")


def refuse_repeats() -> None:
    """A query parameter that is given twice: which one was meant is not for us to guess. Lists are
    written so (`include[]`), and no route knows one."""
    names = (name for name, _ in flask.request.args.items(multi=True))
    _refuse_repeated(name for name in names if not name.endswith("[]"))


def refuse_repeated_parts() -> None:
    """The same for the parts of a form, fields and files alike; reads the form."""
    fields, uploaded = flask.request.form.items(multi=True), flask.request.files.items(multi=True)
    _refuse_repeated(name for name, _ in chain(fields, uploaded))


def _refuse_repeated(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadRequest("repeated_parameter", param=name[:60])
        seen.add(name)
