"""A small HTTP client for the service's own API that waits out an absent or busy server."""

import ipaddress
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from app import errors
from app.cli import answers

TIMEOUT = httpx.Timeout(120.0, connect=5.0)
FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 10.0
_CHUNK_BYTES = 256 * 1024

T = TypeVar("T")


@dataclass(frozen=True)
class Pause:
    """Why the client waits, how long until it tries again, and how long it has waited so far."""

    reason: str
    seconds: float
    waited: float


class Client:
    """Calls files and batches. A call returns the server's answer or raises an AutoglmError.

    A server that is unreachable, answers 5xx or 429, or drops the connection is tried again for
    `timeout` seconds at a stretch (None: for ever); `on_pause` hears of each pause. The server's
    messages come in `language`.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        language: str = "en-US",
        timeout: float | None = None,
        on_pause: Callable[[Pause], None] = lambda pause: None,
    ) -> None:
        self.url = normalize(url)
        self._timeout = timeout
        self._on_pause = on_pause
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Accept-Language": language, **_authorization(api_key)},
            timeout=TIMEOUT,
            trust_env=not _is_loopback(self.url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections up."""
        self._http.close()

    def upload_file(
        self, name: str, size: int, body: Callable[[], Iterator[bytes]]
    ) -> dict[str, Any]:
        """Uploads a batch input file of `size` bytes; `body()` starts a fresh pass over it."""
        head, tail, content_type = _multipart(name)
        headers = {
            "Content-Type": content_type,
            "Content-Length": str(len(head) + size + len(tail)),
        }

        def chunks() -> Iterator[bytes]:
            yield head
            yield from body()
            yield tail

        return self.ask("POST", "/v1/files", headers=headers, content=chunks)

    def create_batch(
        self, file_id: str, endpoint: str, *, idempotency_key: str, **options: Any
    ) -> dict[str, Any]:
        """Creates the batch, with further fields of its body as `options`, or returns the one that
        an earlier call with this key created."""
        body = {
            "input_file_id": file_id,
            "endpoint": endpoint,
            "completion_window": "24h",
            **options,
        }
        return self.ask(
            "POST", "/v1/batches", headers={"Idempotency-Key": idempotency_key}, json=body
        )

    def validate_file(self, file_id: str, endpoint: str) -> dict[str, Any]:
        """What a batch of this file would meet; nothing is queued."""
        body = {"input_file_id": file_id, "endpoint": endpoint}
        return self.ask("POST", "/v1/batches/validate", json=body)

    def delete_file(self, file_id: str) -> None:
        self.ask("DELETE", f"/v1/files/{name_part(file_id)}")

    def fetch_batch(self, batch_id: str) -> dict[str, Any]:
        return self.ask("GET", f"/v1/batches/{name_part(batch_id)}")

    def cancel_batch(self, batch_id: str) -> dict[str, Any]:
        return self.ask("POST", f"/v1/batches/{name_part(batch_id)}/cancel")

    def save_content(self, file_id: str, target: Path) -> None:
        """Writes the file's content to `target`, as a stream; a broken download starts over."""
        self.save(f"/v1/files/{name_part(file_id)}/content", target)

    def save(self, path: str, target: Path) -> None:
        """Writes what the server answers to `target`, as a stream."""

        def attempt() -> None:
            with self._http.stream("GET", path, follow_redirects=True) as response:
                answers.check(response)
                with target.open("wb") as out:
                    for chunk in response.iter_bytes(_CHUNK_BYTES):
                        out.write(chunk)

        self._insist(attempt)

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        json: Any = None,
        content: Callable[[], Iterator[bytes]] | None = None,
    ) -> dict[str, Any]:
        """The JSON object that the server answers. A path is one that may be asked again."""

        def attempt() -> dict[str, Any]:
            body = content() if content else None
            with self._http.stream(
                method, path, headers=headers, params=params, json=json, content=body
            ) as response:
                answers.check(response)
                response.read()
                return answers.read_object(response)

        return self._insist(attempt)

    def _insist(self, attempt: Callable[[], T]) -> T:
        started = time.monotonic()
        for delay in _delays():
            try:
                return attempt()
            except httpx.LocalProtocolError:
                raise  # our own mistake: trying again cannot help
            except httpx.TransportError as error:
                self._pause(answers.Again(str(error) or type(error).__name__), started, delay)
            except answers.Again as again:
                self._pause(again, started, delay)
        raise AssertionError("delays never end")

    def _pause(self, again: answers.Again, started: float, delay: float) -> None:
        """Sleeps before the next attempt, or gives up when the patience is used up."""
        waited = time.monotonic() - started
        seconds = delay if again.after is None else again.after
        if self._timeout is not None:
            if waited >= self._timeout:
                raise errors.Unavailable(
                    "server_unavailable", url=self.url, reason=str(again), seconds=round(waited)
                ) from again
            seconds = min(seconds, self._timeout - waited)
        self._on_pause(Pause(str(again), seconds, waited))
        time.sleep(seconds)


def name_part(name: str) -> str:
    """A name as a part of a path: whatever is in it leads nowhere else. InputError("empty_name")."""
    if not name.strip():
        raise errors.InputError("empty_name")
    if name in (".", ".."):  # quoted or not, a client would follow them
        return name.replace(".", "%2E")
    return quote(name, safe="", errors="surrogateescape")


def normalize(url: str) -> str:
    """The server's root URL, whether or not `/v1` was given; InputError if it is none."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise errors.InputError("invalid_server_url", url=url) from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise errors.InputError("invalid_server_url", url=url)
    return str(parsed).rstrip("/").removesuffix("/v1")


def _authorization(api_key: str | None) -> dict[str, str]:
    if not api_key:
        return {}
    if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise errors.InputError("invalid_api_key")
    return {"Authorization": f"Bearer {api_key}"}


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _delays() -> Iterator[float]:
    delay = FIRST_DELAY_SECONDS
    while True:
        yield delay * random.uniform(0.75, 1.25)
        delay = min(delay * 2, MAX_DELAY_SECONDS)


def _multipart(name: str) -> tuple[bytes, bytes, str]:
    """What stands before and after the file's bytes in the upload form, and its content type."""
    boundary = f"autoglm-{random.getrandbits(128):032x}"
    filename = name.replace("\\", "_").replace('"', "%22").replace("\r", "_").replace("\n", "_")
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    tail = f"\r\n--{boundary}--\r\n"
    return head.encode(), tail.encode(), f"multipart/form-data; boundary={boundary}"
