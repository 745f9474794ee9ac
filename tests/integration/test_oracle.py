"""Greedy float32 output equals model.generate token for token, whatever the engine goes through."""

import functools
import random
from typing import Any

import pytest
import torch
import transformers

from app.inference import checkpoint, local, places, randoms
from app.inference.engine import FinishReason, Output, Request, Sampling
from app.settings import schema

ROOMY, TIGHT, TIGHTER = 8192, 320, 240


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def overlapping(monkeypatch):
    """Steps overlap, as on a GPU."""
    monkeypatch.setattr(places, "works_beside", lambda device: True)


@pytest.fixture(scope="module", params=checkpoint.ARCHITECTURES)
def path(request, tmp_path_factory):
    return randoms.write(tmp_path_factory.mktemp("model"), request.param)


@pytest.fixture(
    scope="module", params=["Qwen2ForCausalLM", "MistralForCausalLM", "GemmaForCausalLM"]
)
def other(request, tmp_path_factory):
    """A model that the trial admits."""
    sizes: dict[str, Any] = {}
    if request.param.startswith("Mistral"):
        sizes["sliding_window"] = None
    return randoms.write(tmp_path_factory.mktemp("other"), request.param, **sizes)


def _build(path, *, cache_tokens=ROOMY, token_budget=128, dtype="float32", is_sharing=True):
    model = schema.Model(name="m", path=str(path), dtype=dtype, cache_tokens=cache_tokens)
    return local.build(model, device="cpu", token_budget=token_budget, share_prefixes=is_sharing)


def _requests(count=50, **sampling):
    rng = random.Random(4)
    return [
        Request(
            id=str(number),
            prompt=tuple(rng.randrange(256) for _ in range(rng.randint(1, 100))),
            sampling=Sampling(max_tokens=rng.randint(1, 90), **{"temperature": 0.0} | sampling),
        )
        for number in range(count)
    ]


def _kindred():
    """Twenty prompts that begin with 40 to 80 tokens of one text and go on each in its own way."""
    rng = random.Random(5)
    beginning = tuple(rng.randrange(256) for _ in range(80))
    return [
        Request(
            id=str(number),
            prompt=(
                *beginning[: rng.randint(40, 80)],
                *(rng.randrange(256) for _ in range(rng.randint(1, 60))),
            ),
            sampling=Sampling(max_tokens=rng.randint(40, 90), temperature=0.0),
        )
        for number in range(20)
    ]


def _drain(subject):
    outputs: dict[str, Output] = {}
    while subject.num_unfinished:
        outputs |= {output.id: output for output in subject.step()}
    return outputs


def _run(subject, requests):
    for request in requests:
        subject.add(request)
    return _drain(subject)


@functools.cache
def _oracle(path, make=_requests):
    """What generate answers to each of make(), by id, and whether it ended with EOS."""
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    return {request.id: _generate(model, request) for request in make()}


def _generate(model, request):
    ids = torch.tensor([request.prompt])
    answer = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=request.sampling.max_tokens,
        do_sample=False,
    )[0, len(request.prompt) :].tolist()
    is_stopped = answer[-1] == randoms.EOS
    return tuple(answer[:-1] if is_stopped else answer), is_stopped


def _agree(outputs, path, make=_requests):
    oracle = _oracle(path, make)
    for name, output in outputs.items():
        tokens, is_stopped = oracle[name]
        assert output.tokens == tokens, name
        assert output.finish_reason == (FinishReason.STOP if is_stopped else FinishReason.LENGTH)


def test_fifty_prompts_together_match_generate(path):
    outputs = _run(_build(path), _requests())

    assert len(outputs) == 50
    _agree(outputs, path)


def test_models_that_pass_the_trial_match_generate(other):
    subject = _build(other, cache_tokens=TIGHT, token_budget=50)

    _agree(_run(subject, _requests()), other)

    assert subject.stats.preemptions > 0


def test_prompts_in_small_chunks_match_generate(path):
    _agree(_run(_build(path, token_budget=9), _requests()), path)


def test_pre_empted_sequences_match_generate(path):
    subject = _build(path, cache_tokens=TIGHT, token_budget=50)

    _agree(_run(subject, _requests()), path)

    assert subject.stats.preemptions > 0
    assert subject.stats.blocks_free == subject.stats.blocks_total


def _cancel_some(subject, rng, *, share):
    """Runs _requests(), cancelling one after that share of the steps; the outputs of the others."""
    for request in _requests():
        subject.add(request)
    outputs: dict[str, Output] = {}
    while subject.num_unfinished:
        outputs |= {output.id: output for output in subject.step()}
        if rng.random() < share:
            subject.cancel(str(rng.randrange(50)))
    assert len(outputs) == 50
    return {
        name: output
        for name, output in outputs.items()
        if output.finish_reason is not FinishReason.CANCELLED
    }


def test_cancelled_neighbours_change_nothing(path):
    subject = _build(path, token_budget=50)

    kept = _cancel_some(subject, random.Random(2), share=1.0)

    assert 0 < len(kept) < 50
    _agree(kept, path)
    assert subject.stats.blocks_free == subject.stats.blocks_total


@pytest.mark.usefixtures("overlapping")
def test_overlapping_steps_match_generate_through_preemption_and_cancellation(path):
    subject = _build(path, cache_tokens=TIGHT, token_budget=50)

    kept = _cancel_some(subject, random.Random(3), share=0.1)

    assert 0 < len(kept) < 50
    _agree(kept, path)
    assert subject.stats.preemptions > 0
    assert subject.stats.blocks_free == subject.stats.blocks_total


@pytest.mark.parametrize(
    ("token_budget", "cache_tokens"),
    [(128, ROOMY), (24, ROOMY), (50, TIGHTER)],
    ids=["together", "in small chunks", "pre-empted"],
)
@pytest.mark.parametrize("is_overlapping", [False, True], ids=["in turn", "overlapping"])
def test_a_shared_beginning_gives_what_generate_and_an_engine_without_sharing_give(
    path, token_budget, cache_tokens, is_overlapping, monkeypatch
):
    monkeypatch.setattr(places, "works_beside", lambda device: is_overlapping)
    sharing, apart = (
        _build(path, token_budget=token_budget, cache_tokens=cache_tokens, is_sharing=is_sharing)
        for is_sharing in (True, False)
    )

    shared, separate = (_run(subject, _kindred()) for subject in (sharing, apart))

    assert len(shared) == 20
    _agree(shared, path, _kindred)
    _agree(separate, path, _kindred)
    assert {name: output.cached_tokens for name, output in separate.items()} == dict.fromkeys(
        shared, 0
    )
    first, *others = (shared[request.id].cached_tokens for request in _kindred())
    assert first == 0
    assert min(others) >= 32  # the whole blocks of the shortest common beginning
    for subject in (sharing, apart):
        assert subject.stats.blocks_free == subject.stats.blocks_total
        assert (subject.stats.preemptions > 0) is (cache_tokens == TIGHTER)


def test_what_earlier_requests_left_in_the_cache_gives_what_generate_gives(path):
    subject = _build(path)
    first = _run(subject, _kindred())

    again = _run(subject, _kindred())

    _agree(again, path, _kindred)
    for request in _kindred():
        tokens = len(request.prompt) - 1  # the last one is always computed
        assert again[request.id].cached_tokens == tokens // 16 * 16, request.id
    assert first["0"].cached_tokens == 0


def test_seeded_text_is_the_same_alone_among_others_and_after_pre_emption(path):
    requests = _requests(32, temperature=0.9, top_p=0.95, top_k=40, seed=17)
    alone: dict[str, Output] = {}
    for request in requests[:8]:
        alone |= _run(_build(path), [request])

    together = _run(_build(path), requests)
    pressed = _run(_build(path, cache_tokens=TIGHT), requests)

    for name, output in alone.items():
        assert output.text == together[name].text == pressed[name].text
        assert output.tokens == together[name].tokens == pressed[name].tokens


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_runs_on_the_cpu(path, dtype):
    subject = _build(path, dtype=dtype)

    outputs = _run(subject, _requests(8))

    assert subject.provenance["dtype"] == dtype
    assert all(output.finish_reason is not FinishReason.ERROR for output in outputs.values())
    first = [output.tokens[:1] for output in outputs.values()]
    exact = [_oracle(path)[name][0][:1] for name in outputs]
    assert sum(a == b for a, b in zip(first, exact, strict=True)) >= 6
