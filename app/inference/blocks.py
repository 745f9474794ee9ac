"""The pool of cache blocks: who holds which, counted, so that blocks can be shared."""

from collections.abc import Sequence

BLOCK_SIZE = 16  # tokens in a block


def count_blocks(tokens: int) -> int:
    """How many blocks `tokens` tokens fill."""
    return -(-tokens // BLOCK_SIZE)


class Pool:
    """Block ids 0 to total - 1. A block is free when nobody holds it."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = list(range(total - 1, -1, -1))
        self._holders = [0] * total

    @property
    def num_free(self) -> int:
        """Blocks nobody holds."""
        return len(self._free)

    def take(self, count: int) -> list[int]:
        """`count` free blocks, now held once. The caller has seen that `num_free` suffices."""
        assert count <= len(self._free), "more blocks taken than are free"
        taken = [self._free.pop() for _ in range(count)]
        for block in taken:
            self._holders[block] = 1
        return taken

    def share(self, blocks: Sequence[int]) -> None:
        """Adds a holder to blocks that are held already."""
        for block in blocks:
            assert self._holders[block] > 0, "a free block was shared"
            self._holders[block] += 1

    def release(self, blocks: Sequence[int]) -> None:
        """Takes a holder away from each block; those without holders become free."""
        for block in blocks:
            assert self._holders[block] > 0, "a free block was released"
            self._holders[block] -= 1
            if self._holders[block] == 0:
                self._free.append(block)
