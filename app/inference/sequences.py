"""A request in flight: its tokens, and how many of them the cache holds."""

from dataclasses import dataclass, field

from app.inference import engine, trails, transcripts
from app.inference.blocks import BLOCK_SIZE, Key, make_key
from app.inference.spelling import Score

UNKNOWN = -1  # a token that a step in flight is about to choose


@dataclass(slots=True, eq=False)
class Sequence:
    """`tokens` is the prompt and what was generated, at its end perhaps UNKNOWN; `blocks` hold keys
    and values of the first `computed` of them (or a step in flight puts them there), of which
    `cached` came from others. `order` counts arrivals; `keys` name the full blocks of `tokens`, as
    far as they were asked for; the first `sealed` of `blocks` can be found by them."""

    request: engine.Request
    order: int
    transcript: transcripts.Transcript
    tokens: list[int]
    blocks: list[int] = field(default_factory=list)
    computed: int = 0
    cached: int = 0
    keys: list[Key] = field(default_factory=list)
    sealed: int = 0
    trail: trails.Trail | None = None
    told: int = 0  # scores that a stream was told

    @property
    def rank(self) -> tuple[int, int, int]:
        """The smaller goes first: by priority, then by arrival."""
        return -self.request.priority, 0, self.order

    @property
    def final_rank(self) -> tuple[int, int, int]:
        """The same when nothing comes after those that wait: of patient requests the longest
        answer goes first, so that none is left to run alone."""
        if self.request.priority >= 0:
            return self.rank
        return -self.request.priority, -self.request.sampling.max_tokens, self.order

    def name_blocks(self, count: int) -> list[Key]:
        """The keys of the first `count` blocks, all full. Tenants never share one: the salt."""
        keys = self.keys
        while len(keys) < count:
            start = len(keys) * BLOCK_SIZE
            before = keys[-1] if keys else self.request.cache_salt.encode()
            keys.append(make_key(before, self.tokens[start : start + BLOCK_SIZE]))
        return keys[:count]

    @property
    def num_generated(self) -> int:
        """Tokens made so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def scores(self) -> list[Score] | None:
        """Of the generated tokens, if they are asked for; neither that of an end token is among
        them nor that of one which could not be chosen."""
        if self.trail is None or self.request.sampling.logprobs is None:
            return None
        return self.trail.scores[: self.num_known - len(self.request.prompt)]

    def take_scores(self) -> list[Score]:
        """The scores that this has not returned yet."""
        if self.trail is None or self.request.sampling.logprobs is None:
            return []
        fresh = self.trail.scores[self.told : self.num_known - len(self.request.prompt)]
        self.told += len(fresh)
        return fresh

    @property
    def pending(self) -> int:
        """Tokens not yet in the cache: 1 while decoding, more before and after pre-emption; none
        while a step in flight makes the last token that was asked for."""
        is_full = self.num_generated >= self.request.sampling.max_tokens
        return 0 if is_full else len(self.tokens) - self.computed

    @property
    def num_known(self) -> int:
        """Tokens before the first that a step in flight has yet to choose."""
        unknown = 0
        while self.tokens[-1 - unknown] == UNKNOWN:
            unknown += 1
        return len(self.tokens) - unknown


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
