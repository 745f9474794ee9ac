"""Decides which tokens of which sequences run in the next step."""

import heapq
from dataclasses import dataclass

from app.inference import blocks
from app.inference.sequences import Chunk, Sequence


@dataclass(frozen=True)
class Limits:
    """What one step may hold: sequences at once, and tokens over all of them."""

    max_sequences: int
    token_budget: int


class Scheduler:
    """Sequences wait, run, and when blocks run out wait again, their cache forgotten.

    A sequence runs only with blocks for all its tokens; any sequence alone fits the pool, so the
    first in rank always advances."""

    def __init__(self, pool: blocks.Pool, limits: Limits) -> None:
        self.pool = pool
        self._limits = limits
        self._waiting: list[tuple[tuple[int, int], Sequence]] = []
        self._running: list[Sequence] = []
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
        heapq.heappush(self._waiting, (sequence.rank, sequence))

    def drop(self, sequence: Sequence) -> None:
        """Forgets a sequence and frees its blocks."""
        if sequence in self._running:
            self._running.remove(sequence)
            self._release(sequence)
        else:
            self._waiting.remove((sequence.rank, sequence))
            heapq.heapify(self._waiting)

    def plan(self) -> list[Chunk]:
        """The chunks of the next step: first one token of each decoding sequence, then prompts
        in rank order, until the token budget is spent. Takes the blocks they need."""
        self._grow_running()
        self._admit_waiting()
        return self._cut_chunks()

    def _grow_running(self) -> None:
        for sequence in sorted(self._running, key=lambda sequence: sequence.rank):
            while sequence.blocks and not self._grow(sequence):
                self._preempt(self._find_worst())

    def _grow(self, sequence: Sequence) -> bool:
        missing = blocks.count_blocks(len(sequence.tokens)) - len(sequence.blocks)
        if missing > self.pool.num_free:
            return False
        sequence.blocks += self.pool.take(missing)
        return True

    def _admit_waiting(self) -> None:
        while self._waiting:
            sequence = self._waiting[0][1]
            if not self._has_room(sequence):
                if not self._yields_to(sequence):
                    return
                self._preempt(self._find_worst())
                continue
            heapq.heappop(self._waiting)
            self._running.append(sequence)
            self._grow(sequence)

    def _has_room(self, sequence: Sequence) -> bool:
        """Leaves each running sequence a block to grow into, or they would push out each other."""
        needed = blocks.count_blocks(len(sequence.tokens) + 1) if self._running else 0
        spare = self.pool.num_free - len(self._running)
        return len(self._running) < self._limits.max_sequences and needed <= spare

    def _yields_to(self, sequence: Sequence) -> bool:
        """Whether a running sequence has a lower priority than the one that waits."""
        return self._find_worst().request.priority < sequence.request.priority

    def _find_worst(self) -> Sequence:
        return max(self._running, key=lambda sequence: sequence.rank)

    def _preempt(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        self._release(sequence)
        self.preemptions += 1
        self.add(sequence)

    def _release(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.computed = 0

    def _cut_chunks(self) -> list[Chunk]:
        budget = self._limits.token_budget
        chunks = []
        for sequence in sorted(self._running, key=lambda each: (each.pending > 1, each.rank)):
            if length := min(sequence.pending, budget):
                chunks.append(Chunk(sequence, sequence.computed, length))
                budget -= length
        return chunks
