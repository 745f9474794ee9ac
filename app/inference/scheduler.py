"""Decides which tokens of which sequences run in the next step."""

import heapq
import math
from dataclasses import dataclass

from app.inference import blocks
from app.inference.blocks import BLOCK_SIZE, Key, count_blocks
from app.inference.sequences import Chunk, Sequence


@dataclass(frozen=True)
class Limits:
    """What one step may hold: sequences at once, and tokens over all of them."""

    max_sequences: int
    token_budget: int


class Scheduler:
    """Sequences wait, run, and when blocks run out wait again, their cache forgotten.

    A sequence runs only with blocks for all its tokens; any sequence alone fits the pool, so the
    first in rank always advances, if only by the block that another of its priority computes for
    both. Blocks that a step has filled are known from then on, and a
    sequence that begins with the same tokens shares them instead of computing them.

    Sequences start in order of arrival, which keeps those together that begin alike. Once fewer
    wait than a full queue holds, the end is near, and patient ones start by Sequence.final_rank."""

    def __init__(self, pool: blocks.Pool, limits: Limits, *, is_sharing: bool = True) -> None:
        self.pool = pool
        self._limits = limits
        self._is_sharing = is_sharing
        self._waiting: list[tuple[tuple[int, int, int], Sequence]] = []
        self._running: list[Sequence] = []
        self._is_ending = False
        self.preemptions = 0

    @property
    def num_waiting(self) -> int:
        """Sequences without blocks."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """Sequences with blocks."""
        return len(self._running)

    def add(self, sequence: Sequence) -> None:
        """Lets a sequence wait for its turn."""
        heapq.heappush(self._waiting, self._enter(sequence))

    def _enter(self, sequence: Sequence) -> tuple[tuple[int, int, int], Sequence]:
        return sequence.final_rank if self._is_ending else sequence.rank, sequence

    def drop(self, sequence: Sequence) -> None:
        """Forgets a sequence and frees its blocks."""
        if sequence in self._running:
            self._running.remove(sequence)
            self._release(sequence)
        else:
            self._waiting.remove(self._enter(sequence))
            heapq.heapify(self._waiting)

    def discard(self, sequence: Sequence) -> None:
        """Makes what a failed sequence computed unknown: nobody shall share it."""
        self.pool.forget(sequence.blocks)

    def plan(self) -> list[Chunk]:
        """The chunks of the next step: first one token of each decoding sequence, then prompts
        in rank order, until the token budget is spent. Takes the blocks they need."""
        self._grow_running()
        self._mind_end()
        self._admit_waiting()
        return self._cut_chunks()

    def advance(self, chunk: Chunk) -> None:
        """Notes that a step computes `chunk`: whatever is run after it finds it in the cache."""
        chunk.sequence.computed = chunk.end
        self.seal(chunk.sequence)

    def seal(self, sequence: Sequence) -> None:
        """Makes the full blocks known whose tokens are, so that others may share them."""
        full = min(sequence.computed, sequence.num_known) // BLOCK_SIZE
        if self._is_sharing and full > sequence.sealed:
            keys = sequence.name_blocks(full)
            for number in range(sequence.sealed, full):
                self.pool.seal(sequence.blocks[number], keys[number])
            sequence.sealed = full

    def _grow_running(self) -> None:
        for sequence in sorted(self._running, key=lambda sequence: sequence.rank):
            while sequence.blocks and not self._grow(sequence):
                self._preempt(self._find_worst())

    def _grow(self, sequence: Sequence) -> bool:
        missing = count_blocks(len(sequence.tokens)) - len(sequence.blocks)
        if missing > self.pool.num_free:
            return False
        sequence.blocks += self.pool.take(missing)
        return True

    def _mind_end(self) -> None:
        """Sorts those that wait anew when the end comes near, or is not so near after all."""
        is_ending = 2 * len(self._waiting) < 3 * self._limits.max_sequences
        if is_ending != self._is_ending:
            self._is_ending = is_ending
            self._waiting = [self._enter(sequence) for _, sequence in self._waiting]
            heapq.heapify(self._waiting)

    def _admit_waiting(self) -> None:
        """Starts waiting sequences while the step has tokens left for them. One whose next block
        a running sequence of no lower priority is about to compute waits for it, and then shares
        it: behind a lower one it would wait for all between them."""
        coming: dict[Key, int] = {}
        for sequence in self._running:
            self._note_coming(coming, sequence)
        postponed = []
        while self._waiting and self._is_wanted(sequence := self._waiting[0][1]):
            found = self._find_shared(sequence)
            wanted = self._name_blocks(sequence)[len(found) : len(found) + 1]
            if any(coming.get(key, -math.inf) >= sequence.request.priority for key in wanted):
                postponed.append(heapq.heappop(self._waiting))
            elif self._has_room(sequence, found):
                heapq.heappop(self._waiting)
                self._start(sequence, found)
                self._note_coming(coming, sequence)
            elif self._yields_to(sequence):
                self._preempt(self._find_worst())
            else:
                break
        for entry in postponed:
            heapq.heappush(self._waiting, entry)

    def _is_wanted(self, sequence: Sequence) -> bool:
        used = sum(each.pending for each in self._running)
        return used < self._limits.token_budget or self._yields_to(sequence)

    def _start(self, sequence: Sequence, found: list[int]) -> None:
        self.pool.share(found)
        sequence.blocks = found
        sequence.sealed = len(found)
        sequence.computed = len(found) * BLOCK_SIZE
        if not sequence.num_generated:
            sequence.cached = sequence.computed
        self._running.append(sequence)
        self._grow(sequence)

    def _find_shared(self, sequence: Sequence) -> list[int]:
        return self.pool.find(self._name_blocks(sequence))

    def _name_blocks(self, sequence: Sequence) -> list[Key]:
        """The keys of what it may share: all full blocks before its last token, whose logits
        must be computed."""
        count = (len(sequence.tokens) - 1) // BLOCK_SIZE
        return sequence.name_blocks(count) if self._is_sharing else []

    def _note_coming(self, coming: dict[Key, int], sequence: Sequence) -> None:
        """Enters the blocks that a running sequence has yet to fill, with the highest priority of
        those that fill them."""
        if sequence.pending <= 1:
            return
        priority = sequence.request.priority
        for key in self._name_blocks(sequence)[sequence.computed // BLOCK_SIZE :]:
            coming[key] = max(priority, coming.get(key, priority))

    def _has_room(self, sequence: Sequence, found: list[int]) -> bool:
        """Leaves each running sequence a block to grow into, or they would push out each other."""
        if not self._running:
            return True
        needed = count_blocks(len(sequence.tokens) + 1) - len(found) + self.pool.count_free(found)
        spare = self.pool.num_free - len(self._running)
        return len(self._running) < self._limits.max_sequences and needed <= spare

    def _yields_to(self, sequence: Sequence) -> bool:
        """Whether a running sequence has a lower priority than the one that waits."""
        worst = self._find_worst()
        return worst is not None and worst.request.priority < sequence.request.priority

    def _find_worst(self) -> Sequence | None:
        return max(self._running, key=lambda sequence: sequence.rank, default=None)

    def _preempt(self, sequence: Sequence | None) -> None:
        assert sequence is not None, "nobody runs who could give way"
        self._running.remove(sequence)
        self._release(sequence)
        self.preemptions += 1
        self.add(sequence)

    def _release(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.computed = sequence.sealed = 0

    def _cut_chunks(self) -> list[Chunk]:
        budget = self._limits.token_budget
        chunks = []
        for sequence in sorted(self._running, key=lambda each: (each.pending > 1, each.rank)):
            if length := min(sequence.pending, budget):
                chunks.append(Chunk(sequence, sequence.computed, length))
                budget -= length
        return chunks
