"""Bias, penalties and log-probabilities against a slow, plain reading of their definitions."""

import random

import pytest
import torch

from app.inference import sampling, trails
from app.inference.engine import Sampling

VOCABULARY = 40


def _shape_slowly(logits, parameters, prompt, answer):
    """docs/sampling.md, token by token."""
    shaped = [float(value) for value in logits]
    for token, added in parameters.logit_bias:
        shaped[token] += added
    for token in set(prompt) | set(answer):
        value, penalty = shaped[token], parameters.repetition_penalty
        shaped[token] = value / penalty if value > 0 else value * penalty
    for token in set(answer):
        shaped[token] -= parameters.frequency_penalty * answer.count(token)
        shaped[token] -= parameters.presence_penalty
    return shaped


def _draw(parameters, prompt, answer):
    trail = trails.start(parameters, prompt)
    for token in answer:
        if trail:
            trail.add(token)
    return sampling.Draw(parameters, len(answer), trail)


def _make_case(seed):
    choose = random.Random(seed)
    parameters = Sampling(
        temperature=choose.choice([0.0, 0.8]),
        seed=seed,
        repetition_penalty=choose.choice([1.0, 1.3, 0.7]),
        presence_penalty=choose.choice([0.0, 1.5, -0.5]),
        frequency_penalty=choose.choice([0.0, 0.4, -0.2]),
        logit_bias=tuple(
            (token, choose.uniform(-5, 5))
            for token in choose.sample(range(VOCABULARY), choose.choice([0, 3]))
        ),
        logprobs=choose.choice([None, 0, 3]),
    )
    prompt = [choose.randrange(VOCABULARY) for _ in range(choose.randrange(1, 20))]
    answer = [choose.randrange(VOCABULARY) for _ in range(choose.randrange(0, 30))]
    return parameters, prompt, answer


def test_a_mixed_batch_is_shaped_row_by_row_as_defined():
    cases = [_make_case(seed) for seed in range(64)]
    logits = 3 * torch.randn(64, VOCABULARY, generator=torch.Generator().manual_seed(3))
    slow = torch.tensor([_shape_slowly(logits[row], *case) for row, case in enumerate(cases)])
    plain = [
        sampling.Draw(Sampling(temperature=parameters.temperature, seed=parameters.seed), len(a))
        for parameters, _, a in cases
    ]
    expected = sampling.choose(slow, plain).read()

    seen = sampling.choose(logits.clone(), [_draw(*case) for case in cases]).read()

    assert seen == expected
    assert seen != sampling.choose(logits.clone(), plain).read()


@pytest.mark.parametrize("parameters", [Sampling(temperature=0), Sampling(temperature=2.0, seed=3)])
def test_bias_can_force_and_forbid_a_token(parameters):
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(3))
    forced = Sampling(temperature=parameters.temperature, logit_bias=((7, 100.0),))
    best = int(logits.argmax())
    barred = Sampling(temperature=parameters.temperature, logit_bias=((best, -100.0),))

    assert sampling.choose(logits.clone(), [_draw(forced, [1], [])]).read() == [7]
    assert sampling.choose(logits.clone(), [_draw(barred, [1], [])]).read() != [best]


def test_log_probabilities_are_the_models_own_whatever_shapes_the_choice():
    logits = 3 * torch.randn(3, VOCABULARY, generator=torch.Generator().manual_seed(5))
    shaped = Sampling(temperature=0.5, seed=2, presence_penalty=1.0, logit_bias=((4, 3.0),))
    wanted = [
        Sampling(temperature=0, logprobs=2),
        Sampling(temperature=0),
        Sampling(**{**vars(shaped), "logprobs": 0}),
    ]
    draws = [_draw(each, [1, 2], [3]) for each in wanted]

    tokens = sampling.choose(logits.clone(), draws).read()

    truth = logits.double().log_softmax(-1)
    assert draws[1].trail is None
    ((token, logprob, top),) = draws[0].trail.scores
    assert (token, token) == (tokens[0], int(truth[0].argmax()))
    assert logprob == pytest.approx(float(truth[0].max()), abs=1e-5)
    likeliest = truth[0].topk(2)
    assert [each[0] for each in top] == likeliest.indices.tolist()
    assert [each[1] for each in top] == pytest.approx(likeliest.values.tolist(), abs=1e-5)
    ((token, logprob, top),) = draws[2].trail.scores
    assert (token, top) == (tokens[2], ())
    assert logprob == pytest.approx(float(truth[2, token]), abs=1e-5)


def test_more_likely_tokens_than_the_vocabulary_has_are_all_of_it():
    draw = _draw(Sampling(temperature=0, logprobs=20), [1], [])

    sampling.choose(torch.randn(1, 5), [draw]).read()

    assert len(draw.trail.scores[0][2]) == 5


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "parameters",
    [
        Sampling(logprobs=3),
        Sampling(min_p=0.1),
        Sampling(temperature=0, repetition_penalty=1.2, frequency_penalty=1, logprobs=0),
        Sampling(presence_penalty=2, top_p=0.9, top_k=4, min_p=0.2),
        Sampling(logit_bias=((4, 100.0), (5, -100.0))),
    ],
)
def test_a_row_of_bad_numbers_fails_alone_with_every_option(bad, parameters):
    logits = torch.randn(3, VOCABULARY, generator=torch.Generator().manual_seed(1))
    expected = sampling.choose(logits.clone(), [_draw(parameters, [4], [4, 5])] * 3).read()
    logits[1, 4] = bad
    draws = [_draw(parameters, [4], [4, 5]) for _ in range(3)]

    tokens = sampling.choose(logits, draws).read()

    assert tokens == [expected[0], "numerical", expected[2]]
    if parameters.logprobs is not None:
        assert [len(draw.trail.scores) for draw in draws] == [1, 0, 1]


def test_the_strongest_penalties_leave_numbers_finite():
    parameters = Sampling(
        temperature=1e-3,
        repetition_penalty=0.01,
        presence_penalty=-2,
        frequency_penalty=-2,
        logit_bias=((1, 100.0),),
    )
    draw = _draw(parameters, [1], [1] * 5000)

    assert sampling.choose(1000 * torch.ones(1, 5), [draw]).read() == [1]
