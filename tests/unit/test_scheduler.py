"""The scheduler: who runs, in which order, and who gives way."""

from app.inference import blocks, decoding, engine, scheduler
from app.inference.sequences import Sequence
from app.inference.transcripts import Transcript


def _sequence(order, length, *, priority=0, max_tokens=10, prompt=None, salt=""):
    """By default no two have a token in common."""
    request = engine.Request(
        id=str(order),
        prompt=prompt or tuple(range(1000 * order, 1000 * order + length)),
        cache_salt=salt,
        sampling=engine.Sampling(max_tokens=max_tokens),
        priority=priority,
    )
    return Sequence(request, order, Transcript(decoding.Windows(str), ()), list(request.prompt))


def _scheduler(*, num_blocks=100, max_sequences=8, token_budget=64):
    limits = scheduler.Limits(max_sequences, token_budget)
    return scheduler.Scheduler(blocks.Pool(num_blocks), limits)


def _advance(subject, chunks):
    """What a forward pass does: fills the cache and adds a token after a last chunk."""
    for chunk in chunks:
        subject.advance(chunk)
        if chunk.end == len(chunk.sequence.tokens):
            chunk.sequence.tokens.append(0)


def _show(chunks):
    return [(chunk.sequence.order, chunk.start, chunk.length) for chunk in chunks]


def test_a_long_prompt_is_cut_to_the_token_budget():
    subject = _scheduler(token_budget=64)
    subject.add(_sequence(1, 100))

    first = subject.plan()
    _advance(subject, first)

    assert _show(first) == [(1, 0, 64)]
    assert not first[0].is_last
    assert _show(subject.plan()) == [(1, 64, 36)]


def test_decoding_goes_before_prompts_and_shares_the_step_with_them():
    subject = _scheduler(token_budget=64)
    subject.add(_sequence(1, 10))
    _advance(subject, subject.plan())
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
    _advance(subject, subject.plan())
    subject.add(_sequence(2, 4, priority=5))

    assert [chunk.sequence.order for chunk in subject.plan()] == [2]
    assert subject.preemptions == 1


def test_an_equal_priority_does_not_pre_empt():
    subject = _scheduler(max_sequences=1)
    subject.add(_sequence(1, 4))
    _advance(subject, subject.plan())
    subject.add(_sequence(2, 4))

    assert [chunk.sequence.order for chunk in subject.plan()] == [1]


def test_the_youngest_gives_its_blocks_back_when_they_run_out():
    subject = _scheduler(num_blocks=6)
    old, young = _sequence(1, 16, max_tokens=99), _sequence(2, 16, max_tokens=99)
    subject.add(old)
    subject.add(young)
    while subject.preemptions == 0:
        _advance(subject, subject.plan())

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


PREFIX = tuple(range(40))


def test_a_prefix_that_is_being_computed_is_waited_for_and_then_shared():
    subject = _scheduler()
    for order in (1, 2):
        subject.add(_sequence(order, 0, prompt=(*PREFIX, order)))

    first = subject.plan()
    _advance(subject, first)

    assert _show(first) == [(1, 0, 41)]
    assert _show(subject.plan()) == [(1, 41, 1), (2, 32, 9)]


def test_a_higher_priority_does_not_wait_for_a_lower_one_to_compute_its_prefix():
    subject = _scheduler(token_budget=16)
    subject.add(_sequence(1, 0, prompt=(*PREFIX, 1), priority=-1))
    _advance(subject, subject.plan())
    subject.add(_sequence(2, 0, prompt=(*PREFIX, 2), priority=9))

    assert _show(subject.plan()) == [(2, 16, 16)]


def test_a_prefix_is_shared_after_its_first_owner_has_left():
    subject = _scheduler()
    first = _sequence(1, 0, prompt=PREFIX)
    subject.add(first)
    _advance(subject, subject.plan())
    subject.drop(first)
    second = _sequence(2, 0, prompt=PREFIX)
    subject.add(second)

    assert _show(subject.plan()) == [(2, 32, 8)]
    assert second.cached == 32


def test_the_last_token_is_always_computed():
    subject = _scheduler()
    subject.add(_sequence(1, 0, prompt=PREFIX[:32]))
    _advance(subject, subject.plan())
    subject.add(_sequence(2, 0, prompt=PREFIX[:32]))

    assert _show(subject.plan())[1] == (2, 16, 16)


def test_tenants_share_nothing():
    subject = _scheduler(token_budget=200)
    subject.add(_sequence(1, 0, prompt=PREFIX, salt="one"))
    _advance(subject, subject.plan())
    subject.add(_sequence(2, 0, prompt=PREFIX, salt="two"))

    assert _show(subject.plan())[1] == (2, 0, 40)


def test_what_a_failed_sequence_computed_is_not_shared():
    subject = _scheduler()
    failed = _sequence(1, 0, prompt=PREFIX)
    subject.add(failed)
    _advance(subject, subject.plan())
    subject.discard(failed)
    subject.drop(failed)
    subject.add(_sequence(2, 0, prompt=PREFIX))

    assert _show(subject.plan()) == [(2, 0, 40)]


def test_while_many_wait_all_start_as_they_came():
    subject = _scheduler(max_sequences=2)
    for order, max_tokens in enumerate((5, 50, 20)):
        subject.add(_sequence(order, 4, priority=-10, max_tokens=max_tokens))

    assert [chunk.sequence.order for chunk in subject.plan()] == [0, 1]


def test_a_queue_that_fills_up_again_is_served_in_order_of_arrival_again():
    subject = _scheduler(max_sequences=2)
    answers = (5, 50, 20, 7, 90)
    first, *others = (
        _sequence(order, 4, priority=-10, max_tokens=max_tokens)
        for order, max_tokens in enumerate(answers)
    )
    subject.add(first)
    _advance(subject, subject.plan())
    for sequence in others:
        subject.add(sequence)
    subject.drop(others[-1])

    _advance(subject, subject.plan())
    subject.drop(first)

    assert [chunk.sequence.order for chunk in subject.plan()] == [1, 2]


def test_when_few_wait_patient_ones_start_with_the_longest_answer_others_as_they_came():
    subject = _scheduler(max_sequences=3, token_budget=8)
    for order, max_tokens in enumerate((5, 50, 20)):
        subject.add(_sequence(order, 4, priority=-10, max_tokens=max_tokens))

    assert {chunk.sequence.order for chunk in subject.plan()} == {1, 2}

    urgent = _scheduler(max_sequences=3, token_budget=8)
    for order, max_tokens in enumerate((5, 50, 20)):
        urgent.add(_sequence(order, 4, max_tokens=max_tokens))

    assert {chunk.sequence.order for chunk in urgent.plan()} == {0, 1}


def test_a_pre_empted_sequence_finds_its_own_blocks_again():
    subject = _scheduler(max_sequences=1)
    low = _sequence(1, 40)
    subject.add(low)
    _advance(subject, subject.plan())
    high = _sequence(2, 4, priority=5)
    subject.add(high)
    _advance(subject, subject.plan())
    subject.drop(high)

    assert _show(subject.plan()) == [(1, 32, 9)]
    assert low.cached == 0
