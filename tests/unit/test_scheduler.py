"""The scheduler: who runs, in which order, and who gives way."""

import random

import pytest

from app.inference import blocks, decoding, engine, scheduler
from app.inference.sequences import Sequence
from app.inference.transcripts import Transcript


def _sequence(order, length, *, priority=0, max_tokens=10):
    request = engine.Request(
        id=str(order),
        prompt=tuple(range(length)),
        sampling=engine.Sampling(max_tokens=max_tokens),
        priority=priority,
    )
    return Sequence(request, order, Transcript(decoding.Windows(str), ()), list(request.prompt))


def _scheduler(*, num_blocks=100, max_sequences=8, token_budget=64):
    limits = scheduler.Limits(max_sequences, token_budget)
    return scheduler.Scheduler(blocks.Pool(num_blocks), limits)


def _advance(chunks):
    """What a forward pass does: fills the cache and adds a token after a last chunk."""
    for chunk in chunks:
        chunk.sequence.computed = chunk.end
        if chunk.end == len(chunk.sequence.tokens):
            chunk.sequence.tokens.append(0)


def _show(chunks):
    return [(chunk.sequence.order, chunk.start, chunk.length) for chunk in chunks]


def test_a_long_prompt_is_cut_to_the_token_budget():
    subject = _scheduler(token_budget=64)
    subject.add(_sequence(1, 100))

    first = subject.plan()
    _advance(first)

    assert _show(first) == [(1, 0, 64)]
    assert not first[0].is_last
    assert _show(subject.plan()) == [(1, 64, 36)]


def test_decoding_goes_before_prompts_and_shares_the_step_with_them():
    subject = _scheduler(token_budget=64)
    subject.add(_sequence(1, 10))
    _advance(subject.plan())
    subject.add(_sequence(2, 100))

    assert _show(subject.plan()) == [(1, 10, 1), (2, 0, 63)]


def test_no_more_sequences_run_than_allowed():
    subject = _scheduler(max_sequences=2)
    for order in range(5):
        subject.add(_sequence(order, 4))

    assert [chunk.sequence.order for chunk in subject.plan()] == [0, 1]
    assert (subject.num_running, subject.num_waiting) == (2, 3)


def test_a_higher_priority_is_served_first():
    subject = _scheduler(max_sequences=1)
    subject.add(_sequence(1, 4))
    subject.add(_sequence(2, 4, priority=5))

    assert [chunk.sequence.order for chunk in subject.plan()] == [2]


def test_a_higher_priority_pre_empts_a_running_lower_one():
    subject = _scheduler(max_sequences=1)
    subject.add(_sequence(1, 4))
    _advance(subject.plan())
    subject.add(_sequence(2, 4, priority=5))

    assert [chunk.sequence.order for chunk in subject.plan()] == [2]
    assert subject.preemptions == 1


def test_an_equal_priority_does_not_pre_empt():
    subject = _scheduler(max_sequences=1)
    subject.add(_sequence(1, 4))
    _advance(subject.plan())
    subject.add(_sequence(2, 4))

    assert [chunk.sequence.order for chunk in subject.plan()] == [1]


def test_the_youngest_gives_its_blocks_back_when_they_run_out():
    subject = _scheduler(num_blocks=6)
    old, young = _sequence(1, 16), _sequence(2, 16)
    subject.add(old)
    subject.add(young)
    while subject.preemptions == 0:
        _advance(subject.plan())

    assert old.blocks
    assert (young.blocks, young.computed) == ([], 0)
    assert subject.pool.num_free == 6 - len(old.blocks)


def test_dropping_frees_the_blocks_of_running_and_waiting_sequences():
    subject = _scheduler(max_sequences=1)
    sequences = [_sequence(order, 20) for order in range(3)]
    for sequence in sequences:
        subject.add(sequence)
    subject.plan()

    for sequence in sequences:
        subject.drop(sequence)

    assert subject.pool.num_free == subject.pool.total
    assert subject.plan() == []


@pytest.mark.parametrize("seed", range(5))
def test_random_arrivals_and_departures_never_leak_or_double_a_block(seed):
    rng = random.Random(seed)
    subject = _scheduler(num_blocks=20, max_sequences=6, token_budget=40)
    live: list[Sequence] = []

    for order in range(2000):
        if rng.random() < 0.5:
            live.append(_sequence(order, rng.randint(1, 150), priority=rng.randint(0, 2)))
            subject.add(live[-1])
        if live and rng.random() < 0.1:
            subject.drop(live.pop(rng.randrange(len(live))))
        chunks = subject.plan()
        assert sum(chunk.length for chunk in chunks) <= 40
        assert chunks or not live
        _advance(chunks)
        for chunk in chunks:
            if chunk.sequence.num_generated >= chunk.sequence.request.sampling.max_tokens:
                live.remove(chunk.sequence)
                subject.drop(chunk.sequence)
        held = [block for sequence in live for block in sequence.blocks]
        assert len(held) == len(set(held)) == 20 - subject.pool.num_free

    assert subject.preemptions > 0
