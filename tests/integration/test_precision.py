"""Half precision stays near transformers: the engine's log-probabilities against those of a forward
pass over the same tokens, in float32 and in the engine's own type of number."""

import functools
import random
from dataclasses import dataclass

import pytest
import torch
import transformers

from app.inference import checkpoint, fusing, kernels, local, native, randoms
from app.inference.engine import Output, Request, Sampling
from app.settings import schema

# What the largest and the mean deviation of a log-probability may be; docs/engine.md says how they were chosen.
LARGEST = {
    ("float32", "float32"): 3e-5,
    ("float16", "float32"): 0.03,
    ("float16", "float16"): 0.015,
    ("bfloat16", "float32"): 0.3,
    ("bfloat16", "bfloat16"): 0.25,
}
MEAN = {
    ("float32", "float32"): 2e-6,
    ("float16", "float32"): 0.004,
    ("float16", "float16"): 0.002,
    ("bfloat16", "float32"): 0.03,
    ("bfloat16", "bfloat16"): 0.025,
}
NO_WORSE = 1.15  # times the mean deviation of transformers itself from float32, in the same type

TOP = 20
VOCABULARY = 272  # the 256 bytes, EOS, and no more than makes a multiple of 16
BUDGETS = {"whole prompts": 512, "several chunks": 24}
KINDS = [
    ("float32", True),
    ("float32", False),
    ("float16", False),
    ("bfloat16", True),
    ("bfloat16", False),
]


@dataclass(frozen=True)
class Deviation:
    """Of log-probabilities, natural logarithms."""

    largest: float
    mean: float


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=checkpoint.ARCHITECTURES)
def path(request, tmp_path_factory):
    sizes = {"vocab_size": VOCABULARY, "num_hidden_layers": 4}
    return randoms.write(tmp_path_factory.mktemp("model"), request.param, **sizes)


def _requests():
    rng = random.Random(6)
    return [
        Request(
            id=str(number),
            prompt=tuple(rng.randrange(256) for _ in range(length)),
            sampling=Sampling(max_tokens=40, temperature=0.0, logprobs=TOP, ignore_eos=True),
        )
        for number, length in enumerate((1, 15, 16, 17, 40, 75, 150, 280))
    ]


def _build(path, dtype, budget, *, is_fused, monkeypatch):
    if not is_fused:
        monkeypatch.setattr(kernels, "is_served", lambda dtype, device: False)
    model = schema.Model(name="m", path=str(path), dtype=dtype, cache_tokens=8192)
    subject = local.build(model, device="cpu", token_budget=budget)
    is_packed = any(isinstance(each, fusing.Packed) for each in subject._loaded.model.modules())
    assert is_packed is is_fused
    assert isinstance(subject._runner._cache, native.Cache) is is_fused
    return subject


def _run(subject):
    for request in _requests():
        subject.add(request)
    outputs: dict[str, Output] = {}
    while subject.num_unfinished:
        outputs |= {output.id: output for output in subject.step()}
    return outputs


@functools.cache
def _load(path, dtype):
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
    return model.eval()


@torch.inference_mode()
def _score(model, request, tokens):
    """The log-probabilities of each place of `tokens`: (tokens, vocabulary), float64."""
    logits = model(torch.tensor([[*request.prompt, *tokens]])).logits[0]
    return logits[len(request.prompt) - 1 : -1].double().log_softmax(-1)


def _list_scores(output):
    """Place, token and log-probability, of every chosen token and of the likeliest in its place."""
    for place, (token, entry) in enumerate(zip(output.tokens, output.logprobs, strict=True)):
        yield place, token, entry.logprob
        yield from ((place, each.bytes[0], each.logprob) for each in entry.top if each.bytes)


def _compare(outputs, exact, other=None):
    """How far the engine is from the model `exact`, or how far in the same places `other` is."""
    found = []
    for request in _requests():
        output = outputs[request.id]
        models = (model and _score(model, request, output.tokens) for model in (exact, other))
        truths, others = models
        for place, token, logprob in _list_scores(output):
            seen = logprob if others is None else float(others[place, token])
            found.append(abs(seen - float(truths[place, token])))
    return Deviation(max(found), sum(found) / len(found))


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
@pytest.mark.parametrize(("dtype", "is_fused"), KINDS)
def test_log_probabilities_stay_within_the_stated_tolerance(
    path, dtype, is_fused, budget, monkeypatch, record_property
):
    if is_fused and kernels.load() is None:
        pytest.skip("there is no C++ compiler")
    subject = _build(path, dtype, budget, is_fused=is_fused, monkeypatch=monkeypatch)

    outputs = _run(subject)

    assert all(len(output.tokens) == 40 for output in outputs.values())
    for reference in dict.fromkeys(("float32", dtype)):
        seen = _compare(outputs, _load(path, reference))
        record_property(f"{dtype} against {reference}", (seen.largest, seen.mean))
        assert seen.largest <= LARGEST[dtype, reference]
        assert seen.mean <= MEAN[dtype, reference]
    if dtype != "float32":
        exact, alike = (_load(path, name) for name in ("float32", dtype))
        own = _compare(outputs, exact, alike)
        record_property(f"transformers {dtype} against float32", (own.largest, own.mean))
        assert _compare(outputs, exact).mean <= NO_WORSE * own.mean
