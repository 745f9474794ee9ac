"""The events of a streamed chat completion or completion, as OpenAI writes them."""

from collections.abc import Iterator
from typing import Any

from app.wire import logprobs, render
from app.wire.rows import Choice, Job

Frame = dict[str, Any]


class Completion:
    """The events of one job. `has_usage`: the client asked for a last event with the tokens."""

    last = "data: [DONE]\n\n"

    def __init__(self, job: Job, *, has_usage: bool) -> None:
        self._is_chat = job.endpoint == render.CHAT
        self._num_choices = job.request["sampling"].get("n", 1)
        self._usage = {"usage": None} if has_usage else {}
        self._head = {
            "id": render.name_completion(job),
            "object": "chat.completion.chunk" if self._is_chat else "text_completion",
            "created": int(job.created_at),
            "model": job.model,
        }

    def begin(self) -> Iterator[Frame]:
        """Who speaks, for chats."""
        if self._is_chat:
            for number in range(self._num_choices):
                yield self._frame(number, {"role": "assistant", "content": "", "refusal": None})

    def add(self, choice: int, text: str) -> Iterator[Frame]:
        """More text."""
        yield self._frame(choice, {"content": text} if self._is_chat else text)

    def end(self, job: Job) -> Iterator[Frame]:
        """Why each choice ended, what made it, and what it cost if that was asked for."""
        assert job.result is not None
        made = {"provenance": job.result.provenance}
        for number, choice in enumerate(render.list_choices(job.result)):
            yield self._frame(number, {} if self._is_chat else "", choice) | made
        if self._usage:
            yield self._head | {"choices": [], "usage": render.usage(job.result)}

    def _frame(self, number: int, news: Any, ended: Choice | None = None) -> Frame:
        """Log-probabilities come all at once, at the end."""
        scores = ended.logprobs if ended else None
        choice = {
            "index": number,
            "delta" if self._is_chat else "text": news,
            "logprobs": logprobs.chat(scores) if self._is_chat else logprobs.text(scores),
            "finish_reason": ended.finish_reason if ended else None,
        }
        return self._head | {"choices": [choice]} | self._usage
