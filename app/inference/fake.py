"""A deterministic engine without a model, for load and fault tests; it never imports torch.

Its text is a function of prompt and seed alone. A marker in the prompt's text makes it misbehave:
[[crash]] kills the process, [[hang]] never returns from step (nor does [[spin]], which nothing can
interrupt), [[eat]] wants 64 MiB for a moment, [[slow:SECONDS]] takes that long,
[[error]], [[nan]] and [[oom]] fail the request, [[echo]] answers with the prompt's own text. Of the
sampling parameters it knows max_tokens, ignore_eos, seed, stop, logprobs and n; no guide holds it.
"""

import heapq
import time
from collections.abc import Callable, Sequence

import app
from app.errors import EngineError, WeightsError
from app.inference import (
    admission,
    decoding,
    deltas,
    engine,
    loads,
    markers,
    roles,
    stopping,
    words,
)
from app.inference.engine import FinishReason
from app.inference.transcripts import Transcript
from app.settings import schema
from app.text import plain

Decode = Callable[[Sequence[int]], str]

CONTEXT = 131_072
VOCABULARY = 1_000_000
NAP_SECONDS = 0.005


def build(
    model: schema.Model,
    *,
    device: str = "cpu",
    weights_sha256: str | None = None,
    revision: str | None = None,
    decode: Decode | None = None,
) -> "Fake":
    """An engine that behaves as `model.fake` says; raises WeightsError("load_failed") for the
    first `load_failures` loads: of this process, or, where `model.path` names a directory, of
    all processes together. `decode` turns prompt ids into their text, by default as UTF-8."""
    time.sleep(model.fake.load_seconds)
    if model.fake.load_failures and loads.count(model) <= model.fake.load_failures:
        raise WeightsError("load_failed", name=model.name, reason="load_failures")
    provenance = {
        "weights_sha256": weights_sha256,
        "model": model.name,
        "revision": revision,
        "dtype": None,
        "device": device,
        "engine": f"fake/{app.__version__}",
    }
    return Fake(model, provenance, decode or plain.Bytes().decode)


class Fake:
    """Runs up to `max_sequences` requests at once (more of higher priority), a token each per step."""

    def __init__(
        self, model: schema.Model, provenance: dict[str, str | None], decode: Decode
    ) -> None:
        self._fake = model.fake
        self._context = model.max_context or CONTEXT
        self._max_sequences = model.max_sequences
        self._decode = decode
        self.provenance = provenance
        self._live: dict[str, roles.Role] = {}
        self._waiting: list[tuple[int, int, roles.Role]] = []
        self._running: dict[str, roles.Role] = {}
        self._ends: dict[int, list[roles.Role]] = {}
        self._deadlines: dict[str, float] = {}
        self._slow: list[roles.Role] = []
        self._streamed: dict[str, roles.Role] = {}
        self._deltas = deltas.Deltas()
        self._cancelled: list[str] = []
        self._steps = self._added = 0
        self._prompt_tokens = self._generated_tokens = 0

    def add(self, request: engine.Request) -> None:
        """See engine.Engine.add."""
        if request.id in self._live:
            raise EngineError("duplicate_id", id=request.id)
        admission.check(request, vocabulary=VOCABULARY, context=self._context)
        sequence = self._prepare(request)
        self._live[request.id] = sequence
        self._added += 1
        heapq.heappush(self._waiting, (-request.priority, self._added, sequence))
        if request.deadline is not None:
            self._deadlines[request.id] = request.deadline

    def cancel(self, request_id: str) -> None:
        """See engine.Engine.cancel."""
        if request_id in self._live:
            self._cancelled.append(request_id)

    def step(self) -> list[engine.Output]:
        """See engine.Engine.step."""
        if not self._live:
            return []
        outputs = self._drop_cancelled() + self._drop_expired()
        self._admit()
        self._steps += 1
        time.sleep(self._fake.step_seconds) if self._fake.step_seconds else None
        self._stream()
        return outputs + self._finish()

    def deltas(self) -> list[engine.Delta]:
        """See engine.Engine.deltas. A marked request's text comes at the end."""
        return self._deltas.take()

    @property
    def room(self) -> int:
        """See engine.Engine.room."""
        return max(0, 2 * self._max_sequences - len(self._live))

    @property
    def num_unfinished(self) -> int:
        """See engine.Engine.num_unfinished."""
        return len(self._live)

    @property
    def stats(self) -> engine.Stats:
        """See engine.Engine.stats."""
        return engine.Stats(
            steps=self._steps,
            waiting=len(self._live) - len(self._running),
            running=len(self._running),
            prompt_tokens=self._prompt_tokens,
            generated_tokens=self._generated_tokens,
        )

    def _prepare(self, request: engine.Request) -> roles.Role:
        limit = request.sampling.max_tokens
        length = limit if request.sampling.ignore_eos else min(limit, self._fake.tokens_per_job)
        return roles.Role(request, length, markers.find(self._decode(request.prompt)))

    def _admit(self) -> None:
        while self._waiting and (len(self._running) < self._max_sequences or self._is_urgent()):
            sequence = heapq.heappop(self._waiting)[2]
            if self._live.get(sequence.request.id) is sequence:
                self._start(sequence)

    def _is_urgent(self) -> bool:
        """A higher priority than a running one's need not wait; nothing is pre-empted here."""
        lowest = min(sequence.request.priority for sequence in self._running.values())
        return -self._waiting[0][0] > lowest

    def _start(self, sequence: roles.Role) -> None:
        self._running[sequence.request.id] = sequence
        if sequence.request.stream and not sequence.name:
            sequence.transcript = Transcript(
                decoding.Windows(words.write), sequence.request.sampling.stop
            )
            self._streamed[sequence.request.id] = sequence
        self._prompt_tokens += len(sequence.request.prompt)
        sequence.started = self._steps
        if sequence.marker:
            markers.act(sequence.marker)
        if sequence.name == "slow" and sequence.marker:
            sequence.ready_at = time.monotonic() + sequence.marker.seconds
            self._slow.append(sequence)
        else:
            self._ends.setdefault(self._steps + sequence.length, []).append(sequence)

    def _stream(self) -> None:
        for name, sequence in self._streamed.items():
            made = min(self._steps - sequence.started, sequence.length)
            self._deltas.add(name, *sequence.grow(made))

    def _finish(self) -> list[engine.Output]:
        ended = self._ends.pop(self._steps, []) + self._pop_slow()
        outputs = [
            self._end(sequence)
            for sequence in ended
            if self._live.get(sequence.request.id) is sequence
        ]
        if not outputs and len(self._slow) == len(self._live):
            time.sleep(NAP_SECONDS)
        return outputs

    def _pop_slow(self) -> list[roles.Role]:
        if not self._slow:
            return []
        now = time.monotonic()
        ready = [sequence for sequence in self._slow if sequence.ready_at <= now]
        self._slow = [sequence for sequence in self._slow if sequence.ready_at > now]
        return ready

    def _end(self, sequence: roles.Role) -> engine.Output:
        if code := markers.FAILURES.get(sequence.name):
            return self._close(sequence, 0, FinishReason.ERROR, code)
        limit = sequence.request.sampling.max_tokens
        reason = FinishReason.LENGTH if sequence.length == limit else FinishReason.STOP
        return self._close(sequence, sequence.length, reason)

    def _drop_cancelled(self) -> list[engine.Output]:
        ids, self._cancelled = self._cancelled, []
        return [self._drop(id, FinishReason.CANCELLED) for id in ids if id in self._live]

    def _drop_expired(self) -> list[engine.Output]:
        if not self._deadlines:
            return []
        now = time.monotonic()
        ids = [id for id, deadline in self._deadlines.items() if deadline <= now]
        return [self._drop(id, FinishReason.EXPIRED) for id in ids]

    def _drop(self, request_id: str, reason: FinishReason) -> engine.Output:
        sequence = self._live[request_id]
        made = self._steps - sequence.started if request_id in self._running else 0
        if sequence in self._slow:
            self._slow.remove(sequence)
        return self._close(sequence, min(made, sequence.length), reason)

    def _close(
        self, sequence: roles.Role, made: int, reason: FinishReason, code: str | None = None
    ) -> engine.Output:
        request = sequence.request
        del self._live[request.id]
        self._running.pop(request.id, None)
        self._deadlines.pop(request.id, None)
        self._generated_tokens += made
        tokens = words.choose(request, made)
        text = words.write(tokens)
        if sequence.name == "echo" and sequence.marker:
            text = sequence.marker.text
        cut = stopping.find(text, request.sampling.stop)
        text = text[:cut]
        if request.stream:
            self._streamed.pop(request.id, None)
            self._deltas.add(request.id, *sequence.rest(text, made), is_last=True)
        return engine.Output(
            id=request.id,
            tokens=tokens,
            text=text,
            finish_reason=reason if cut is None or code else FinishReason.STOP,
            prompt_tokens=len(request.prompt),
            error_code=code,
            logprobs=words.score(tokens, top)
            if (top := request.sampling.logprobs) is not None
            else None,
        )
