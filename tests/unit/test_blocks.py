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


def _key(text):
    return blocks.make_key(b"", [ord(letter) for letter in text])


def test_the_same_tokens_after_the_same_tokens_have_the_same_key():
    one = blocks.make_key(b"tenant", range(16))

    assert one == blocks.make_key(b"tenant", list(range(16)))
    assert one != blocks.make_key(b"other", range(16))
    assert blocks.make_key(one, range(16)) != one


def test_a_known_block_is_found_after_its_holder_left_and_until_it_is_taken():
    pool = blocks.Pool(2)
    taken = pool.take(1)
    pool.seal(taken[0], _key("a"))
    pool.release(taken)

    assert pool.find([_key("a"), _key("b")]) == taken
    pool.take(2)
    assert pool.find([_key("a")]) == []


def test_unknown_blocks_are_taken_before_known_ones_and_ends_before_beginnings():
    pool = blocks.Pool(4)
    chain = pool.take(3)
    for block, text in zip(chain[:2], "ab", strict=True):
        pool.seal(block, _key(text))
    pool.release(chain)

    pool.take(2)
    assert pool.find([_key("a"), _key("b")]) == chain[:2]
    pool.take(1)
    assert pool.find([_key("a"), _key("b")]) == chain[:1]


def test_a_free_known_block_that_is_shared_is_not_free_any_more():
    pool = blocks.Pool(1)
    taken = pool.take(1)
    pool.seal(taken[0], _key("a"))
    pool.release(taken)

    pool.share(pool.find([_key("a")]))

    assert pool.num_free == 0


def test_the_first_of_two_equal_blocks_stays_the_known_one():
    pool = blocks.Pool(2)
    first, second = pool.take(2)
    pool.seal(first, _key("a"))
    pool.seal(second, _key("a"))
    pool.release([second])
    pool.take(1)

    assert pool.find([_key("a")]) == [first]
