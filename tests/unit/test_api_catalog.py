"""The catalog: names, and lengths counted by a verified tokenizer only."""

import json
import logging
from pathlib import Path

import pytest
import tokenizers

from app import settings, weights
from app.api import catalog
from app.api.catalog import Catalog
from app.errors import BadRequest, NotFound

TEMPLATE = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}assistant"


@pytest.fixture
def model(tmp_path: Path) -> settings.Model:
    """A signed checkpoint with empty weights: words are tokens, the context holds eight."""
    path = tmp_path / "model"
    path.mkdir()
    words = {"[UNK]": 0, "user": 1, "assistant": 2, "a": 3}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "config.json").write_text(json.dumps({"max_position_embeddings": 8, "vocab_size": 100}))
    (path / "chat_template.jinja").write_text(TEMPLATE)
    header = b"{}      "  # a tensor file that holds no tensor
    (path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    public = weights.write_pair(tmp_path / "key")
    weights.lock(path)
    weights.sign(path, tmp_path / "key")
    verify = settings.Verify(public_keys=(str(public),))
    return settings.Model("m", path=str(path), aliases=("nick",), verify=verify)


def ask(text: str, max_tokens: int = 1) -> dict[str, object]:
    messages = [{"role": "user", "content": text}]
    return {"messages": messages, "sampling": {"max_tokens": max_tokens}}


def test_an_alias_leads_to_its_model_and_an_unknown_name_names_what_there_is(
    model: settings.Model,
) -> None:
    found = Catalog([model])

    assert found.find("nick") is found.find("m") is model
    with pytest.raises(NotFound) as caught:
        found.find("other")
    assert caught.value.values["available"] == "m, nick"


def test_prompt_and_answer_together_must_fit_the_context(model: settings.Model) -> None:
    found = Catalog([model])

    found.check_length(model, ask("a a", max_tokens=4))
    found.check_length(model, {"prompt": "a a a a a a a", "sampling": {}})
    with pytest.raises(BadRequest) as caught:
        found.check_length(model, ask("a a", max_tokens=5))

    assert caught.value.code == "context_length_exceeded"
    assert caught.value.values == {"prompt_tokens": 4, "tokens": 9, "limit": 8}


def test_a_biased_token_must_be_one_of_the_model(model: settings.Model) -> None:
    found = Catalog([model])

    found.measure(model, ask_biased(99))
    with pytest.raises(BadRequest) as caught:
        found.measure(model, ask_biased(100))

    assert (caught.value.code, caught.value.param) == ("bad_bias", "logit_bias")
    assert caught.value.values == {"token": 100, "vocabulary": 100}


def ask_biased(token: int) -> dict[str, object]:
    return {"prompt": "a", "sampling": {"logit_bias": [[3, 1.0], [token, 1.0]]}}


def test_a_configured_context_can_only_be_smaller(model: settings.Model) -> None:
    small = settings.Model("m", path=model.path, verify=model.verify, max_context=5)
    large = settings.Model("m", path=model.path, verify=model.verify, max_context=50)

    for each in (small, large):
        with pytest.raises(BadRequest):
            Catalog([each]).check_length(each, ask("a a", max_tokens=5))


def test_a_model_without_a_limit_is_counted_and_refuses_nothing(
    model: settings.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "_limit", lambda *_: None)

    assert Catalog([model]).measure(model, ask("a " * 100, max_tokens=100)) == 102


def test_a_changed_template_is_never_rendered_and_the_length_goes_unchecked(
    model: settings.Model, caplog: pytest.LogCaptureFixture
) -> None:
    (Path(str(model.path)) / "chat_template.jinja").write_text("{{ 1 / 0 }}")
    found = Catalog([model])

    with caplog.at_level(logging.WARNING):
        found.check_length(model, ask("a " * 100))
        found.check_length(model, ask("a " * 100))

    assert found.measure(model, ask("a")) is None
    assert [record.__dict__["action"] for record in caplog.records] == ["tokenizer_failed"]
    assert "chat_template.jinja" in caplog.text


def test_a_model_that_was_repaired_is_counted_again(
    model: settings.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = Path(str(model.path)) / "chat_template.jinja"
    template.write_text("changed")
    found = Catalog([model])
    found.preload()

    template.write_text(TEMPLATE)
    found.check_length(model, ask("a " * 100))
    monkeypatch.setattr(catalog, "RETRY_SECONDS", 0.0)

    with pytest.raises(BadRequest):
        found.check_length(model, ask("a " * 100))
