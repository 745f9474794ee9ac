"""The events of a streamed response, in OpenAI's order and numbered from 0."""

from collections.abc import Iterator
from typing import Any

from app.wire import replies
from app.wire.rows import Job

Frame = dict[str, Any]


class Response:
    """The events of one job. Nothing follows the last one."""

    last = ""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._number = -1
        self._place = {
            "item_id": replies.name_message(job),
            "output_index": 0,
            "content_index": 0,
        }

    def begin(self) -> Iterator[Frame]:
        """A response, in it a message, in it a text that is empty yet."""
        started = replies.show(self._job) | {"status": "in_progress"}
        message = {"id": self._place["item_id"], "type": "message", "role": "assistant"}
        item = message | {"status": "in_progress", "content": []}
        yield self._frame("response.created", response=started)
        yield self._frame("response.in_progress", response=started)
        yield self._frame("response.output_item.added", output_index=0, item=item)
        part = replies.show_text("")
        yield self._frame("response.content_part.added", part=part, **self._place)

    def add(self, choice: int, text: str) -> Iterator[Frame]:
        """More text; a response has one choice."""
        assert choice == 0
        yield self._frame("response.output_text.delta", delta=text, logprobs=[], **self._place)

    def end(self, job: Job) -> Iterator[Frame]:
        """The whole text, message and response."""
        assert job.result is not None
        whole, part = job.result.text, replies.show_text(job.result.text)
        item = replies.show_message(job, job.result)
        shown = replies.show(job)
        yield self._frame("response.output_text.done", text=whole, logprobs=[], **self._place)
        yield self._frame("response.content_part.done", part=part, **self._place)
        yield self._frame("response.output_item.done", output_index=0, item=item)
        yield self._frame(f"response.{shown['status']}", response=shown)

    def _frame(self, kind: str, **fields: Any) -> Frame:
        self._number += 1
        return {"type": kind, "sequence_number": self._number, **fields}
