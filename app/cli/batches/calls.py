"""The calls to the server behind `autoglm batches`."""

import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from app import errors
from app.cli import client
from app.cli.submit import check, lines
from app.models.states import BatchState

STATUSES = (*map(str, BatchState), "paused")
_PAGE = 100
_CHUNK_BYTES = 256 * 1024
_FIRST_BYTES = 4 * 1024 * 1024
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def create(
    api: client.Client, path: Path, endpoint: str, options: dict[str, Any]
) -> dict[str, Any]:
    """Uploads the file and makes a batch of it, with these fields in its body. A call that is
    repeated makes no second batch."""

    def read() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    file = api.upload_file(f"{path.stem}.jsonl", path.stat().st_size, read)
    key = f"create-{secrets.token_hex(16)}"
    return api.create_batch(str(file["id"]), endpoint, idempotency_key=key, **options)


def read_options(
    metadata: Sequence[str], webhook: str | None, lifetime: int | None
) -> dict[str, Any]:
    """The optional fields of a new batch; InputError("metadata_pair") for what is not KEY=VALUE.
    `lifetime` is that of its output files, in seconds."""
    expiry = {"anchor": "created_at", "seconds": lifetime}
    found = {
        "metadata": dict(map(_split_pair, metadata)) or None,
        "webhook": {"url": webhook} if webhook else None,
        "output_expires_after": expiry if lifetime else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _split_pair(pair: str) -> tuple[str, str]:
    name, sign, value = pair.partition("=")
    if not name or not sign:
        raise errors.InputError("metadata_pair", param="--metadata", value=pair)
    return name, value


def guess_endpoint(path: Path) -> str:
    """The `url` of the first line that is not blank; the server says what is wrong with it, if
    anything."""
    first = next(lines.read_lines(path, lines.Span(), max_bytes=_FIRST_BYTES), None)
    try:
        url = orjson.loads(first.content or b"" if first else b"")["url"]
    except (ValueError, TypeError, KeyError):
        return check.ENDPOINTS[0]
    return url if isinstance(url, str) else check.ENDPOINTS[0]


def list_batches(api: client.Client, limit: int, status: str | None) -> Iterator[dict[str, Any]]:
    """Newest first; `status` may be `paused` too, and InputError("invalid_value") if it is none."""
    if status is not None and status not in STATUSES:
        allowed = ", ".join(STATUSES)
        raise errors.InputError("invalid_value", param="--status", value=status, allowed=allowed)
    return _iterate(api, limit, status)


def _iterate(api: client.Client, limit: int, status: str | None) -> Iterator[dict[str, Any]]:
    after = None
    while limit > 0:
        query = {"limit": _PAGE if status else min(limit, _PAGE)} | (
            {"after": after} if after else {}
        )
        page = api.ask("GET", "/v1/batches", params=query)
        for batch in page["data"]:
            if limit and (status is None or status == describe(batch)):
                limit -= 1
                yield batch
        if not page["has_more"]:
            return
        after = page["last_id"]


def describe(batch: dict[str, Any]) -> str:
    """The status as a person wants to see it: OpenAI's, or paused."""
    return "paused" if batch.get("paused") else str(batch["status"])


def act(api: client.Client, batch_id: str, verb: str) -> dict[str, Any]:
    """pause, resume, cancel or retry; a call that is repeated does nothing more."""
    headers = {"Idempotency-Key": f"{verb}-{secrets.token_hex(16)}"}
    return api.ask("POST", f"/v1/batches/{client.name_part(batch_id)}/{verb}", headers=headers)


def explain(api: client.Client, batch_id: str) -> dict[str, Any]:
    return api.ask("GET", f"/v1/batches/{client.name_part(batch_id)}/explain")


def read_line(api: client.Client, batch_id: str, line: str) -> dict[str, Any]:
    """By custom_id or number; what a path might change (`/a`, `..`) is named in the query."""
    path = f"/v1/batches/{client.name_part(batch_id)}/lines"
    if _PLAIN.fullmatch(line):
        return api.ask("GET", f"{path}/{line}")
    if not line:
        raise errors.InputError("empty_name")
    return api.ask("GET", path, params={"custom_id": line})


def read_page(
    api: client.Client, batch_id: str, after: str | None, limit: int = 500
) -> dict[str, Any]:
    """Results after a cursor."""
    query = {"limit": limit} | ({"after": after} if after else {})
    return api.ask("GET", f"/v1/batches/{client.name_part(batch_id)}/results", params=query)
