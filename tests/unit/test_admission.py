"""What no engine lets in: a value that would stop the step of all later."""

import dataclasses
from typing import Any

import pytest

from app.errors import EngineError
from app.inference import choices, fake
from app.inference.engine import Request, Sampling
from app.settings import schema

REQUEST = Request("a", (1, 2, 3), Sampling(max_tokens=2, temperature=0.0))


def make_engine() -> choices.Choices:
    model = schema.Model(name="m", backend="fake", fake=schema.Fake())
    return choices.Choices(fake.build(model, device="cpu"))


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": (1.5, 2)},
        {"priority": None},
        {"priority": "1"},
        {"deadline": "x"},
        {"cache_salt": None},
        {"cache_salt": "\ud800"},
        {"id": 7},
        {"id": "x\0y"},
        *({"sampling": {name: 5.5}} for name in ("max_tokens", "top_k", "logprobs")),
        {"sampling": {"seed": "x"}},
    ],
)
def test_a_value_of_a_wrong_type_is_refused_and_leaves_nothing(changes: dict[str, Any]) -> None:
    engine = make_engine()
    if "sampling" in changes:
        changes = {"sampling": dataclasses.replace(REQUEST.sampling, **changes["sampling"])}

    with pytest.raises(EngineError):
        engine.add(dataclasses.replace(REQUEST, **changes))

    assert engine.num_unfinished == 0
    engine.add(REQUEST)
    assert [output.id for _ in range(50) for output in engine.step()] == ["a"]


def test_an_id_in_flight_is_refused_whatever_the_number_of_choices() -> None:
    engine = make_engine()
    several = dataclasses.replace(REQUEST, sampling=dataclasses.replace(REQUEST.sampling, n=2))
    engine.add(REQUEST)

    with pytest.raises(EngineError, match="duplicate_id"):
        engine.add(several)

    assert [output.id for _ in range(50) for output in engine.step()] == ["a"]
    engine.add(several)
    with pytest.raises(EngineError, match="duplicate_id"):
        engine.add(REQUEST)
