"""Sampling through the whole engine: the same text whoever runs beside it, whatever is asked."""

import random

import pytest
import torch
import transformers

from app.inference import checkpoint, choices, local, places, randoms, scheduler
from app.inference.engine import Output, Request, Sampling
from app.settings import schema

KINDS = [
    {"temperature": 1.0},
    {"temperature": 0.7, "top_p": 0.9, "top_k": 40},
    {"temperature": 1.3, "min_p": 0.05, "logprobs": 2},
    {"temperature": 0.0, "repetition_penalty": 1.2, "logprobs": 0},
    {"temperature": 1.0, "presence_penalty": 1.0, "frequency_penalty": 0.5},
    {"temperature": 1.0, "logit_bias": ((65, 4.0), (66, -100.0)), "stop": ("AA",)},
]


@pytest.fixture(params=[False, True], ids=["in turn", "overlapping"], autouse=True)
def _overlap(request, monkeypatch):
    """Steps overlap on a GPU; what they compute is the same on any device."""
    monkeypatch.setattr(places, "works_beside", lambda device: request.param)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    torch.set_num_threads(1)
    path = randoms.write(tmp_path_factory.mktemp("tiny"), "LlamaForCausalLM")
    model = schema.Model(name="m", path=str(path), dtype="float32")
    return checkpoint.load(model, torch.device("cpu"))


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    path = randoms.write(tmp_path_factory.mktemp("oracle"), "LlamaForCausalLM")
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    return model.eval()


def _engine(loaded, *, cache_tokens=8192, max_sequences=32):
    model = schema.Model(name="m", path="unused", cache_tokens=cache_tokens)
    return local.Local(loaded, model, scheduler.Limits(max_sequences, 64), {})


def _request(number):
    choose = random.Random(number)
    prompt = tuple(choose.randrange(256) for _ in range(choose.randrange(4, 40)))
    kind = KINDS[number % len(KINDS)]
    return Request(str(number), prompt, Sampling(max_tokens=40, seed=number, **kind))


def _run(engine, requests):
    for request in requests:
        engine.add(request)
    outputs: dict[str, Output] = {}
    while engine.num_unfinished:
        outputs |= {output.id: output for output in engine.step()}
    return outputs


def test_the_text_is_the_same_alone_in_company_and_after_preemption(loaded):
    requests = [_request(number) for number in range(32)]
    crowded = _engine(loaded, cache_tokens=240)

    alone = [_run(_engine(loaded), [request])[request.id] for request in requests]
    together = _run(_engine(loaded), requests)
    preempted = _run(crowded, requests)

    assert crowded.stats.preemptions > 0
    for output in alone:
        for other in (together[output.id], preempted[output.id]):
            assert (other.tokens, other.text) == (output.tokens, output.text)
            assert other.finish_reason == output.finish_reason
            _compare_scores(other.logprobs, output.logprobs)
    assert len({output.tokens for output in alone}) == 32


def _compare_scores(left, right):
    assert (left is None) == (right is None)
    for one, other in zip(left or (), right or (), strict=True):
        assert (one.token, one.bytes) == (other.token, other.bytes)
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_log_probabilities_are_those_of_generate(loaded, oracle, penalty):
    prompt = tuple(b"the same prompt")
    sampling = Sampling(
        max_tokens=20, temperature=0, logprobs=5, repetition_penalty=penalty, ignore_eos=True
    )
    output = _run(_engine(loaded), [Request("a", prompt, sampling)])["a"]

    found = oracle.generate(
        torch.tensor([prompt]),
        max_new_tokens=20,
        do_sample=False,
        repetition_penalty=penalty,
        eos_token_id=None,
        output_logits=True,
        return_dict_in_generate=True,
    )

    assert output.tokens == tuple(found.sequences[0, len(prompt) :].tolist())
    assert output.logprobs is not None
    for token, logits, seen in zip(output.tokens, found.logits, output.logprobs, strict=True):
        truth = logits[0].double().log_softmax(-1)
        assert seen.logprob == pytest.approx(float(truth[token]), abs=1e-4)
        likeliest = truth.topk(5).values.tolist()
        assert [each.logprob for each in seen.top] == pytest.approx(likeliest, abs=1e-4)
        assert seen.bytes == (bytes([token]) if token < 256 else b"")


def test_an_end_token_has_no_entry_among_the_log_probabilities(loaded):
    forced = Sampling(max_tokens=9, temperature=0, logit_bias=((randoms.EOS, 100.0),), logprobs=1)

    output = _run(_engine(loaded), [Request("a", (1, 2), forced)])["a"]

    assert (output.tokens, output.logprobs, output.finish_reason) == ((), (), "stop")


def test_a_huge_stop_list_is_obeyed_and_slows_nobody_down(loaded):
    free = _run(_engine(loaded), [_request(0), _request(6)])
    stops = (*(f"never {number} " * 50 for number in range(2000)), free["0"].text[5:8])
    request = Request("0", _request(0).prompt, Sampling(max_tokens=40, stop=stops))

    outputs = _run(_engine(loaded), [request, _request(6)])

    assert outputs["0"].text == free["0"].text.partition(stops[-1])[0]
    assert outputs["6"] == free["6"]


def test_the_choices_of_one_prompt_share_its_blocks(loaded):
    subject = choices.Choices(_engine(loaded))
    prompt = tuple(at % 251 for at in range(200))

    outputs = _run(subject, [Request("a", prompt, Sampling(max_tokens=20, seed=1, n=8))])

    assert [other.cached_tokens for other in outputs["a"].others] == [192] * 7
    assert subject.stats.blocks_free == subject.stats.blocks_total
