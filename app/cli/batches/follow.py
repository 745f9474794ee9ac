"""Following a batch to its end: it survives broken connections and restarts of the server."""

import time
from collections.abc import Iterator
from typing import Any

from app import cli
from app.cli import client
from app.cli.batches import calls
from app.cli.submit import progress

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_FIRST_SECONDS = 0.2
_LONGEST_SECONDS = 2.0


def watch(api: client.Client, display: progress.Display, batch_id: str) -> dict[str, Any]:
    """The batch once it has ended; meanwhile the display shows how far it is."""
    said: set[str] = set()
    for _ in _pauses():
        batch = api.fetch_batch(batch_id)
        counts = batch["request_counts"]
        _say_news(display, batch, said)
        display.show(counts["completed"] + counts["failed"], counts["total"])
        if batch["status"] in ENDED:
            return batch
    raise AssertionError("pauses never end")


def _pauses() -> Iterator[None]:
    """Often at first, so that small batches end at once; then gently."""
    delay = _FIRST_SECONDS
    while True:
        yield
        time.sleep(delay)
        delay = min(delay * 1.2, _LONGEST_SECONDS)


def _say_news(display: progress.Display, batch: dict[str, Any], said: set[str]) -> None:
    """Each once: what a bar cannot show."""
    status = calls.describe(batch)
    news = [cli.say("batches.news", batch=batch["id"], status=status)]
    if batch.get("at_risk"):
        news.append(cli.say("batches.news_at_risk", batch=batch["id"]))
    for text in news:
        if text not in said:
            said.add(text)
            display.say(text)


def is_clean(batch: dict[str, Any]) -> bool:
    """Whether every line succeeded."""
    return batch["status"] == "completed" and not batch["request_counts"]["failed"]


def read_results(
    api: client.Client, batch_id: str, after: str | None, *, is_followed: bool
) -> Iterator[dict[str, Any]]:
    """Lines as they end, each once, beginning after a cursor; until the batch has ended, or until
    nothing more is there."""
    for _ in _pauses():
        while True:
            page = calls.read_page(api, batch_id, after)
            yield from page["data"]
            after = page["cursor"]
            if not page["has_more"]:
                break
        if not page["data"] and (page["batch_status"] in ENDED or not is_followed):
            return
