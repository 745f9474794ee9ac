"""A request in flight: its tokens, and how many of them the cache holds."""

from dataclasses import dataclass, field

from app.inference import engine, trails, transcripts
from app.inference.blocks import BLOCK_SIZE


@dataclass(slots=True, eq=False)
class Sequence:
    """`tokens` is the prompt and what was generated; `blocks` hold keys and values of the first
    `computed` of them. `order` counts arrivals."""

    request: engine.Request
    order: int
    transcript: transcripts.Transcript
    tokens: list[int]
    blocks: list[int] = field(default_factory=list)
    computed: int = 0
    trail: trails.Trail | None = None

    @property
    def rank(self) -> tuple[int, int]:
        """The smaller goes first: by priority, then by arrival."""
        return -self.request.priority, self.order

    @property
    def num_generated(self) -> int:
        """Tokens made so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def pending(self) -> int:
        """Tokens not yet in the cache: 1 while decoding, more before and after pre-emption."""
        return len(self.tokens) - self.computed


@dataclass(frozen=True, slots=True)
class Chunk:
    """`length` tokens of a sequence from `start` on, to run in one step."""

    sequence: Sequence
    start: int
    length: int

    @property
    def end(self) -> int:
        """Tokens in the cache after the step."""
        return self.start + self.length

    @property
    def is_last(self) -> bool:
        """Whether the next token can be chosen after this chunk."""
        return self.end == len(self.sequence.tokens)

    def slots(self) -> list[int]:
        """Where each of its tokens goes in the cache: block * BLOCK_SIZE + offset."""
        table = self.sequence.blocks
        return [
            table[at // BLOCK_SIZE] * BLOCK_SIZE + at % BLOCK_SIZE
            for at in range(self.start, self.end)
        ]
