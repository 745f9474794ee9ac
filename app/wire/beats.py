"""The events of a streamed response, in OpenAI's order and numbered from 0.

The numbers follow from the job's rows alone, so that whoever comes back after one of them is told the
same events again.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.wire import replies
from app.wire.rows import Job

Frame = dict[str, Any]


class Response:
    """The events of one job, whatever has become of it since. Nothing follows the last one."""

    last = ""

    def __init__(self, job: Job) -> None:
        self._blank = replace(job, state="queued", result=None, error=None, finished_at=None)
        self._number = -1
        self._has_begun = False
        self._place = {
            "item_id": replies.name_message(job),
            "output_index": 0,
            "content_index": 0,
        }

    def announce(self) -> Iterator[Frame]:
        """That the response is there; one in the background waits for its turn."""
        shown = replies.show(self._blank)
        is_waiting = shown["background"]
        yield self._frame("response.created", response=shown if is_waiting else self._started)
        if is_waiting:
            yield self._frame("response.queued", response=shown)

    def begin(self) -> Iterator[Frame]:
        """A response, in it a message, in it a text that is empty yet."""
        if self._number < 0:
            yield from self.announce()
        self._has_begun = True
        message = {"id": self._place["item_id"], "type": "message", "role": "assistant"}
        item = message | {"status": "in_progress", "content": []}
        yield self._frame("response.in_progress", response=self._started)
        yield self._frame("response.output_item.added", output_index=0, item=item)
        part = replies.show_text("")
        yield self._frame("response.content_part.added", part=part, **self._place)

    def add(
        self, choice: int, text: str, _scores: list[dict[str, Any]] | None = None
    ) -> Iterator[Frame]:
        """More text; a response has one choice, and no log-probabilities."""
        assert choice == 0
        if not self._has_begun:
            yield from self.begin()
        yield self._frame("response.output_text.delta", delta=text, logprobs=[], **self._place)

    def end(self, job: Job) -> Iterator[Frame]:
        """The whole text, message and response."""
        assert job.result is not None
        if not self._has_begun:
            yield from self.begin()
        whole, part = job.result.text, replies.show_text(job.result.text)
        item = replies.show_message(job, job.result)
        shown = replies.show(job)
        yield self._frame("response.output_text.done", text=whole, logprobs=[], **self._place)
        yield self._frame("response.content_part.done", part=part, **self._place)
        yield self._frame("response.output_item.done", output_index=0, item=item)
        yield self._frame(f"response.{shown['status']}", response=shown)

    def fail(self, error: Frame, *, is_final: bool) -> Iterator[Frame]:
        """`response.failed` for a job that failed, an `error` event for whatever else ended this."""
        body = error["error"]
        if is_final:
            failed = replace(self._blank, state="failed")
            yield self._frame("response.failed", response=replies.show(failed, body))
        else:
            told = {name: body[name] for name in ("code", "message", "param")}
            yield self._frame("error", **told)

    @property
    def _started(self) -> Frame:
        return replies.show(self._blank) | {"status": "in_progress"}

    def _frame(self, kind: str, **fields: Any) -> Frame:
        self._number += 1
        return {"type": kind, "sequence_number": self._number, **fields}
