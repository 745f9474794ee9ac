"""The scheduler under random arrivals, departures and failures, with steps in turn and overlapping: no
block is leaked, freed twice, held by two tenants or filled with anything but its holders' tokens."""

import random
import zlib
from collections.abc import Sequence as Sequence_

import pytest

from app.inference import blocks, decoding, engine, scheduler
from app.inference.blocks import BLOCK_SIZE, count_blocks
from app.inference.sequences import UNKNOWN, Chunk, Sequence
from app.inference.transcripts import Transcript

BLOCKS, BUDGET, MOST = 24, 40, 30
BEGINNING = tuple(range(40))
SALTS = ("one", "two")
WORDS = 3  # so few that prompts and answers often agree
CASES = [(seed, 1000, is_overlapping) for seed in range(4) for is_overlapping in (False, True)]


class Device:
    """A cache without a model: a slot holds a fingerprint of the tenant and of all tokens up to its
    own, which with the seed decides the next token."""

    def __init__(self) -> None:
        self._slots: dict[int, int | None] = {}
        self._prints: dict[Sequence, list[int]] = {}

    def fill(self, chunk: Chunk) -> None:
        """Does a forward pass."""
        prints = self._read(chunk.sequence, chunk.end)
        for at, slot in zip(range(chunk.start, chunk.end), chunk.slots(), strict=True):
            self._slots[slot] = prints[at]

    def spoil(self, held: Sequence_[int]) -> None:
        """Makes the contents of blocks useless."""
        for block in held:
            for slot in range(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE):
                self._slots[slot] = None

    def choose(self, sequence: Sequence, place: int) -> int:
        """The token for a place, whose predecessors are in the cache."""
        return _choose(self._read(sequence, place)[place - 1], sequence)

    def check(self, sequence: Sequence) -> None:
        """Each computed place of a sequence holds just what it would compute alone."""
        found = [self._slots.get(slot) for slot in Chunk(sequence, 0, sequence.computed).slots()]
        assert found == self._read(sequence, sequence.computed)[: sequence.computed]

    def _read(self, sequence: Sequence, count: int) -> list[int]:
        salt = zlib.crc32(sequence.request.cache_salt.encode())
        prints = self._prints.setdefault(sequence, [])
        for at in range(len(prints), count):
            before = prints[-1] if prints else salt
            token = sequence.tokens[at]
            prints.append(hash((before, _choose(before, sequence) if token == UNKNOWN else token)))
        return prints


def _choose(before: int, sequence: Sequence) -> int:
    return before // (1 + sequence.request.sampling.seed) % WORDS


class Loop:
    """Does with a scheduler what local.Local does, and to it what may befall it."""

    def __init__(self, seed: int, *, is_overlapping: bool) -> None:
        self.rng = random.Random(seed)
        self.scheduler = scheduler.Scheduler(blocks.Pool(BLOCKS), scheduler.Limits(6, BUDGET))
        self.device = Device()
        self.live: list[Sequence] = []
        self.num_added = 0
        self.flight: list[tuple[Sequence, int]] = []  # and the place of the token to come
        self.is_overlapping = is_overlapping
        self.seen = dict.fromkeys(("shared", "failed", "unknown", "orphaned"), 0)

    def step(self, number: int) -> None:
        """One step of the engine."""
        if self._happens(0.2):
            self.settle()  # as when the next choice depends on the last
        self.arrive(number)
        if self.live and self._happens(0.1):
            self.drop(self.rng.choice(self.live))
        chunks = self.scheduler.plan()
        assert sum(chunk.length for chunk in chunks) <= BUDGET
        assert chunks or self.flight or not self.live
        self.check_progress(chunks)
        flight = self.launch(chunks)
        self.settle()
        self.flight = flight
        if not self.is_overlapping:
            self.settle()

    def arrive(self, number: int) -> None:
        """A new sequence, every other step while few wait; both tenants say the same things."""
        if len(self.live) == MOST or not self._happens(0.5):
            return
        request = engine.Request(
            id=str(number),
            prompt=self.ask(),
            sampling=engine.Sampling(self.rng.randint(1, 40), seed=self.rng.randint(0, 1)),
            priority=self.rng.randint(-1, 2),
            cache_salt=self.rng.choice(SALTS),
        )
        text = Transcript(decoding.Windows(str), ())
        self.live.append(Sequence(request, number, text, list(request.prompt)))
        self.scheduler.add(self.live[-1])
        self.num_added += 1

    def ask(self) -> tuple[int, ...]:
        """A prompt, now and then one that was just asked."""
        if self.live and self._happens(0.4):
            return self.live[-1].request.prompt
        tail = self.rng.choices(range(WORDS), k=self.rng.randint(1, 110))
        return (*BEGINNING[: self.rng.randint(0, 40)], *tail)

    def launch(self, chunks: list[Chunk]) -> list[tuple[Sequence, int]]:
        """Gives the device a step, of which it may refuse a part."""
        failed = [chunk for chunk in chunks if self._happens(0.005)]
        done = [chunk for chunk in chunks if chunk not in failed]
        self.seen["unknown"] += sum(UNKNOWN in chunk.sequence.tokens for chunk in done)
        for chunk in done:
            self.device.fill(chunk)
        flight = [(chunk.sequence, chunk.end) for chunk in done if chunk.is_last]
        for chunk in done:
            self.scheduler.advance(chunk)
        for sequence, _ in flight:
            sequence.tokens.append(UNKNOWN)
        for chunk in failed:
            self.fail(chunk.sequence)
        return flight

    def settle(self) -> None:
        """Reads what the step in flight chose: a token, a failure or an end."""
        flight, self.flight = self.flight, []
        for sequence, place in flight:
            if sequence not in self.live:
                self.seen["orphaned"] += 1
            elif self._happens(0.02):
                self.fail(sequence)
            elif self._happens(0.05):
                del sequence.tokens[place:]
                self.drop(sequence)
            else:
                self.accept(sequence, place)

    def accept(self, sequence: Sequence, place: int) -> None:
        """Puts a token in its place."""
        sequence.tokens[place] = self.device.choose(sequence, place)
        self.scheduler.seal(sequence)
        if place + 1 - len(sequence.request.prompt) == sequence.request.sampling.max_tokens:
            self.drop(sequence)

    def fail(self, sequence: Sequence) -> None:
        """What it alone holds is worth nothing from now on."""
        self.seen["failed"] += 1
        others = {block for each in self.live if each is not sequence for block in each.blocks}
        self.device.spoil([block for block in sequence.blocks if block not in others])
        self.scheduler.discard(sequence)
        self.drop(sequence)

    def drop(self, sequence: Sequence) -> None:
        """Ends a sequence."""
        self.seen["shared"] += sequence.cached > 0
        self.live.remove(sequence)
        self.scheduler.drop(sequence)

    def check(self) -> None:
        """All that must hold between two steps."""
        tenants: dict[int, str] = {}
        for sequence in self.live:
            salt = sequence.request.cache_salt
            assert len(set(sequence.blocks)) == len(sequence.blocks)
            assert count_blocks(sequence.computed) <= len(sequence.blocks)
            assert all(tenants.setdefault(block, salt) == salt for block in sequence.blocks)
            self.device.check(sequence)
        assert len(tenants) == BLOCKS - self.scheduler.pool.num_free

    def check_progress(self, chunks: list[Chunk]) -> None:
        """Those of the highest priority advance, whoever else does; last tokens are under way."""
        wanted = {each.request.priority for each in self.live}
        moving = [chunk.sequence for chunk in chunks] + [sequence for sequence, _ in self.flight]
        assert not wanted or max(wanted) in {each.request.priority for each in moving}

    def _happens(self, share: float) -> bool:
        return self.rng.random() < share


@pytest.mark.parametrize(("seed", "steps", "is_overlapping"), [*CASES, (4, 27_000, True)])
def test_no_block_is_leaked_freed_twice_or_shared_wrongly(seed, steps, is_overlapping):
    loop = Loop(seed, is_overlapping=is_overlapping)

    for number in range(steps):
        loop.step(number)
        loop.check()

    assert steps < 27_000 or loop.num_added >= 10_000
    assert loop.scheduler.preemptions > 0
    assert loop.seen["shared"] > 0
    assert loop.seen["failed"] > 0
    assert (loop.seen["unknown"] > 0) is is_overlapping
    assert (loop.seen["orphaned"] > 0) is is_overlapping
    for sequence in list(loop.live):
        loop.drop(sequence)
    assert loop.scheduler.pool.num_free == BLOCKS
