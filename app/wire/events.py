"""The events of a streamed chat completion or completion, as OpenAI writes them."""

from collections import Counter
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
        self._offsets: Counter[int] = Counter()  # characters of each choice whose tokens are told
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

    def add(self, choice: int, text: str, scores: list[dict[str, Any]] | None) -> Iterator[Frame]:
        """More text, with the log-probabilities of its tokens if they were asked for."""
        shown = self._score(choice, scores) if scores else None
        yield self._frame(choice, {"content": text} if self._is_chat else text, scores=shown)

    def _score(self, choice: int, scores: list[dict[str, Any]]) -> dict[str, Any] | None:
        if self._is_chat:
            return logprobs.chat(scores)
        offset = self._offsets[choice]
        self._offsets[choice] += logprobs.count_characters(scores)
        return logprobs.text(scores, offset=offset)

    def end(self, job: Job) -> Iterator[Frame]:
        """Why each choice ended, what made it, and what it cost if that was asked for."""
        assert job.result is not None
        made = {"provenance": job.result.provenance}
        for number, choice in enumerate(render.list_choices(job.result)):
            yield self._frame(number, {} if self._is_chat else "", choice) | made
        if self._usage:
            yield self._head | {"choices": [], "usage": render.usage(job.result)}

    def fail(self, error: Frame, *, is_final: bool) -> Iterator[Frame]:
        """The error's envelope, as OpenAI's clients look for it."""
        yield error

    def _frame(
        self,
        number: int,
        news: Any,
        ended: Choice | None = None,
        scores: dict[str, Any] | None = None,
    ) -> Frame:
        choice = {
            "index": number,
            "delta" if self._is_chat else "text": news,
            "logprobs": scores,
            "finish_reason": ended.finish_reason if ended else None,
        }
        return self._head | {"choices": [choice]} | self._usage
