"""One model in this process: what `generate_code(prompt)` answers with where nothing is handed in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app import settings
from app.coding import backends, memory, pipeline
from app.coding.prompts import Form
from app.errors import EngineError
from app.models.database import Database
from app.workers import loading, solo

pytestmark = pytest.mark.integration


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    file = tmp_path / "config.yaml"
    file.write_text("models: {tiny: {backend: fake, code_prompt: plain}}", encoding="utf-8")
    monkeypatch.setenv("AUTOGLM_CONFIG", str(file))
    backends.load.cache_clear()
    yield
    backends.load.cache_clear()


def make(draws: int = 1, **changes: int) -> solo.Solo:
    model = settings.Model("tiny", backend="fake", **changes)  # type: ignore[arg-type]
    return solo.Solo(loading.load(model, "cpu"), Form(draws=draws))


def test_code_is_generated_with_one_argument(configured: None):
    code = pipeline.generate_code("Write a Python function area(w, h)")

    assert isinstance(code, str)
    assert code.startswith("def area(w, h")
    assert backends.load() is backends.load()


def test_what_is_remembered_is_retrieved_by_scope_alone(database: Database):
    assert memory.retrieve(memory.Scope(database, "default", name="team")) == []


def test_an_answer_goes_on_from_its_beginning_and_is_the_same_again():
    asked = [{"role": "user", "content": "hello"}]

    first, again = (make().answer(asked, beginning="def f(") for _ in range(2))

    assert first == again
    assert first.startswith("def f(")
    assert len(first) > len("def f(")


def test_drawn_answers_differ_and_have_the_beginning():
    asked = [{"role": "user", "content": "hello"}]

    drawn = make(draws=16).draw(asked, beginning="def f(", shape=None)

    assert len(drawn) == 16
    assert len({each.text for each in drawn}) > 1
    assert all(each.text.startswith("def f(") for each in drawn)


def test_a_conversation_without_room_for_an_answer_is_refused():
    with pytest.raises(EngineError, match="context_length_exceeded"):
        make(max_context=8).answer([{"role": "user", "content": "a" * 100}])
