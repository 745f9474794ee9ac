"""Loading: what is supported runs in the right dtype, what is not is refused by name."""

import json

import pytest
import torch

from app.errors import WeightsError
from app.inference import attention, capacity, checkpoint, fusing, graphs, local, randoms
from app.settings import schema

CPU = torch.device("cpu")


@pytest.fixture
def path(tmp_path):
    return randoms.write(tmp_path / "model", "LlamaForCausalLM")


def _load(path, **options):
    return checkpoint.load(schema.Model(name="mine", path=str(path), **options), CPU)


def _edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 8},
            "MistralForCausalLM (sliding_attention)",
        ),
        ({"architectures": ["LlamaForSequenceClassification"]}, "LlamaForSequenceClassification"),
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, "GPT2LMHeadModel"),
        ({"architectures": ["BloomForCausalLM"], "model_type": "bloom"}, "BloomForCausalLM"),
        ({"architectures": None, "model_type": "gpt2"}, "gpt2"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "LlamaForCausalLM (dynamic rope)",
        ),
    ],
)
def test_an_unsupported_model_is_refused_by_name(path, changes, named):
    _edit(path / "config.json", **changes)

    with pytest.raises(WeightsError) as caught:
        _load(path)

    assert (caught.value.code, caught.value.values["name"]) == ("unsupported_architecture", named)


def test_sliding_windows_are_refused(tmp_path):
    path = randoms.write(
        tmp_path, "Qwen3ForCausalLM", use_sliding_window=True, sliding_window=8, max_window_layers=1
    )

    with pytest.raises(WeightsError, match=r"Qwen3ForCausalLM \(sliding_attention\)"):
        _load(path)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    ("architecture", "sizes"),
    [
        ("MistralForCausalLM", {"sliding_window": None}),
        ("Qwen2ForCausalLM", {}),
        ("GemmaForCausalLM", {}),
        ("GraniteForCausalLM", {"logits_scaling": 1.0}),
    ],
)
def test_a_model_that_answers_in_the_engine_as_by_itself_is_served(
    tmp_path, architecture, sizes, dtype
):
    path = randoms.write(tmp_path, architecture, **sizes)

    model = _load(path, dtype=dtype).model

    assert type(model).__name__ == architecture
    assert model.config._attn_implementation == attention.NAME


@pytest.mark.parametrize(
    ("architecture", "records"), [("LlamaForCausalLM", True), ("Qwen2ForCausalLM", False)]
)
def test_steps_are_recorded_of_classes_that_the_tests_hold_only(
    tmp_path, monkeypatch, architecture, records
):
    asked = []
    monkeypatch.setattr(graphs, "build", lambda model, cache: asked.append(model))
    path = randoms.write(tmp_path, architecture)

    local.build(schema.Model(name="m", path=str(path), cache_tokens=64), device="cpu")

    assert bool(asked) == records


@pytest.mark.parametrize("error", [TypeError, AttributeError, ImportError])
def test_a_class_that_cannot_be_built_is_refused(path, monkeypatch, error):
    def fail(*_, **__):
        raise error("no such thing")

    monkeypatch.setattr(fusing, "fuse", fail)

    with pytest.raises(WeightsError, match="load_failed"):
        _load(path)


@pytest.mark.parametrize(
    ("architecture", "sizes", "fault"),
    [
        ("GraniteForCausalLM", {"logits_scaling": 2.0}, "logits are changed behind lm_head"),
        (
            "Gemma2ForCausalLM",
            {"layer_types": ["full_attention"] * 2, "final_logit_softcapping": None},
            "softcap",
        ),
    ],
)
def test_a_model_that_the_engine_would_run_otherwise_is_refused(
    tmp_path, architecture, sizes, fault
):
    path = randoms.write(tmp_path, architecture, **sizes)

    with pytest.raises(WeightsError, match="unsupported_architecture") as caught:
        _load(path)

    assert caught.value.values["name"] == f"{architecture} ({fault})"


def test_a_model_whose_paged_answer_differs_is_refused(tmp_path, monkeypatch):
    path = randoms.write(tmp_path, "Qwen2ForCausalLM")
    right = attention.attend

    def attend(module, query, *others, **options):
        return right(module, 1.1 * query, *others, **options)

    monkeypatch.setattr(attention, "attend", attend)

    with pytest.raises(WeightsError) as caught:
        _load(path)

    assert caught.value.values["name"] == "Qwen2ForCausalLM (answers otherwise than by itself)"


def test_a_loaded_model_does_not_follow_its_file(path):
    """A file in the model's own dtype would be mapped, and a write to it one to the weights."""
    model = _load(path, dtype="float32").model
    before = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    file = path / "model.safetensors"
    with file.open("r+b") as out:
        out.seek(file.stat().st_size // 2)
        out.write(b"\x11" * (file.stat().st_size // 2))

    assert before
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())


def _cut_weights(path):
    (path / "model.safetensors").write_bytes(b"\x00" * 100)


def _pickle_weights(path):
    (path / "model.safetensors").rename(path / "pytorch_model.bin")


def _forget_a_layer(path):
    _edit(path / "config.json", num_hidden_layers=3)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_cut_weights, "header"),
        (_pickle_weights, "safetensors"),
        (_forget_a_layer, "layers.2"),
        (lambda path: (path / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda path: (path / "tokenizer.json").write_text("{"), "tokenizer.json"),
        (lambda path: (path / "config.json").unlink(), "config.json"),
        (lambda path: (path / "config.json").write_text("{"), "config.json"),
    ],
)
def test_a_damaged_directory_is_refused_with_its_reason(path, damage, reason):
    damage(path)

    with pytest.raises(WeightsError) as caught:
        _load(path)

    assert (caught.value.code, caught.value.values["name"]) == ("load_failed", "mine")
    assert reason in caught.value.values["reason"]


@pytest.mark.parametrize(
    ("name", "device", "expected"),
    [
        ("auto", "cuda", torch.float16),
        ("auto", "cpu", torch.float32),
        ("float16", "cpu", torch.float16),
        ("bfloat16", "cuda", torch.bfloat16),
        ("float32", "cuda", torch.float32),
    ],
)
def test_dtype_is_as_configured_or_fits_the_device(path, name, device, expected):
    assert checkpoint.choose_dtype(name, torch.device(device), path) == expected


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [({"avx512_bf16": True}, torch.bfloat16), ({"avx512_bf16": False}, torch.float32)],
)
def test_a_large_model_uses_the_cpus_bfloat16_if_it_has_it(
    path, monkeypatch, instructions, expected
):
    monkeypatch.setattr(checkpoint, "SMALL_BYTES", 1000)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)

    assert checkpoint.choose_dtype("auto", CPU, path) == expected


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_weights_are_loaded_in_the_chosen_dtype(path, dtype):
    assert str(_load(path, dtype=dtype).model.dtype) == f"torch.{dtype}"


def test_end_tokens_come_from_the_generation_config_before_the_config(path):
    assert _load(path).eos == {randoms.EOS}

    _edit(path / "generation_config.json", eos_token_id=[7, 8])

    assert _load(path).eos == {7, 8}


def test_the_cache_is_as_large_as_configured(path):
    model = schema.Model(name="m", path=str(path), cache_tokens=100, max_context=60)

    subject = local.build(model, device="cpu")

    assert subject.stats.blocks_total == 7
    assert capacity.find_context(model, _load(path).config) == 60


def test_without_a_configured_size_every_sequence_can_be_full(path):
    model = schema.Model(name="m", path=str(path), max_sequences=3, max_context=64)

    assert local.build(model, device="cpu").stats.blocks_total == 12


def test_a_cache_of_less_than_a_block_is_refused(path):
    with pytest.raises(WeightsError, match="no_cache_memory"):
        local.build(schema.Model(name="m", path=str(path), cache_tokens=15), device="cpu")
