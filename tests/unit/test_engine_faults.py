"""What goes wrong in a forward pass costs one request: the loop and its neighbours go on."""

import dataclasses

import pytest
import torch

from app.inference import checkpoint, choices, local, places, randoms, scheduler
from app.inference.engine import FinishReason, Output, Request, Sampling
from app.settings import schema

POISON = 300  # a token of the model that the byte tokenizer never makes


@pytest.fixture(params=[False, True], ids=["in turn", "overlapping"], autouse=True)
def _overlap(request, monkeypatch):
    """Steps overlap on a GPU; what they compute is the same on any device."""
    monkeypatch.setattr(places, "works_beside", lambda device: request.param)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    torch.set_num_threads(1)
    return randoms.write(tmp_path_factory.mktemp("tiny"), "GlmForCausalLM")


@pytest.fixture
def loaded(path):
    return checkpoint.load(_model(path), torch.device("cpu"))


def _model(path, **options):
    return schema.Model(name="m", path=str(path), dtype="float32", **options)


def _engine(loaded, *, cache_tokens=1024):
    model = schema.Model(name="m", path="unused", cache_tokens=cache_tokens)
    return local.Local(loaded, model, scheduler.Limits(8, 64), {})


def _requests(*poisoned):
    return [
        Request(
            id=str(number),
            prompt=(10 + number, 20, POISON if number in poisoned else 30, 40) * 5,
            sampling=Sampling(max_tokens=12, temperature=0.0, ignore_eos=True),
        )
        for number in range(8)
    ]


def _run(subject, requests):
    for request in requests:
        subject.add(request)
    outputs: dict[str, Output] = {}
    while subject.num_unfinished:
        outputs |= {output.id: output for output in subject.step()}
    return outputs


def _fail_when(loaded, is_fatal, error):
    def check(module, args, kwargs):
        if is_fatal(kwargs["input_ids"]):
            raise error

    loaded.model.model.register_forward_pre_hook(check, with_kwargs=True)


def _fails_alone(outputs, expected, name, code):
    failed = outputs.pop(name)
    assert (failed.finish_reason, failed.error_code) == (FinishReason.ERROR, code)
    assert {output.id: output.tokens for output in outputs.values()} == {
        output.id: output.tokens for output in expected.values() if output.id != name
    }


def test_blocks_that_held_bad_numbers_are_clean_for_the_next(loaded):
    expected = _run(_engine(loaded), _requests())
    with torch.no_grad():
        loaded.model.model.embed_tokens.weight[POISON] = float("nan")
    subject = _engine(loaded, cache_tokens=256)
    _run(subject, _requests(*range(8)))

    outputs = _run(subject, _requests())

    assert outputs == expected
    assert subject.stats.blocks_free == subject.stats.blocks_total


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (torch.OutOfMemoryError("simulated"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (RuntimeError("a kernel failed"), "engine_failed"),
        (TypeError("a kernel got None"), "engine_failed"),
        (AssertionError(), "engine_failed"),
        (KeyError("experts"), "engine_failed"),
    ],
)
def test_a_request_that_breaks_the_forward_fails_alone(loaded, error, code):
    expected = _run(_engine(loaded), _requests())
    _fail_when(loaded, lambda ids: bool((ids == POISON).any()), error)
    subject = _engine(loaded)

    outputs = _run(subject, _requests(5))

    _fails_alone(outputs, expected, "5", code)
    assert subject.stats.blocks_free == subject.stats.blocks_total


def _stumble(*_):
    raise KeyError("no such token")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("owner", "method", "sampling"),
    [
        ("trail", "add", {"logprobs": 0}),
        ("transcript", "read", {"stop": ("never",)}),
        ("transcript", "finish", {}),
    ],
)
def test_what_breaks_while_a_token_is_taken_costs_its_request_alone(
    loaded, monkeypatch, owner, method, sampling, stream
):
    requests = _requests()
    asked = dataclasses.replace(requests[5].sampling, **sampling)
    requests[5] = dataclasses.replace(requests[5], sampling=asked, stream=stream)
    expected = _run(_engine(loaded), _requests())
    subject = _engine(loaded)
    subject.add(requests[5])
    broken = type(getattr(subject._live["5"], owner))
    right = getattr(broken, method)
    mine = getattr(subject._live["5"], owner)

    def call(self, *given):
        return _stumble() if self is mine else right(self, *given)

    monkeypatch.setattr(broken, method, call)

    outputs = _run(subject, [each for each in requests if each.id != "5"])

    _fails_alone(outputs, expected, "5", "engine_failed")
    assert subject.stats.blocks_free == subject.stats.blocks_total


def test_a_request_that_was_cancelled_stays_so_whatever_its_text(loaded, monkeypatch):
    subject = _engine(loaded)
    subject.add(_requests()[0])
    subject.step()
    monkeypatch.setattr(type(subject._live["0"].transcript), "finish", _stumble)
    subject.cancel("0")

    [output] = subject.step()

    assert output.finish_reason is FinishReason.CANCELLED
    assert output.error_code is None


def test_what_does_not_fit_together_runs_in_parts(loaded):
    expected = _run(_engine(loaded), _requests())
    sizes: list[int] = []

    def is_too_large(ids):
        sizes.append(ids.shape[1])
        return ids.shape[1] > 25

    _fail_when(loaded, is_too_large, torch.OutOfMemoryError("simulated"))

    outputs = _run(_engine(loaded), _requests())

    assert outputs == expected
    assert max(sizes) > 25


def test_a_broken_device_is_not_taken_for_a_bad_request(loaded):
    _fail_when(loaded, lambda ids: True, torch.AcceleratorError("device-side assert"))

    with pytest.raises(torch.AcceleratorError):
        _run(_engine(loaded), _requests())


def test_an_end_token_ends_the_answer_and_is_not_part_of_it(loaded):
    request = _requests()[0]
    tokens = _run(_engine(loaded), [request])["0"].tokens
    first = tokens.index(tokens[4])
    asked = dataclasses.replace(request, sampling=Sampling(max_tokens=12, temperature=0.0))

    output = _run(_engine(dataclasses.replace(loaded, eos=frozenset({tokens[4]}))), [asked])["0"]

    assert output.tokens == tokens[:first]
    assert output.finish_reason is FinishReason.STOP


def test_an_end_token_is_passed_over_on_request(loaded):
    request = _requests()[0]
    tokens = _run(_engine(loaded), [request])["0"].tokens

    output = _run(_engine(dataclasses.replace(loaded, eos=frozenset(tokens))), [request])["0"]

    assert output.tokens == tokens


def test_a_prompt_that_the_cache_can_never_hold_is_refused(loaded):
    subject = _engine(loaded, cache_tokens=32)

    with pytest.raises(Exception, match=r"prompt_too_long.*limit=32"):
        subject.add(Request("a", (1,) * 30, Sampling(max_tokens=3)))


def test_when_one_choice_fails_its_request_fails_and_neighbours_go_on(loaded):
    expected = _run(_engine(loaded), _requests())
    calls: list[int] = []

    def is_poisoned(ids):
        calls.append(ids.shape[1])
        return bool((ids == POISON).any())

    _fail_when(loaded, is_poisoned, RuntimeError("a kernel failed"))
    subject = choices.Choices(_engine(loaded))
    poisoned = _requests(5)
    poisoned[5] = dataclasses.replace(
        poisoned[5], sampling=dataclasses.replace(poisoned[5].sampling, n=3)
    )

    outputs = _run(subject, poisoned)

    _fails_alone(outputs, expected, "5", "engine_failed")
    assert subject.stats.blocks_free == subject.stats.blocks_total
