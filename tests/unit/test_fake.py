"""The fake engine: deterministic, fast, and able to misbehave on demand."""

import multiprocessing
import os
import signal
import time

import pytest

from app.errors import WeightsError
from app.inference import fake
from app.inference.engine import FinishReason, Output, Request, Sampling
from app.settings import schema


def _build(**options):
    model = schema.Model(
        name=options.pop("name", "fake"), backend="fake", fake=schema.Fake(**options)
    )
    return fake.build(model)


def _request(text, name="a", **sampling):
    return Request(id=name, prompt=tuple(text.encode()), sampling=Sampling(**sampling))


def _drain(engine):
    outputs: dict[str, Output] = {}
    while engine.num_unfinished:
        outputs |= {output.id: output for output in engine.step()}
    return outputs


def _ask(text, engine=None, **sampling):
    engine = engine or _build()
    engine.add(_request(text, **sampling))
    return _drain(engine)["a"]


def test_text_depends_on_prompt_and_seed_alone():
    assert _ask("one", seed=1) == _ask("one", seed=1)
    texts = {_ask("one", seed=1).text, _ask("one", seed=2).text, _ask("two", seed=1).text}
    assert len(texts) == 3


def test_it_stops_by_itself_after_the_configured_tokens():
    output = _ask("one", _build(tokens_per_job=5))

    assert len(output.tokens) == 5
    assert output.finish_reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("marker", "code"),
    [("[[error]]", "engine_failed"), ("[[nan]]", "numerical"), ("[[oom]]", "out_of_memory")],
)
def test_a_marked_request_fails_alone(marker, code):
    engine = _build()
    engine.add(_request(f"please {marker} now", "bad"))
    engine.add(_request("fine", "good"))

    outputs = _drain(engine)

    assert (outputs["bad"].finish_reason, outputs["bad"].error_code) == (FinishReason.ERROR, code)
    assert outputs["good"].finish_reason is FinishReason.STOP


def test_a_slow_request_takes_its_time_and_delays_nobody():
    engine = _build()
    engine.add(_request("[[slow:2]]", "slow"))
    engine.add(_request("fine", "good"))

    started = time.monotonic()
    ended: dict[str, float] = {}
    while engine.num_unfinished:
        ended |= {output.id: time.monotonic() - started for output in engine.step()}

    assert ended["good"] < 2.0 <= ended["slow"]


def test_a_slow_request_can_be_cancelled():
    engine = _build()
    engine.add(_request("[[slow:60]]"))
    engine.step()
    engine.cancel("a")

    assert _drain(engine)["a"].finish_reason is FinishReason.CANCELLED


def test_echo_answers_with_the_prompt():
    assert _ask("earlier turns [[echo]]").text == "earlier turns [[echo]]"


def _step_forever(text):
    engine = _build()
    engine.add(_request(text))
    engine.step()


@pytest.mark.parametrize(("marker", "code"), [("[[crash]]", -signal.SIGKILL), ("[[hang]]", None)])
def test_crash_kills_the_process_and_hang_never_returns(marker, code):
    child = multiprocessing.get_context("fork").Process(target=_step_forever, args=(marker,))
    child.start()
    child.join(0.5 if code is None else 60)

    assert child.exitcode == code

    child.kill()
    child.join()


def test_steps_take_the_configured_time():
    engine = _build(step_seconds=0.01, tokens_per_job=5)

    started = time.monotonic()
    _ask("one", engine)

    assert time.monotonic() - started >= 0.05


def test_the_first_loads_fail_as_told():
    for _ in range(2):
        with pytest.raises(WeightsError, match="load_failed"):
            _build(name="fails-twice", load_failures=2)

    assert _build(name="fails-twice", load_failures=2).num_unfinished == 0


def test_failed_loads_are_counted_over_processes_by_the_models_directory(tmp_path):
    model = schema.Model(
        name="m", backend="fake", path=str(tmp_path), fake=schema.Fake(load_failures=1)
    )
    (tmp_path / "loads.log").write_text("m\n")  # as another process left it

    assert fake.build(model).num_unfinished == 0


def test_a_load_that_may_not_fail_leaves_no_trace(tmp_path):
    fake.build(schema.Model(name="m", backend="fake", path=str(tmp_path)))

    assert list(tmp_path.iterdir()) == []


def test_markers_are_read_by_the_given_decoder():
    model = schema.Model(name="m", backend="fake")
    engine = fake.build(model, decode=lambda ids: "[[nan]]" if 7 in ids else "")

    engine.add(Request("a", (7,), Sampling()))

    assert _drain(engine)["a"].error_code == "numerical"


def test_it_is_never_the_bottleneck():
    """Measured by what it costs to make its requests, in the same moments: processors differ."""
    number = 10_000
    started = os.times().user
    for each in range(5 * number):
        Request(str(each), tuple(range(40)))
    cost = (os.times().user - started) / 5

    engine = _build()
    started, added, ended = os.times().user, 0, 0
    while ended < number:
        for _ in range(engine.room):
            engine.add(Request(str(added), tuple(range(40))))
            added += 1
        ended += len(engine.step())

    assert os.times().user - started < 20 * cost  # four times on an idle machine
