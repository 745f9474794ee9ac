"""Several choices of one prompt, made by an engine that knows only single ones.

A request with `n` > 1 becomes `n` requests whose prompts are the same, so that the prefix cache holds
the prompt once. Each choice has a seed of its own that follows from the request's seed and its
number alone; the first has the request's, so that one choice is the same whatever `n` is.
"""

import hashlib
from dataclasses import dataclass, field, replace

from app.errors import EngineError
from app.inference.engine import Delta, Engine, FinishReason, Output, Request, Stats

MAX_CHOICES = 128
_MARK = "\0"  # between a request's id and the number of a choice
_FINE = (FinishReason.STOP, FinishReason.LENGTH)


def derive_seed(seed: int, choice: int) -> int:
    """The seed of a choice, 63 bits."""
    if choice == 0:
        return seed
    digest = hashlib.blake2b(b"%d/%d" % (seed, choice), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass
class _Group:
    """A request's choices: those in the inner engine by id, and those that ended by number."""

    id: str
    live: dict[str, int]
    ended: dict[int, Output] = field(default_factory=dict)

    def merge(self) -> Output:
        """One output of all: the first that went wrong, or the first choice with the others."""
        outputs = [replace(self.ended[at], id=self.id) for at in sorted(self.ended)]
        wrong = [each for each in outputs if each.finish_reason not in _FINE]
        failed = [each for each in wrong if each.finish_reason is FinishReason.ERROR]
        first = next(iter(failed + wrong), outputs[0])
        return first if wrong else replace(first, others=tuple(outputs[1:]))


class Choices:
    """An Engine around another. See engine.Engine."""

    def __init__(self, inner: Engine) -> None:
        self._inner = inner
        self._groups: dict[str, _Group] = {}
        self._owners: dict[str, _Group] = {}  # by the ids of the inner engine
        self._plain: set[str] = set()  # ids of requests with one choice

    def add(self, request: Request) -> None:
        """See engine.Engine.add."""
        if request.id in self._groups or request.id in self._plain:
            raise EngineError("duplicate_id", id=request.id)
        if _MARK in str(request.id):  # it would be taken for a choice of another
            raise EngineError("bad_sampling", param="id", name="id", value=repr(request.id)[:80])
        choices = request.sampling.n
        if type(choices) is not int or not 1 < choices <= MAX_CHOICES:
            self._inner.add(request)  # refuses what is not 1
            self._plain.add(request.id)
            return
        singles = [_single(request, choice) for choice in range(choices)]
        for single in singles:  # they differ in id and seed only: all are let in, or none
            self._inner.add(single)
        group = _Group(request.id, {single.id: at for at, single in enumerate(singles)})
        self._groups[request.id] = group
        self._owners |= dict.fromkeys(group.live, group)

    def cancel(self, request_id: str) -> None:
        """See engine.Engine.cancel."""
        group = self._groups.get(request_id)
        for name in list(group.live) if group else [request_id]:
            self._inner.cancel(name)

    def step(self) -> list[Output]:
        """See engine.Engine.step. When one choice fails or is cut off, so are the others."""
        outputs = [self._collect(output) for output in self._inner.step()]
        return [output for output in outputs if output]

    def deltas(self) -> list[Delta]:
        """See engine.Engine.deltas."""
        return [self._rename(delta) for delta in self._inner.deltas()]

    @property
    def room(self) -> int:
        """See engine.Engine.room."""
        return self._inner.room

    @property
    def num_unfinished(self) -> int:
        """See engine.Engine.num_unfinished."""
        live = sum(len(group.live) for group in self._groups.values())
        return self._inner.num_unfinished - live + len(self._groups)

    @property
    def stats(self) -> Stats:
        """See engine.Engine.stats. Each choice counts as a sequence of its own."""
        return self._inner.stats

    @property
    def provenance(self) -> dict[str, str | None]:
        """See engine.Engine.provenance."""
        return self._inner.provenance

    def _collect(self, output: Output) -> Output | None:
        group = self._owners.pop(output.id, None)
        if group is None:
            self._plain.discard(output.id)
            return output
        group.ended[group.live.pop(output.id)] = output
        if output.finish_reason not in _FINE:
            self.cancel(group.id)
        if group.live:
            return None
        del self._groups[group.id]
        return group.merge()

    def _rename(self, delta: Delta) -> Delta:
        found = _split(delta.id)
        return delta if found is None else replace(delta, id=found[0], choice=found[1])


def _single(request: Request, choice: int) -> Request:
    sampling = replace(request.sampling, n=1, seed=derive_seed(request.sampling.seed, choice))
    return replace(request, id=f"{request.id}{_MARK}{choice}", sampling=sampling)


def _split(name: str) -> tuple[str, int] | None:
    owner, mark, number = name.rpartition(_MARK)
    return (owner, int(number)) if mark else None
