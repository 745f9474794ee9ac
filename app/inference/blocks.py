"""The pool of cache blocks: who holds which, and which contents can be shared.

A full block is known by a key that names all tokens up to its end (a chain of hashes), as in
vLLM's automatic prefix caching. A block that nobody holds keeps its contents until it is taken.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence

BLOCK_SIZE = 16  # tokens in a block

Key = bytes


def count_blocks(tokens: int) -> int:
    """How many blocks `tokens` tokens fill."""
    return -(-tokens // BLOCK_SIZE)


def make_key(before: Key, tokens: Sequence[int]) -> Key:
    """The key of a block of `tokens` that follows the block `before`; the first follows a salt."""
    return hashlib.blake2b(before + array("q", tokens).tobytes(), digest_size=16).digest()


class Pool:
    """Block ids 0 to total - 1. A block is free when nobody holds it."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = OrderedDict.fromkeys(range(total))  # the next to be taken first
        self._holders = [0] * total
        self._keys: dict[int, Key] = {}
        self._known: dict[Key, int] = {}

    @property
    def num_free(self) -> int:
        """Blocks nobody holds."""
        return len(self._free)

    def take(self, count: int) -> list[int]:
        """`count` free blocks, now held once, their contents forgotten. The caller has seen that
        `num_free` suffices."""
        assert count <= len(self._free), "more blocks taken than are free"
        taken = [self._free.popitem(last=False)[0] for _ in range(count)]
        self.forget(taken)
        for block in taken:
            self._holders[block] = 1
        return taken

    def find(self, keys: Sequence[Key]) -> list[int]:
        """The blocks of the first keys that are known, held or free."""
        found = []
        for key in keys:
            if (block := self._known.get(key)) is None:
                break
            found.append(block)
        return found

    def count_free(self, blocks: Sequence[int]) -> int:
        """How many of `blocks` nobody holds."""
        return sum(self._holders[block] == 0 for block in blocks)

    def share(self, blocks: Sequence[int]) -> None:
        """Adds a holder to blocks that are held or known."""
        for block in blocks:
            assert self._holders[block] > 0 or block in self._keys, "an empty block was shared"
            self._holders[block] += 1
            self._free.pop(block, None)

    def seal(self, block: int, key: Key) -> None:
        """Makes a full block known, unless another holds the same."""
        assert self._holders[block] > 0, "a free block was sealed"
        if key not in self._known and block not in self._keys:
            self._known[key] = block
            self._keys[block] = key

    def forget(self, blocks: Sequence[int]) -> None:
        """Makes blocks unknown."""
        for block in blocks:
            if (key := self._keys.pop(block, None)) is not None:
                del self._known[key]

    def release(self, blocks: Sequence[int]) -> None:
        """Takes a holder away from each block. Those without holders become free: the unknown
        ones to be taken next, the known ones last, and of one sequence its end before its start."""
        for block in reversed(blocks):
            assert self._holders[block] > 0, "a free block was released"
            self._holders[block] -= 1
            if self._holders[block] == 0:
                self._free[block] = None
                self._free.move_to_end(block, last=block in self._keys)
