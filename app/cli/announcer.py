"""What `autoglm up` says of its service: once where it can be used, and why it cannot be used yet."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from app import locales

_PAUSE_SECONDS = 0.5
_PATIENCE_SECONDS = 10.0  # so long a start may take without a word


class Announcer:
    """Asks the service for its health now and then, until it is healthy. `tell` gets the key of a
    message and its values."""

    def __init__(
        self, url: str, tell: Callable[..., None], *, on_ready: Callable[[], None]
    ) -> None:
        language = {"Accept-Language": locales.system()}
        # once: a client is costly
        self._client = httpx.Client(base_url=url, timeout=2.0, trust_env=False, headers=language)
        self._tell = tell
        self._on_ready = on_ready
        self._is_ready = False
        self._asked_at = 0.0
        self._first_seen: dict[str, float] = {}
        self._told: set[str] = set()

    def look(self) -> None:
        """To be called often; cheap in between."""
        now = time.monotonic()
        if self._is_ready or now - self._asked_at < _PAUSE_SECONDS:
            return
        self._asked_at = now
        reasons = self._ask()
        if reasons is None:
            return
        if not reasons:
            self._is_ready = True
            self._on_ready()
        self._explain([str(reason["message"]) for reason in reasons], now)

    def _ask(self) -> list[dict[str, Any]] | None:
        """Why the service cannot be used, empty if it can; None where nobody answers as it would."""
        try:
            response = self._client.get("/health")
            reasons = list(response.json().get("reasons", []))
        except (httpx.HTTPError, ValueError, AttributeError):
            return None
        return reasons if reasons or response.status_code == httpx.codes.OK else None

    def _explain(self, reasons: list[str], now: float) -> None:
        """Says each reason once that has been there for a while."""
        self._first_seen = {each: self._first_seen.get(each, now) for each in reasons}
        for reason, since in self._first_seen.items():
            if now - since >= _PATIENCE_SECONDS and reason not in self._told:
                self._told.add(reason)
                self._tell("up.not_ready", reason=reason)
