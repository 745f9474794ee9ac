"""Sampling: the right distribution, and the same draw whoever shares the batch."""

import math

import pytest
import torch

from app.inference import noise, sampling
from app.inference.engine import Sampling

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])


def _draw_many(parameters, count=20_000):
    draws = [sampling.Draw(parameters, position) for position in range(count)]
    tokens = sampling.choose(LOGITS.expand(count, -1), draws).read()
    return torch.bincount(torch.tensor(tokens), minlength=len(LOGITS)).double() / count


def _chi_squared(seen, expected, count=20_000):
    kept = expected > 0
    return float((count * (seen - expected)[kept] ** 2 / expected[kept]).sum())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature):
    expected = (LOGITS.double() / temperature).softmax(-1)

    seen = _draw_many(Sampling(temperature=temperature, seed=11))

    assert _chi_squared(seen, expected) < 20.5  # 0.1 % of fair draws exceed this; seeded


@pytest.mark.parametrize(
    ("parameters", "kept"),
    [
        (Sampling(top_k=2), [0, 1]),
        (Sampling(top_k=1), [0]),
        (Sampling(top_p=0.6), [0, 1]),
        (Sampling(top_p=0.55), [0]),
        (Sampling(top_p=1e-9), [0]),
        (Sampling(top_k=3, top_p=0.7), [0, 1]),
        (Sampling(top_k=99), [0, 1, 2, 3, 4, 5]),
        (Sampling(min_p=0.2), [0, 1, 2]),  # e**-1.5 = 0.223, e**-2 = 0.135
        (Sampling(min_p=1.0), [0]),
        (Sampling(temperature=2.0, min_p=0.2), [0, 1, 2, 3, 4]),
        (Sampling(min_p=0.01, top_k=2), [0, 1]),
    ],
)
def test_only_likely_tokens_are_drawn_and_in_proportion(parameters, kept):
    expected = torch.zeros(len(LOGITS), dtype=torch.float64)
    expected[kept] = (LOGITS.double() / parameters.temperature).softmax(-1)[kept]
    expected /= expected.sum()

    seen = _draw_many(parameters)

    assert seen[expected == 0].sum() == 0
    assert _chi_squared(seen, expected) < 20.5


def test_temperature_zero_takes_the_likeliest():
    assert sampling.choose(LOGITS[None], [sampling.Draw(Sampling(temperature=0), 0)]).read() == [0]


def test_a_tiny_temperature_does_not_overflow():
    assert sampling.choose(
        LOGITS[None], [sampling.Draw(Sampling(temperature=1e-30), 0)]
    ).read() == [0]


def test_a_draw_does_not_depend_on_the_rows_beside_it():
    logits = torch.randn(32, 50, generator=torch.Generator().manual_seed(1))
    kinds = [
        Sampling(seed=1),
        Sampling(temperature=0),
        Sampling(seed=2, top_k=5),
        Sampling(top_p=0.8),
    ]
    draws = [sampling.Draw(kinds[row % 4], row // 2) for row in range(32)]

    together = sampling.choose(logits, draws).read()

    alone = [sampling.choose(logits[row : row + 1], [draws[row]]).read()[0] for row in range(32)]
    assert together == alone


def _draw_noise(seed, position, ids):
    key = torch.tensor([[noise.make_key(seed, position)]])
    return noise.draw(key, torch.tensor([ids]))[0].tolist()


def test_seed_position_and_token_all_change_the_number():
    numbers = {
        number
        for seed in (-1, 0, 1, 11)
        for at in (0, 1, 10)
        for number in _draw_noise(seed, at, [0, 1, 2, 150_000])
    }

    assert len(numbers) == 48
    assert all(0 < number < 40 for number in numbers)


def _split_mix(state, count):
    """The published generator, with Python's integers."""
    state = (state + (count + 1) * 0x9E3779B97F4A7C15) % 2**64
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
    return state ^ (state >> 31)


def test_the_bits_are_those_of_the_published_generator():
    assert _split_mix(1234567, 0) == 6457827717110365317  # the reference program's first number
    ids = [0, 1, 7, 151_935]
    for seed in range(5):
        start = noise.make_key(seed, 3) % 2**64
        uniform = [((_split_mix(start, each) >> 11) + 0.5) * 2.0**-53 for each in ids]

        expected = [-math.log(each) for each in uniform]
        assert _draw_noise(seed, 3, ids) == pytest.approx(expected, rel=1e-12)


def test_small_errors_hardly_ever_change_a_choice():
    logits = 2 * torch.randn(2000, 2000, generator=torch.manual_seed(5))
    errors = 1e-3 * torch.randn(2000, 2000, generator=torch.manual_seed(6))
    draws = [sampling.Draw(Sampling(seed=row), 0) for row in range(2000)]

    plain = sampling.choose(logits.clone(), draws).tokens
    disturbed = sampling.choose(logits + errors, draws).tokens

    assert int((plain != disturbed).sum()) <= 4  # inverting a cumulative sum changes 89


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("parameters", [Sampling(temperature=0), Sampling(), Sampling(top_k=3)])
def test_a_row_with_a_bad_number_yields_nothing_and_spares_the_others(bad, parameters):
    logits = LOGITS.repeat(3, 1)
    logits[1, 4] = bad
    draws = [sampling.Draw(parameters, 0)] * 3

    tokens = sampling.choose(logits, draws).read()

    assert tokens[1] == "numerical"
    assert tokens[0] == tokens[2] == sampling.choose(LOGITS[None], draws[:1]).read()[0]


def _choose_slowly(logits, draw):
    """top_k, top_p and min_p token by token, as docs/sampling.md says."""
    parameters = draw.sampling
    weights = (logits.double() / parameters.temperature).softmax(-1)
    order = sorted(range(len(logits)), key=lambda token: (-weights[token], token))
    order = order[: parameters.top_k or None]
    mass = sum(float(weights[token]) for token in order) if parameters.top_k else 1.0
    kept, before = [], 0.0
    for token in order:
        if before < parameters.top_p * mass and (
            weights[token] >= parameters.min_p * weights[order[0]]
        ):
            kept.append(token)
        before += float(weights[token])
    times = dict(zip(kept, _draw_noise(parameters.seed, draw.position, kept), strict=True))
    return min(kept, key=lambda token: times[token] / float(weights[token]))


@pytest.mark.parametrize(
    "parameters",
    [
        {"top_p": 0.9},
        {"top_p": 0.999},
        {"top_k": 50},
        {"top_k": 3000},
        {"top_k": 1500, "top_p": 0.7},
        {"top_k": 3000, "top_p": 0.3},
        {"min_p": 0.05},
        {"min_p": 1e-9, "temperature": 3.0},
        {"top_p": 0.5, "min_p": 0.2},
    ],
)
@pytest.mark.parametrize("step", [0.0, 0.25])  # 0.25: many tokens are equally likely
@pytest.mark.parametrize("spread", [4.0, 0.5])  # 0.5: the likeliest thousand are half of the whole
def test_a_large_vocabulary_is_cut_as_if_it_were_sorted_whole(parameters, spread, step):
    logits = spread * torch.randn(6, 4000, generator=torch.manual_seed(3))
    if step:
        logits = (logits / step).round() * step
    draws = [
        sampling.Draw(Sampling(**{"seed": row, "temperature": 1.0} | parameters), row)
        for row in range(len(logits))
    ]

    found = sampling.choose(logits.clone(), draws).read()

    assert found == [_choose_slowly(row, draw) for row, draw in zip(logits, draws, strict=True)]
