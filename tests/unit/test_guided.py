"""Guided output: whatever the model, the text is what was asked for, and only that text."""

import json
import re
import threading
from dataclasses import replace

import jsonschema
import pytest
import torch

from app.errors import EngineError
from app.inference import checkpoint, guided, local, randoms, scheduler
from app.inference.engine import FinishReason, Guide, GuideKind, Output, Request, Sampling
from app.settings import schema
from tests.unit.test_spelling import KINDS

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
        "ok": {"type": "boolean"},
    },
    "required": ["name", "age", "tags", "ok"],
    "additionalProperties": False,
}
CHOICES = ["yes", 'no "quoted"\n', "是的", "a|b \\d", " yes", "\x7f\x01"]
JSON = Guide(GuideKind.JSON_SCHEMA, json.dumps(SCHEMA))
CHOICE = Guide(GuideKind.CHOICE, json.dumps(CHOICES))
REGEX = Guide(GuideKind.REGEX, r"[A-Z]{2}-[0-9]{3,5}")
HUGE = Guide(GuideKind.JSON_SCHEMA, json.dumps({"enum": [f"value {n}" for n in range(200_000)]}))
EOS = 0


def _load(tmp_path_factory, kind):
    torch.set_num_threads(1)
    tokenizer = KINDS[kind]()
    path = randoms.write(
        tmp_path_factory.mktemp(kind),
        "LlamaForCausalLM",
        vocab_size=tokenizer.get_vocab_size() + 13,  # checkpoints pad their vocabulary
        max_position_embeddings=1024,
        eos_token_id=EOS,
        pad_token_id=EOS,
    )
    tokenizer.save(str(path / "tokenizer.json"))
    model = schema.Model(name="m", path=str(path), dtype="float32")
    return checkpoint.load(model, torch.device("cpu"))


@pytest.fixture(scope="module", params=["bytelevel", "fallback"])
def loaded(request, tmp_path_factory):
    return _load(tmp_path_factory, request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return _load(tmp_path_factory, "bytelevel")


def _engine(loaded, *, cache_tokens=16_384):
    model = schema.Model(name="m", path="unused", cache_tokens=cache_tokens)
    return local.Local(loaded, model, scheduler.Limits(32, 128), {})


def _request(name, guide, seed=0, **changes):
    values = {"max_tokens": 500, "temperature": 1.0, "seed": seed, "guided": guide} | changes
    return Request(name, (5, 6, 7, 8 + seed), Sampling(**values))


def _run(engine, requests):
    for request in requests:
        engine.add(request)
    outputs: dict[str, Output] = {}
    while engine.num_unfinished:
        outputs |= {output.id: output for output in engine.step()}
    return outputs


def _is_choice(text):
    return text in CHOICES


def _follows_schema(text):
    jsonschema.validate(json.loads(text), SCHEMA)
    return True


def _fits_regex(text):
    return re.fullmatch(REGEX.text, text)


@pytest.mark.parametrize(
    ("guide", "fits"), [(JSON, _follows_schema), (CHOICE, _is_choice), (REGEX, _fits_regex)]
)
def test_any_model_writes_what_was_asked_for_and_then_stops(loaded, guide, fits):
    kinds = [{}, {"temperature": 0.0}, {"temperature": 2.0}, {"top_p": 0.9, "ignore_eos": True}]
    requests = [_request(str(at), guide, at, **kinds[at % 4]) for at in range(16)]

    outputs = _run(_engine(loaded), requests)

    for output in outputs.values():
        assert output.finish_reason is FinishReason.STOP, output
        assert fits(output.text), output.text
    assert len({output.text for output in outputs.values()}) > 1


def test_json_object_is_an_object_whatever_is_in_it(loaded):
    requests = [
        _request(str(at), Guide(GuideKind.JSON_OBJECT), at, logit_bias=_close(loaded))
        for at in range(8)
    ]

    outputs = _run(_engine(loaded), requests)

    found = [output for output in outputs.values() if output.finish_reason is FinishReason.STOP]
    assert len(found) > 4
    assert all(isinstance(json.loads(output.text), dict) for output in found)


def _close(loaded):
    """Likes whatever ends a string, a list or an object: an aimless model writes for ever."""
    pieces = loaded.spelling.pieces
    return tuple((at, 6.0) for at, piece in enumerate(pieces) if piece in (b'"', b"}", b"]"))


def test_a_guided_text_is_the_same_alone_in_company_and_after_preemption(plain):
    guides = [JSON, CHOICE, REGEX, None]
    requests = [
        replace(_request(str(at), guides[at % 4], at), stream=at % 3 == 0) for at in range(24)
    ]
    requests = [each if each.sampling.guided else _limit(each, max_tokens=60) for each in requests]
    crowded = _engine(plain, cache_tokens=560)

    alone = {each.id: _run(_engine(plain), [each])[each.id] for each in requests}

    assert _run(_engine(plain), requests) == alone
    assert _run(crowded, requests) == alone
    assert crowded.stats.preemptions > 0
    assert crowded.stats.blocks_free == crowded.stats.blocks_total


def _limit(request, **changes):
    return replace(request, sampling=replace(request.sampling, **changes))


@pytest.mark.parametrize(
    ("guide", "reason"),
    [
        (Guide(GuideKind.REGEX, "(("), "unclosed group"),
        (Guide(GuideKind.REGEX, "a{2,1}"), "invalid"),
        (Guide(GuideKind.JSON_SCHEMA, '{"type": "objekt"}'), "objekt"),
        (Guide(GuideKind.JSON_SCHEMA, "{"), ""),
        (Guide(GuideKind.JSON_SCHEMA, "[1]"), ""),
        (Guide(GuideKind.JSON_SCHEMA, '{"type": "string", "enum": [1]}'), "nsatisfiable"),
        (Guide(GuideKind.JSON_SCHEMA, '{"not": {}}'), "not"),
        (Guide(GuideKind.JSON_SCHEMA, '{"$ref": "http://example.com/x"}'), "example.com"),
        (Guide(GuideKind.CHOICE, "[]"), ""),
        (Guide(GuideKind.CHOICE, "7"), "list of strings"),
        (Guide(GuideKind.CHOICE, '"yes"'), "list of strings"),
        (Guide(GuideKind.CHOICE, '["yes", 7]'), "list of strings"),
        (Guide(GuideKind.JSON_SCHEMA, "false"), "nsatisfiable"),
    ],
)
def test_a_guide_that_cannot_be_held_fails_its_request_alone(plain, guide, reason):
    neighbours = [_request("free", None, 1, max_tokens=20), _request("json", JSON, 2)]
    expected = _run(_engine(plain), neighbours)
    engine = _engine(plain)

    outputs = _run(engine, [_request("bad", guide), *neighbours])

    bad = outputs.pop("bad")
    assert (bad.finish_reason, bad.error_code) == (FinishReason.ERROR, "grammar_failed")
    assert bad.error_message
    assert reason in bad.error_message
    assert outputs == expected
    assert engine.stats.blocks_free == engine.stats.blocks_total
    with pytest.raises(EngineError, match="grammar_failed"):
        guided.check(guide)


def test_good_guides_pass_the_check_without_a_model():
    anything = Guide(GuideKind.JSON_SCHEMA, "true")
    for guide in (JSON, CHOICE, REGEX, Guide(GuideKind.JSON_OBJECT), anything):
        guided.check(guide)


def test_a_choice_may_have_every_character(plain):
    for text in ("\x7f", "\x01", '"', "\\", "\u2028"):
        guide = Guide(GuideKind.CHOICE, json.dumps([f"a{text}"]))

        output = _run(_engine(plain), [_request("a", guide)])["a"]

        assert (output.text, output.finish_reason) == (f"a{text}", FinishReason.STOP)


@pytest.mark.parametrize("ignore_eos", [False, True])
def test_the_end_token_of_a_guided_answer_is_not_part_of_it(plain, ignore_eos):
    """It is the likeliest as soon as it is allowed."""
    wish = {"ignore_eos": ignore_eos, "logprobs": 0, "logit_bias": ((EOS, 100.0),)}

    output = _run(_engine(plain), [_request("a", REGEX, **wish)])["a"]

    assert re.fullmatch("[A-Z]{2}-[0-9]{3}", output.text)
    assert output.finish_reason is FinishReason.STOP
    assert EOS not in output.tokens
    assert len(output.logprobs) == len(output.tokens)


@pytest.mark.parametrize("stream", [False, True])
def test_a_grammar_that_allows_no_token_says_so_and_tells_no_more_tokens_than_there_are(
    plain, stream
):
    """This one compiles, and ends where the reference is met."""
    endless = {"prefixItems": [{"enum": ["ab"]}, {"$ref": "#/$defs/a"}], "minItems": 2}
    schema_ = {"type": "array", "$defs": {"a": {"$ref": "#/$defs/a"}}} | endless
    guide = Guide(GuideKind.JSON_SCHEMA, json.dumps(schema_))
    request = replace(_request("a", guide, logprobs=0), stream=stream)
    engine = _engine(plain)

    output = _run(engine, [request])["a"]

    assert (output.finish_reason, output.error_code) == (FinishReason.ERROR, "grammar_failed")
    assert output.error_message
    assert len(output.tokens) == len(output.logprobs) > 0
    told = engine.deltas()
    assert sum(len(delta.logprobs) for delta in told) == (len(output.tokens) if stream else 0)


def test_a_text_that_the_vocabulary_cannot_spell_fails_alone(tmp_path_factory):
    unigram = _load(tmp_path_factory, "unigram")
    guide = Guide(GuideKind.CHOICE, json.dumps(["\N{SNOWMAN}"]))

    outputs = _run(_engine(unigram), [_request("a", guide), _request("b", None, max_tokens=5)])

    assert outputs["a"].error_code == "grammar_failed"
    assert outputs["b"].finish_reason is FinishReason.LENGTH


def test_a_guide_that_takes_too_long_ends_its_request_and_the_loop_goes_on(plain, monkeypatch):
    expected = _run(_engine(plain), [_request("free", None, 1, max_tokens=20)])
    monkeypatch.setattr(guided, "LIMIT_SECONDS", 0.02)
    engine = _engine(plain)

    outputs = _run(engine, [_request("slow", HUGE), _request("free", None, 1, max_tokens=20)])

    assert outputs.pop("slow").error_code == "grammar_timeout"
    assert outputs == expected


def test_a_request_can_be_cancelled_while_its_guide_is_compiled(plain):
    engine = _engine(plain)
    engine.add(_request("slow", HUGE))
    engine.add(_request("free", None, 1, max_tokens=20))
    engine.step()
    engine.cancel("slow")

    (output,) = engine.step()

    assert (output.id, output.finish_reason) == ("slow", FinishReason.CANCELLED)
    assert _run(engine, [])["free"].finish_reason is FinishReason.LENGTH
    engine.add(_request("slow", CHOICE))
    assert _run(engine, [])["slow"].text in CHOICES


def test_a_guided_request_can_be_cancelled_in_the_middle(plain):
    engine = _engine(plain)
    engine.add(_request("a", JSON))
    while engine.stats.generated_tokens < 5:
        engine.step()
    engine.cancel("a")

    (output,) = engine.step()

    assert output.finish_reason is FinishReason.CANCELLED
    assert engine.stats.blocks_free == engine.stats.blocks_total


def test_numbers_that_are_none_end_a_guided_request_with_their_own_code(plain):
    hook = plain.model.lm_head.register_forward_hook(lambda *args: args[2] * float("nan"))

    outputs = _run(_engine(plain), [_request("a", JSON)])

    hook.remove()
    assert outputs["a"].error_code == "numerical"


def test_log_probabilities_are_the_models_own_under_a_guide_too(plain):
    output = _run(_engine(plain), [_request("a", REGEX, logprobs=1)])["a"]

    assert len(output.logprobs) == len(output.tokens)
    assert b"".join(entry.bytes for entry in output.logprobs).decode() == output.text
    assert min(entry.logprob for entry in output.logprobs) < -1


def test_a_known_guide_is_not_compiled_again(plain):
    compiler = guided.Compiler(plain.spelling, vocabulary=400, eos=[EOS])
    for name in ("a", "b"):
        compiler.start(name, JSON)
        found: list[tuple[str, guided.Matcher | EngineError]] = []
        while not found:
            compiler.wait(60)
            found = compiler.take()
        assert [each[0] for each in found] == [name]
        assert isinstance(found[0][1], guided.Matcher)

    assert len(compiler._known) == 1


def test_a_guide_does_not_expire_behind_those_that_nobody_wants_any_more(plain, monkeypatch):
    compiler = guided.Compiler(plain.spelling, vocabulary=400, eos=[EOS], limit_seconds=2.5)
    is_over = threading.Event()
    right = compiler._compile

    def compile_slowly(guide):
        if guide is HUGE:
            assert is_over.wait(60)
        return right(REGEX if guide is HUGE else guide)

    monkeypatch.setattr(compiler, "_compile", compile_slowly)
    for number in range(guided.MAX_THREADS):
        compiler.start(str(number), HUGE)
    wait = threading.Event()
    while compiler._queue:
        wait.wait(0.01)
    assert all(compiler.drop(str(number)) for number in range(guided.MAX_THREADS))
    compiler.start("mine", REGEX)
    wait.wait(3.0)  # longer than a compilation may take
    assert compiler.take() == []

    is_over.set()
    compiler.wait(60)

    [(name, found)] = compiler.take()
    assert name == "mine"
    assert isinstance(found, guided.Matcher)
