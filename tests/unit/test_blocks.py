"""The block pool: nothing leaks, nothing is held twice by accident."""

import random

import pytest

from app.inference import blocks


@pytest.mark.parametrize(("tokens", "expected"), [(0, 0), (1, 1), (16, 1), (17, 2), (160, 10)])
def test_a_started_block_counts_whole(tokens, expected):
    assert blocks.count_blocks(tokens) == expected


def test_taken_blocks_are_distinct_and_come_back():
    pool = blocks.Pool(5)

    taken = pool.take(5)

    assert sorted(taken) == [0, 1, 2, 3, 4]
    assert pool.num_free == 0
    pool.release(taken)
    assert pool.num_free == 5


def test_a_shared_block_is_free_only_after_its_last_holder():
    pool = blocks.Pool(1)
    taken = pool.take(1)
    pool.share(taken)

    pool.release(taken)
    assert pool.num_free == 0
    pool.release(taken)
    assert pool.num_free == 1


@pytest.mark.parametrize(
    "misuse",
    [
        lambda pool: pool.take(3),
        lambda pool: pool.release([0]),
        lambda pool: pool.share([0]),
        lambda pool: pool.release(pool.take(1) * 2),
    ],
)
def test_misuse_is_caught(misuse):
    with pytest.raises(AssertionError):
        misuse(blocks.Pool(2))


def test_ten_thousand_random_moves_keep_every_block_accounted_for():
    rng = random.Random(3)
    pool = blocks.Pool(40)
    held: list[list[int]] = []

    for _ in range(10_000):
        move = rng.random()
        if move < 0.5 and pool.num_free:
            held.append(pool.take(rng.randint(1, min(4, pool.num_free))))
        elif move < 0.6 and held:
            held.append(rng.choice(held))
            pool.share(held[-1])
        elif held:
            pool.release(held.pop(rng.randrange(len(held))))
        in_use = {block for group in held for block in group}
        assert pool.num_free == 40 - len(in_use)
