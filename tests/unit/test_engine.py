"""What every engine promises; the fake and the real one pass the same tests."""

import dataclasses
import time

import pytest
import tokenizers
import torch
import transformers

import app
from app.errors import EngineError
from app.inference import backends, choices, places, randoms
from app.inference.engine import Delta, FinishReason, Output, Request, Sampling
from app.settings import schema


@pytest.fixture(params=[False, True], ids=["in turn", "overlapping"], autouse=True)
def _overlap(request, monkeypatch):
    """Steps overlap on a GPU; what they compute is the same on any device."""
    monkeypatch.setattr(places, "works_beside", lambda device: request.param)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    torch.set_num_threads(1)
    return randoms.write(tmp_path_factory.mktemp("tiny"), "GlmForCausalLM")


@pytest.fixture(params=["fake", "autoglm"])
def subject(request, tiny):
    model = schema.Model(
        name="tiny",
        path=str(tiny),
        backend=request.param,
        dtype="float32",
        max_context=200,
        max_sequences=4,
    )
    return backends.build(model, device="cpu", weights_sha256="abc", revision="r1")


def _request(name="a", text="hello", **changes):
    sampling = {"max_tokens": 6, "temperature": 0.0, "ignore_eos": True} | changes
    return Request(id=name, prompt=tuple(text.encode()), sampling=Sampling(**sampling))


def _drain(engine):
    outputs = {}
    while engine.num_unfinished:
        for output in engine.step():
            assert output.id not in outputs
            outputs[output.id] = output
    return outputs


def test_an_idle_engine_steps_without_effect(subject):
    assert subject.step() == []
    assert subject.num_unfinished == 0


def test_every_request_ends_once_with_the_tokens_it_asked_for(subject):
    for number in range(20):
        subject.add(_request(str(number), f"prompt {number}", max_tokens=1 + number % 5))

    outputs = _drain(subject)

    assert len(outputs) == 20
    for number in range(20):
        output = outputs[str(number)]
        assert output.finish_reason is FinishReason.LENGTH
        assert len(output.tokens) == 1 + number % 5
        assert output.prompt_tokens == len(f"prompt {number}")
        assert (output.error_code, output.error_message) == (None, None)


def test_the_same_request_gives_the_same_text_alone_and_in_company(subject):
    subject.add(_request("alone", temperature=1.0, seed=5, max_tokens=30))
    alone = _drain(subject)["alone"]
    for number in range(31):
        subject.add(_request(str(number), f"neighbour {number}", temperature=1.0, seed=number))
    subject.add(_request("together", temperature=1.0, seed=5, max_tokens=30))

    together = _drain(subject)["together"]

    assert (alone.tokens, alone.text) == (together.tokens, together.text)
    assert alone.text


def test_another_seed_gives_another_text(subject):
    for seed in (1, 2):
        subject.add(_request(str(seed), temperature=1.0, seed=seed, max_tokens=20))

    outputs = _drain(subject)

    assert outputs["1"].tokens != outputs["2"].tokens


@pytest.mark.parametrize(
    ("bad", "code", "param"),
    [
        (_request(text=""), "empty_prompt", "prompt"),
        (_request(text="x" * 195, max_tokens=6), "prompt_too_long", "prompt"),
        (_request(max_tokens=1000), "prompt_too_long", "prompt"),
        (Request("a", (1, 2, 10**9), Sampling(max_tokens=1)), "bad_token", "prompt"),
        (Request("a", (1, -1), Sampling(max_tokens=1)), "bad_token", "prompt"),
        (_request(max_tokens=0), "bad_sampling", "max_tokens"),
        (_request(temperature=-0.1), "bad_sampling", "temperature"),
        (_request(temperature=float("nan")), "bad_sampling", "temperature"),
        (_request(top_p=0.0), "bad_sampling", "top_p"),
        (_request(top_p=1.1), "bad_sampling", "top_p"),
        (_request(top_k=-1), "bad_sampling", "top_k"),
        (_request(stop=("",)), "bad_sampling", "stop"),
        (_request(min_p=1.1), "bad_sampling", "min_p"),
        (_request(repetition_penalty=0.0), "bad_sampling", "repetition_penalty"),
        (_request(repetition_penalty=float("nan")), "bad_sampling", "repetition_penalty"),
        (_request(presence_penalty=2.1), "bad_sampling", "presence_penalty"),
        (_request(frequency_penalty=-2.1), "bad_sampling", "frequency_penalty"),
        (_request(logit_bias=((1, 101.0),)), "bad_sampling", "logit_bias"),
        (_request(logit_bias=((1, float("nan")),)), "bad_sampling", "logit_bias"),
        (_request(logit_bias=((10**9, 1.0),)), "bad_bias", "logit_bias"),
        (_request(logit_bias=((-1, 1.0),)), "bad_bias", "logit_bias"),
        (_request(logprobs=21), "bad_sampling", "logprobs"),
        (_request(n=0), "bad_sampling", "n"),
        (_request(n=129), "bad_sampling", "n"),
        (_request(logit_bias=((1, 1.0), (1, 2.0))), "bad_sampling", "logit_bias"),
        (_request(n="2"), "bad_sampling", "sampling"),
        (_request(logprobs=True), "bad_sampling", "sampling"),
        (_request(temperature="1"), "bad_sampling", "sampling"),
        (_request(top_p=None), "bad_sampling", "sampling"),
        (_request(stop="end"), "bad_sampling", "sampling"),
        (_request(logit_bias=((1.0, 1.0),)), "bad_sampling", "sampling"),
    ],
)
def test_a_bad_request_is_refused_by_its_code_and_touches_nobody(subject, bad, code, param):
    subject.add(_request("good"))

    with pytest.raises(EngineError) as caught:
        subject.add(bad)

    assert (caught.value.code, caught.value.param) == (code, param)
    assert list(_drain(subject)) == ["good"]


def test_an_id_in_use_is_refused_and_may_return_when_free(subject):
    subject.add(_request("a"))
    with pytest.raises(EngineError, match="duplicate_id"):
        subject.add(_request("a"))

    _drain(subject)
    subject.add(_request("a"))

    assert list(_drain(subject)) == ["a"]


def test_the_longest_prompt_that_fits_is_served(subject):
    subject.add(_request(text="x" * 194, max_tokens=6))

    assert len(_drain(subject)["a"].tokens) == 6


def test_a_cancelled_request_ends_with_what_it_has_and_neighbours_go_on(subject):
    subject.add(_request("gone", max_tokens=100))
    subject.add(_request("stays", max_tokens=10))
    for _ in range(5):
        assert subject.step() == []

    subject.cancel("gone")
    subject.cancel("unknown")
    outputs = {output.id: output for output in subject.step()}

    assert outputs["gone"].finish_reason is FinishReason.CANCELLED
    assert len(outputs["gone"].tokens) in (4, 5)
    assert len(_drain(subject)["stays"].tokens) == 10


def test_a_waiting_request_can_be_cancelled(subject):
    for number in range(5):  # one more than run at once
        subject.add(_request(str(number), max_tokens=30))
    subject.step()

    subject.cancel("4")
    outputs = subject.step()

    assert [(o.id, o.tokens, o.finish_reason) for o in outputs] == [
        ("4", (), FinishReason.CANCELLED)
    ]
    assert len(_drain(subject)) == 4


def test_cancelling_an_id_does_not_reach_a_later_request_of_that_id(subject):
    subject.cancel("a")
    subject.add(_request("a"))
    subject.step()
    subject.cancel("a")
    subject.cancel("a")
    assert [output.finish_reason for output in subject.step()] == [FinishReason.CANCELLED]
    subject.add(_request("a"))

    assert _drain(subject)["a"].finish_reason is FinishReason.LENGTH


def test_a_passed_deadline_ends_a_request_with_what_it_has(subject):
    late = _request("late", max_tokens=150)
    deadline = time.monotonic() + 1.0
    subject.add(Request("late", late.prompt, late.sampling, deadline=deadline))
    subject.add(_request("free", max_tokens=3))
    subject.step()
    time.sleep(max(deadline - time.monotonic(), 0.0) + 0.01)

    outputs = _drain(subject)

    assert outputs["late"].finish_reason is FinishReason.EXPIRED
    assert 0 < len(outputs["late"].tokens) < 150
    assert outputs["free"].finish_reason is FinishReason.LENGTH


def test_text_ends_before_a_stop_string(subject):
    subject.add(_request("whole", max_tokens=40, temperature=1.0))
    whole = _drain(subject)["whole"].text
    stop = whole[8:11]
    subject.add(_request("cut", max_tokens=40, temperature=1.0, stop=("never", stop)))

    cut = _drain(subject)["cut"]

    assert cut.text == whole[: whole.index(stop)]
    assert cut.finish_reason is FinishReason.STOP


def test_a_higher_priority_overtakes(subject):
    for number in range(8):
        subject.add(_request(str(number), max_tokens=20))
    subject.step()
    first = _request("urgent", max_tokens=2)
    subject.add(Request("urgent", first.prompt, first.sampling, priority=9))

    ended = []
    while subject.num_unfinished:
        ended += [output.id for output in subject.step()]

    assert ended.index("urgent") == 0


def test_room_falls_to_zero_and_returns(subject):
    room = subject.room
    assert room > 0

    for number in range(room + 2):
        subject.add(_request(str(number)))

    assert subject.room == 0
    _drain(subject)
    assert subject.room == room


def test_stats_count_what_was_done(subject):
    for number in range(3):
        subject.add(_request(str(number), "12345", max_tokens=4))
    subject.step()
    assert subject.stats.running == 3

    _drain(subject)

    stats = subject.stats
    assert (stats.waiting, stats.running) == (0, 0)
    assert (stats.prompt_tokens, stats.generated_tokens) == (15, 12)
    assert stats.steps >= 4
    assert stats.blocks_free == stats.blocks_total


def test_provenance_names_weights_model_and_engine(subject):
    found = subject.provenance

    assert (found["weights_sha256"], found["revision"]) == ("abc", "r1")
    assert (found["model"], found["device"]) == ("tiny", "cpu")
    ours, *libraries = str(found["engine"]).split()
    made = [f"{each.__name__}/{each.__version__}" for each in (torch, transformers, tokenizers)]
    assert ours in (f"fake/{app.__version__}", f"autoglm/{app.__version__}")
    assert libraries == ([] if ours.startswith("fake/") else made)


def _stream(engine, requests):
    """The deltas of each request in order, and its output."""
    deltas: dict[str, list[Delta]] = {request.id: [] for request in requests}
    outputs: dict[str, Output] = {}
    for request in requests:
        engine.add(request)
    while engine.num_unfinished:
        outputs |= {output.id: output for output in engine.step()}
        for delta in engine.deltas():
            deltas[delta.id].append(delta)
    return deltas, outputs


def test_a_streamed_request_shows_its_text_as_it_grows(subject):
    plain = _request("a", max_tokens=30, temperature=1.0, seed=4)
    requests = [
        dataclasses.replace(plain, id=name, stream=name != "silent")
        for name in ("a", "silent", "b")
    ]

    deltas, outputs = _stream(subject, requests)

    assert deltas["silent"] == []
    for name in ("a", "b"):
        assert "".join(delta.text for delta in deltas[name]) == outputs["silent"].text
        assert sum(delta.tokens for delta in deltas[name]) == 30
        assert len(deltas[name]) > 5
    assert subject.deltas() == []


def test_streaming_shows_nothing_that_a_stop_string_takes_back(subject):
    subject.add(_request("whole", max_tokens=40, temperature=1.0, seed=4))
    whole = _drain(subject)["whole"].text
    stop = whole[8:14]
    request = _request("cut", max_tokens=40, temperature=1.0, seed=4, stop=(stop, "never"))

    deltas, outputs = _stream(subject, [dataclasses.replace(request, stream=True)])

    assert outputs["cut"].finish_reason is FinishReason.STOP
    assert "".join(delta.text for delta in deltas["cut"]) == whole[: whole.index(stop)]
    assert sum(delta.tokens for delta in deltas["cut"]) == len(outputs["cut"].tokens)


def test_a_cancelled_stream_has_shown_what_its_output_holds(subject):
    request = dataclasses.replace(_request("a", max_tokens=100), stream=True)
    subject.add(request)
    shown = []
    for _ in range(6):
        subject.step()
        shown += subject.deltas()
    subject.cancel("a")

    (output,) = subject.step()

    shown += subject.deltas()
    assert "".join(delta.text for delta in shown) == output.text
    assert sum(delta.tokens for delta in shown) == len(output.tokens)


def test_every_choice_is_the_one_that_its_own_seed_gives(subject):
    several = _request("several", n=5, temperature=1.0, seed=9, max_tokens=20)
    subject.add(several)
    for number in range(10):
        subject.add(_request(str(number), f"neighbour {number}", temperature=1.0))
    output = _drain(subject)["several"]

    found = [output, *output.others]
    for number in range(5):
        seed = choices.derive_seed(9, number)
        subject.add(_request(str(number), temperature=1.0, seed=seed, max_tokens=20))
    alone = _drain(subject)

    assert [choice.tokens for choice in found] == [alone[str(at)].tokens for at in range(5)]
    assert len({choice.tokens for choice in found}) > 1
    assert {choice.id for choice in found} == {"several"}
    assert output.prompt_tokens == 5


def test_choices_are_streamed_apart_and_counted_as_one_request(subject):
    request = _request("a", n=3, temperature=1.0, max_tokens=12)

    deltas, outputs = _stream(subject, [dataclasses.replace(request, stream=True)])

    output = outputs["a"]
    for number, choice in enumerate([output, *output.others]):
        shown = [delta for delta in deltas["a"] if delta.choice == number]
        assert "".join(delta.text for delta in shown) == choice.text
        assert sum(delta.tokens for delta in shown) == 12


def test_a_cancelled_request_ends_once_with_all_its_choices(subject):
    subject.add(_request("gone", n=4, max_tokens=100))
    subject.add(_request("stays", max_tokens=10))
    for _ in range(3):
        assert subject.step() == []
    assert subject.num_unfinished == 2

    subject.cancel("gone")

    assert [(o.id, o.finish_reason) for o in subject.step()] == [("gone", FinishReason.CANCELLED)]
    assert subject.num_unfinished == 1
    assert len(_drain(subject)["stays"].tokens) == 10
    subject.add(_request("gone", n=2))
    assert len(_drain(subject)["gone"].others) == 1


def test_an_id_with_several_choices_is_refused_while_it_is_in_use(subject):
    subject.add(_request("a", n=2))

    with pytest.raises(EngineError, match="duplicate_id"):
        subject.add(_request("a", n=2))

    assert list(_drain(subject)) == ["a"]


def test_log_probabilities_come_for_each_token(subject):
    subject.add(_request("a", logprobs=3, max_tokens=4))
    subject.add(_request("b", max_tokens=4))

    outputs = _drain(subject)

    assert outputs["b"].logprobs is None
    assert len(outputs["a"].logprobs) == 4
    for entry in outputs["a"].logprobs:
        assert entry.logprob < 0
        assert len(entry.top) == 3
        assert [each.logprob for each in entry.top] == sorted(
            (each.logprob for each in entry.top), reverse=True
        )
