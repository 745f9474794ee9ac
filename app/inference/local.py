"""Our engine: continuous batching over unmodified transformers models."""

import logging
import time

import torch

import app
from app.errors import EngineError, StepTimeout
from app.inference import (
    admission,
    attention,
    blocks,
    capacity,
    checkpoint,
    deltas,
    engine,
    guided,
    places,
    runner,
    scheduler,
    trails,
)
from app.inference.engine import FinishReason
from app.inference.sequences import UNKNOWN, Chunk, Sequence
from app.inference.transcripts import Transcript
from app.settings import schema

logger = logging.getLogger(__name__)

NAP_SECONDS = 0.005  # while nothing can run but grammars are compiled
_ANSWERED = (FinishReason.STOP, FinishReason.LENGTH)
TOKEN_BUDGETS = {"cpu": 512, "cuda": 8192}  # tokens in one step


def build(  # noqa: PLR0913 - the last two are for tests and measurements
    model: schema.Model,
    *,
    device: str,
    weights_sha256: str | None = None,
    revision: str | None = None,
    threads: int | None = None,
    token_budget: int | None = None,
    share_prefixes: bool = True,
) -> "Local":
    """Loads `model` on `device` ("cpu", "cpu:1", "cuda:0") and allocates its cache. Only
    measurements turn `share_prefixes` off.

    Raises WeightsError: `unsupported_architecture`, `load_failed`, `no_cache_memory`."""
    if threads:
        torch.set_num_threads(threads)
    place = places.find_device(device)
    capacity.limit_memory(place, model.memory_fraction)
    loaded = checkpoint.load(model, place)
    limits = scheduler.Limits(model.max_sequences, token_budget or TOKEN_BUDGETS[place.type])
    provenance = {
        "weights_sha256": weights_sha256,
        "model": model.name,
        "revision": revision,
        "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "device": device,
        "engine": f"autoglm/{app.__version__} {checkpoint.LIBRARIES}",
    }
    return Local(loaded, model, limits, provenance, share_prefixes=share_prefixes)


class Local:
    """Runs requests together, one packed forward pass per step. See engine.Engine."""

    def __init__(
        self,
        loaded: checkpoint.Checkpoint,
        model: schema.Model,
        limits: scheduler.Limits,
        provenance: dict[str, str | None],
        *,
        share_prefixes: bool = True,
    ) -> None:
        shape = attention.Shape.of(loaded.model)
        num_blocks = capacity.count(model, loaded.config, shape, limits)
        context = capacity.find_context(model, loaded.config)
        self._context = min(context, num_blocks * blocks.BLOCK_SIZE)
        self._loaded = loaded
        self._limits = limits
        cache = attention.build_cache(shape, num_blocks)
        records = model.cuda_graphs and loaded.is_proven
        self._runner = runner.Runner(loaded.model, cache, records=records)
        pool = blocks.Pool(num_blocks)
        self._scheduler = scheduler.Scheduler(pool, limits, is_sharing=share_prefixes)
        self._overlaps = model.overlap_steps and places.works_beside(shape.device)
        self._flight: runner.Flight | None = None
        self._live: dict[str, Sequence] = {}
        self._cancelled: set[str] = set()
        self._deltas = deltas.Deltas()
        self._compiler = guided.Compiler(
            loaded.spelling, vocabulary=loaded.config.vocab_size, eos=loaded.eos
        )
        self._added = self._steps = 0
        self._prompt_tokens = self._generated_tokens = self._cached_tokens = 0
        self.provenance = provenance

    def add(self, request: engine.Request) -> None:
        """See engine.Engine.add."""
        if request.id in self._live:
            raise EngineError("duplicate_id", id=request.id)
        vocabulary = self._loaded.config.vocab_size
        admission.check(request, vocabulary=vocabulary, context=self._context)
        self._added += 1
        self._prompt_tokens += len(request.prompt)
        guide = request.sampling.guided
        text = self._loaded.start_text(strips=guide is None)
        transcript = Transcript(text, request.sampling.stop)
        sequence = Sequence(request, self._added, transcript, list(request.prompt))
        sequence.trail = trails.start(request.sampling, request.prompt)
        self._live[request.id] = sequence
        if guide:
            self._compiler.start(request.id, guide)
        else:
            self._scheduler.add(sequence)

    def cancel(self, request_id: str) -> None:
        """See engine.Engine.cancel."""
        if request_id in self._live:
            self._cancelled.add(request_id)

    def step(self) -> list[engine.Output]:
        """See engine.Engine.step. Where steps overlap, it gives the device the next step before it
        reads what came of the last one."""
        outputs = self._settle() if self._is_awaited() else []
        outputs += self._drop_cancelled() + self._drop_expired() + self._start_guided()
        chunks = self._scheduler.plan()
        flight = self._runner.launch(chunks, self._flight) if chunks else None
        if flight:
            self._steps += 1
            outputs += self._advance(chunks, flight)
        elif not outputs and not self._flight:
            self._compiler.wait(NAP_SECONDS)
        outputs += self._settle()
        self._flight = flight
        return outputs if self._overlaps else outputs + self._settle()

    def deltas(self) -> list[engine.Delta]:
        """See engine.Engine.deltas."""
        return self._deltas.take()

    @property
    def room(self) -> int:
        """See engine.Engine.room: twice as many may wait as may run, see scheduler.Scheduler."""
        return max(0, 3 * self._limits.max_sequences - len(self._live))

    @property
    def num_unfinished(self) -> int:
        """See engine.Engine.num_unfinished."""
        return len(self._live)

    @property
    def stats(self) -> engine.Stats:
        """See engine.Engine.stats."""
        return engine.Stats(
            steps=self._steps,
            waiting=self._scheduler.num_waiting,
            running=self._scheduler.num_running,
            prompt_tokens=self._prompt_tokens,
            generated_tokens=self._generated_tokens,
            cached_tokens=self._cached_tokens,
            preemptions=self._scheduler.preemptions,
            blocks_total=self._scheduler.pool.total,
            blocks_free=self._scheduler.pool.num_free,
        )

    def _advance(self, chunks: list[Chunk], flight: runner.Flight) -> list[engine.Output]:
        """Notes what the device was given; ends the requests that could not be."""
        failed = {chunk.sequence for chunk, _ in flight.failed}
        for chunk in chunks:
            if chunk.sequence not in failed:
                self._scheduler.advance(chunk)
        for chunk in flight.chosen:
            chunk.sequence.tokens.append(UNKNOWN)
        return [self._fail(chunk.sequence, code) for chunk, code in flight.failed]

    def _settle(self) -> list[engine.Output]:
        """Reads what came of the step in flight; returns those that ended with it."""
        flight, self._flight = self._flight, None
        outputs = []
        for chunk, token in flight.read() if flight else ():
            sequence = chunk.sequence
            if self._live.get(sequence.request.id) is not sequence:
                continue  # it ended while the device still worked for it
            if isinstance(token, str):
                outputs.append(self._fail(sequence, token))
            elif reason := self._try_accept(sequence, chunk.end, token):
                outputs.append(self._close(sequence, reason))
        return outputs

    def _try_accept(self, sequence: Sequence, place: int, token: int) -> FinishReason | None:
        """A grammar or a decoder that stumbles costs its own request."""
        try:
            return self._accept(sequence, place, token)
        except StepTimeout:
            raise
        except Exception:
            logger.exception("a token was not taken", extra={"request_id": sequence.request.id})
            return FinishReason.ERROR

    def _fail(self, sequence: Sequence, code: str) -> engine.Output:
        self._scheduler.discard(sequence)
        is_stuck = code == "grammar_failed" and sequence.trail and sequence.trail.matcher
        reason = is_stuck.fault if is_stuck else None
        return self._close(sequence, FinishReason.ERROR, code, reason)

    def _accept(self, sequence: Sequence, place: int, token: int) -> FinishReason | None:
        """Puts the token in its place; returns why the sequence ends with it, if it does."""
        sampling = sequence.request.sampling
        if token in self._loaded.eos and not (sampling.ignore_eos and not sampling.guided):
            del sequence.tokens[place:]
            return FinishReason.STOP
        sequence.tokens[place] = token
        self._scheduler.seal(sequence)
        is_complete = sequence.trail is not None and sequence.trail.add(token)
        self._generated_tokens += 1
        if sampling.stop or sequence.request.stream:
            sequence.transcript.read([token])
        if sequence.request.stream:
            self._report(sequence, 1)
        if is_complete or sequence.transcript.is_stopped:
            return FinishReason.STOP
        is_full = place + 1 - len(sequence.request.prompt) == sampling.max_tokens
        return FinishReason.LENGTH if is_full else None

    def _report(self, sequence: Sequence, tokens: int, *, is_last: bool = False) -> None:
        scores = self._loaded.spelling.describe_all(sequence.take_scores()) or ()
        text = sequence.transcript.take()
        self._deltas.add(sequence.request.id, text, tokens, scores, is_last=is_last)

    def _start_guided(self) -> list[engine.Output]:
        """Lets sequences whose grammar is ready wait for their turn; ends those that have none."""
        outputs = []
        for name, found in self._compiler.take():
            sequence = self._live[name]
            self._scheduler.add(sequence)
            if isinstance(found, EngineError):
                reason = found.values.get("reason")
                outputs.append(self._close(sequence, FinishReason.ERROR, found.code, reason))
            else:
                assert sequence.trail, "guided sequences have one"
                sequence.trail.matcher = found
        return outputs

    def _is_awaited(self) -> bool:
        """Whether the tokens in flight are needed before the next step is planned: for a choice
        that depends on them, or for a request that ends now and shall have them."""
        chosen = self._flight.chosen if self._flight else []
        has_trails = any(chunk.sequence.trail for chunk in chosen)
        return has_trails or bool(chosen and (self._cancelled or self._list_late()))

    def _drop_cancelled(self) -> list[engine.Output]:
        ids, self._cancelled = self._cancelled, set()
        live = [self._live[id] for id in ids if id in self._live]
        return [self._close(sequence, FinishReason.CANCELLED) for sequence in live]

    def _drop_expired(self) -> list[engine.Output]:
        return [self._close(sequence, FinishReason.EXPIRED) for sequence in self._list_late()]

    def _list_late(self) -> list[Sequence]:
        now = time.monotonic()
        return [
            sequence
            for sequence in self._live.values()
            if sequence.request.deadline is not None and sequence.request.deadline <= now
        ]

    def _close(
        self,
        sequence: Sequence,
        reason: FinishReason,
        code: str | None = None,
        message: str | None = None,
    ) -> engine.Output:
        request, transcript = sequence.request, sequence.transcript
        if not self._compiler.drop(request.id):
            self._scheduler.drop(sequence)
        del self._live[request.id]
        self._cached_tokens += sequence.cached
        tokens = tuple(sequence.tokens[len(request.prompt) : sequence.num_known])
        is_told = self._tell(sequence, tokens)
        if reason is FinishReason.ERROR or (not is_told and reason in _ANSWERED):
            reason, code = FinishReason.ERROR, code or "engine_failed"
        return engine.Output(
            id=request.id,
            tokens=tokens,
            text=transcript.text,
            finish_reason=FinishReason.STOP if transcript.is_stopped and not code else reason,
            prompt_tokens=len(request.prompt),
            cached_tokens=sequence.cached,
            error_code=code,
            error_message=message,
            logprobs=self._loaded.spelling.describe_all(sequence.scores),
        )

    def _tell(self, sequence: Sequence, tokens: tuple[int, ...]) -> bool:
        """Finishes the text, and the stream; False if its decoder stumbles."""
        try:
            sequence.transcript.finish(tokens)
        except StepTimeout:
            raise
        except Exception:
            logger.exception("a text was not read", extra={"request_id": sequence.request.id})
            return False
        finally:
            if sequence.request.stream:
                self._report(sequence, 0, is_last=True)
        return True
