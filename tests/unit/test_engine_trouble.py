"""Whatever befalls one request, and whenever: its neighbours' answers are those of a run without it,
to the token, and no block is lost."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from app.errors import EngineError
from app.inference import checkpoint, guided, local, places, randoms, scheduler
from app.inference.engine import FinishReason, Guide, GuideKind, Output, Request, Sampling
from app.settings import schema

VICTIM = "victim"
POISON = 300  # a token of the model that the byte tokenizer never makes
BEGINNING = tuple(range(40, 60))  # of all prompts: they share a block
ROOMY, TIGHT = 1024, 176  # tokens in the cache
MOMENTS = [(0, ROOMY), (1, TIGHT), (4, ROOMY), (9, TIGHT)]
POISONED = (*BEGINNING, *[7] * 60, POISON, *[8] * 20)  # a full block has it
GREEDY = Sampling(max_tokens=12, temperature=0.0, ignore_eos=True)
WARM = replace(GREEDY, temperature=0.9, top_p=0.95, seed=3)
SAYING_POISON: dict[str, Any] = {"logit_bias": ((POISON, 100.0),)}
BAD_GRAMMAR, SLOW_GRAMMAR = (Guide(GuideKind.REGEX, text) for text in ("((", "[a-z]+"))


@pytest.fixture(params=[False, True], ids=["in turn", "overlapping"], autouse=True)
def _overlap(request, monkeypatch):
    """Steps overlap on a GPU; what they compute is the same on any device."""
    monkeypatch.setattr(places, "works_beside", lambda device: request.param)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    torch.set_num_threads(1)
    path = randoms.write(tmp_path_factory.mktemp("tiny"), "GlmForCausalLM")
    model = schema.Model(name="m", path=str(path), dtype="float32")
    return checkpoint.load(model, torch.device("cpu"))


@dataclass
class Clock:
    """Stands in for the module `time`."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Scene:
    """An engine, and what may be done to it; `undo` when the test ends."""

    loaded: checkpoint.Checkpoint
    subject: local.Local
    clock: Clock
    undo: ExitStack
    at: int
    alone: Output  # of the victim, when nothing befalls it
    text: str | None = None  # of the victim, where the trouble decides it

    def add(
        self,
        *,
        prompt: tuple[int, ...] | None = None,
        deadline: float | None = None,
        **changes: Any,
    ) -> None:
        """Adds the victim, changed."""
        request = replace(_victim(**changes), deadline=deadline)
        self.subject.add(request if prompt is None else replace(request, prompt=prompt))

    def add_poisoned(self) -> None:
        """Adds the victim with POISON in its second chunk: the first may be shared by then."""
        self.add(prompt=POISONED)

    def add_stopped(self) -> None:
        """Adds the victim with a stop string from its own answer."""
        stop = self.alone.text[self.at : self.at + 2]
        self.text = self.alone.text.partition(stop)[0]
        self.add(stop=("never", stop))

    def add_stalled(self) -> None:
        """Adds the victim with a grammar that is not compiled before the test ends."""
        gate, begun, patch = threading.Event(), threading.Event(), pytest.MonkeyPatch()
        self.undo.callback(patch.undo)
        self.undo.callback(gate.set)

        def write(guide):
            begun.set()
            gate.wait()
            raise EngineError("grammar_failed", reason="nobody waits for it any more")

        patch.setattr(guided, "write_grammar", write)
        self.add(guided=SLOW_GRAMMAR)
        assert begun.wait(60)  # its time begins with its compilation

    def add_mistaken(self) -> None:
        """Adds the victim with a grammar at which the compiler raises what nobody foresaw."""
        patch = pytest.MonkeyPatch()
        self.undo.callback(patch.undo)
        patch.setattr(guided, "write_grammar", Mock(side_effect=RuntimeError("a bug")))
        self.add(guided=SLOW_GRAMMAR)

    def stumble(self) -> None:
        """Makes the victim's text unreadable."""
        transcript = self.subject._live[VICTIM].transcript
        patch = pytest.MonkeyPatch()
        self.undo.callback(patch.undo)
        patch.setattr(transcript, "finish", Mock(side_effect=RuntimeError("a bug")))

    def cancel(self) -> None:
        self.subject.cancel(VICTIM)

    def pass_time(self) -> None:
        """Lets all deadlines pass."""
        self.clock.now = 1000.0

    def spoil(self, number: float) -> None:
        """Makes what the model knows of POISON useless."""
        weight = self.loaded.model.model.embed_tokens.weight.data
        self.undo.callback(weight.__setitem__, POISON, weight[POISON].clone())
        weight[POISON] = number

    def fail(self, error: Exception) -> None:
        """Makes each forward pass fail that has POISON in it."""

        def check(module, args, kwargs):
            if (kwargs["input_ids"] == POISON).any():
                raise error

        hook = self.loaded.model.model.register_forward_pre_hook(check, with_kwargs=True)
        self.undo.callback(hook.remove)


Deed = Callable[[Scene], None]


@dataclass(frozen=True)
class Trouble:
    """`begin` is done before the first step, `strike` when some are done. Then the victim ends for
    `reason` with `code`; without a reason it was never let in."""

    begin: Deed = field(default=lambda scene: None)
    strike: Deed = field(default=lambda scene: None)
    reason: FinishReason | None = None
    code: str | None = None


def _refuse(code: str, **changes: Any) -> Deed:
    def strike(scene: Scene) -> None:
        with pytest.raises(EngineError, match=code):
            scene.add(**changes)

    return strike


def _spoil(number: float) -> Deed:
    return lambda scene: scene.spoil(number)


def _fail(error: Exception) -> Deed:
    return lambda scene: scene.fail(error)


def _say_poison(scene: Scene) -> None:
    """The victim is sound until it says POISON and reads it."""
    scene.add(**SAYING_POISON)


def _cancel_at_once(scene: Scene) -> None:
    scene.add()
    scene.cancel()


OUT_OF_MEMORY = torch.OutOfMemoryError("simulated")
BROKEN = RuntimeError("a kernel failed")
ERROR, EXPIRED, CANCELLED = FinishReason.ERROR, FinishReason.EXPIRED, FinishReason.CANCELLED

TROUBLES = {
    "its deadline passes": Trouble(lambda it: it.add(deadline=10.0), Scene.pass_time, EXPIRED),
    "its deadline had passed": Trouble(strike=lambda it: it.add(deadline=-1.0), reason=EXPIRED),
    "a stop string is met": Trouble(Scene.add_stopped, reason=FinishReason.STOP),
    "cancelled": Trouble(Scene.add, Scene.cancel, CANCELLED),
    "cancelled at once": Trouble(strike=_cancel_at_once, reason=CANCELLED),
    "too long": Trouble(strike=_refuse("prompt_too_long", prompt=(1,) * 2000)),
    "more than the cache holds": Trouble(strike=_refuse("prompt_too_long", prompt=(1,) * 1000)),
    "a parameter out of range": Trouble(strike=_refuse("bad_sampling", temperature=-1.0)),
    "a parameter of a wrong type": Trouble(strike=_refuse("bad_sampling", logprobs=True)),
    "a bad token": Trouble(strike=_refuse("bad_token", prompt=(*BEGINNING, 10**6))),
    "its id is in use": Trouble(Scene.add, _refuse("duplicate_id"), FinishReason.LENGTH),
    "a grammar cannot be compiled": Trouble(
        strike=lambda it: it.add(guided=BAD_GRAMMAR), reason=ERROR, code="grammar_failed"
    ),
    "a compiler raises": Trouble(Scene.add_mistaken, reason=ERROR, code="grammar_failed"),
    "a decoder raises": Trouble(Scene.add, Scene.stumble, ERROR, "engine_failed"),
    "a grammar takes too long": Trouble(
        Scene.add_stalled, Scene.pass_time, ERROR, "grammar_timeout"
    ),
    "cancelled while a grammar is compiled": Trouble(Scene.add_stalled, Scene.cancel, CANCELLED),
    "NaN in a prompt": Trouble(_spoil(float("nan")), Scene.add_poisoned, ERROR, "numerical"),
    "Inf in a prompt": Trouble(_spoil(float("inf")), Scene.add_poisoned, ERROR, "numerical"),
    "NaN in an answer": Trouble(_spoil(float("nan")), _say_poison, ERROR, "numerical"),
    "no memory for a prompt": Trouble(
        _fail(OUT_OF_MEMORY), Scene.add_poisoned, ERROR, "out_of_memory"
    ),
    "no memory in an answer": Trouble(_fail(OUT_OF_MEMORY), _say_poison, ERROR, "out_of_memory"),
    "a kernel fails": Trouble(_fail(BROKEN), Scene.add_poisoned, ERROR, "engine_failed"),
    "a kernel fails in an answer": Trouble(_fail(BROKEN), _say_poison, ERROR, "engine_failed"),
}


def _victim(**changes: Any) -> Request:
    return Request(VICTIM, (*BEGINNING, 7, 8, 9), replace(GREEDY, max_tokens=30, **changes))


def _neighbours() -> list[Request]:
    """Greedy and warm ones, more than run at once; the last has a long prompt and pushes others out."""
    return [
        Request(
            str(number),
            (*BEGINNING, *[100 + number, 20, 30, 40] * number, number),
            WARM if number % 2 else GREEDY,
        )
        for number in range(7)
    ] + [Request("long", (*BEGINNING, *range(90)), GREEDY, priority=1)]


def _engine(loaded, cache_tokens=ROOMY):
    model = schema.Model(name="m", path="unused", cache_tokens=cache_tokens)
    return local.Local(loaded, model, scheduler.Limits(8, 64), {})


def _run(subject, requests=(), *, steps=None):
    """The outputs of `steps` steps, or of all that are needed."""
    for request in requests:
        subject.add(request)
    outputs: dict[str, Output] = {}
    while subject.num_unfinished and steps != 0:
        for output in subject.step():
            assert output.id not in outputs
            outputs[output.id] = output
        steps = None if steps is None else steps - 1
    return outputs


@pytest.fixture(scope="module")
def expected(loaded):
    """What the neighbours answer when there is no victim."""
    return _show(_run(_engine(loaded), _neighbours()))


def _show(outputs):
    return {
        name: (output.tokens, output.text, output.finish_reason) for name, output in outputs.items()
    }


@pytest.fixture(scope="module")
def alone(loaded):
    """What the victim answers when nothing befalls it."""
    return _run(_engine(loaded), [_victim()])[VICTIM]


@pytest.fixture
def scene(loaded, monkeypatch, at, cache_tokens, alone):
    clock = Clock()
    for module in (local, guided):
        monkeypatch.setattr(module, "time", clock)
    with ExitStack() as undo:
        yield Scene(loaded, _engine(loaded, cache_tokens), clock, undo, at, alone)


@pytest.mark.parametrize(("at", "cache_tokens"), MOMENTS)
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_neighbours_answer_as_if_there_were_no_trouble(scene, trouble, expected):
    subject, neighbours = scene.subject, _neighbours()
    trouble.begin(scene)
    early = neighbours[:5] if scene.at else []
    outputs = _run(subject, early, steps=scene.at)
    trouble.strike(scene)

    outputs |= _run(subject, [each for each in neighbours if each not in early])

    _check_victim(outputs.pop(VICTIM, None), scene, trouble)
    assert _show(outputs) == expected
    assert subject.stats.blocks_free == subject.stats.blocks_total
    assert _show(_run(subject, neighbours)) == expected  # nothing bad was left in the cache
    assert subject.stats.blocks_free == subject.stats.blocks_total


def _check_victim(output, scene, trouble):
    if trouble.reason is None:
        assert output is None
        return
    assert (output.finish_reason, output.error_code) == (trouble.reason, trouble.code)
    said = scene.alone.tokens[: len(output.tokens)]
    assert output.tokens in (said, (POISON,))
    if scene.text is not None:
        assert output.text == scene.text


@pytest.mark.parametrize(("at", "cache_tokens"), [(0, ROOMY)])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_failed_is_not_in_the_cache_when_it_is_asked_again(scene, number):
    request = replace(_victim(), prompt=POISONED)
    expected = _run(_engine(scene.loaded), [request])
    scene.spoil(number)
    assert _run(scene.subject, [request])[VICTIM].error_code == "numerical"
    scene.undo.close()

    again = _run(scene.subject, [request])

    assert _show(again) == _show(expected)
    assert again[VICTIM].cached_tokens == 0


def test_the_last_neighbour_makes_others_give_way_in_the_tight_cache(loaded, expected):
    subject, neighbours = _engine(loaded, TIGHT), _neighbours()
    outputs = _run(subject, neighbours[:-1], steps=3)

    outputs |= _run(subject, neighbours[-1:])

    assert _show(outputs) == expected
    assert subject.stats.preemptions > 0
