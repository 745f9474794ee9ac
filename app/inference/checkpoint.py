"""Loads a checkpoint directory into an unmodified transformers class, or refuses it by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from safetensors import SafetensorError

from app.errors import WeightsError
from app.inference import attention, decoding, fusing, spelling, trials
from app.settings import schema

# Held against model.generate token for token by the tests; any other must pass a trial when loaded.
ARCHITECTURES = ("GlmForCausalLM", "Glm4ForCausalLM", "LlamaForCausalLM", "Qwen3ForCausalLM")
ROPE_TYPES = ("default", "linear", "llama3", "yarn")  # those where neighbours change nothing
LIBRARIES = " ".join(  # whose versions may change an answer
    f"{library.__name__}/{library.__version__}" for library in (torch, transformers, tokenizers)
)
# Of files that are wrong, of classes that do not fit together, of libraries that a class lacks.
_LOAD_ERRORS = (
    *(OSError, ValueError, KeyError, RuntimeError, SafetensorError),
    *(AttributeError, TypeError, ImportError),
)
SMALL_BYTES = 100_000_000  # checkpoints below this stay float32 on a CPU


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to run, with what the engine must know of its files."""

    model: torch.nn.Module
    tokenizer: tokenizers.Tokenizer
    eos: frozenset[int]

    @property
    def config(self) -> Any:
        """The transformers configuration."""
        return self.model.config

    @property
    def is_proven(self) -> bool:
        """Whether its class is one of ARCHITECTURES. Others may look at their tensors on the way
        (experts do), which no recording of a device's work allows."""
        return type(self.model).__name__ in ARCHITECTURES

    @cached_property
    def spelling(self) -> spelling.Spelling:
        """The bytes of each token."""
        return spelling.read(self.tokenizer)

    def start_text(self, *, strips: bool = True) -> decoding.Decoder:
        """A decoder for a new text; without `strips` the space that a text begins with stays."""
        if self.spelling.is_exact:
            return decoding.Pieces(self.spelling, strips=strips)
        return decoding.Windows(self.decode)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, special tokens left out."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True)


def load(model: schema.Model, device: torch.device) -> Checkpoint:
    """Loads from `model.path`; raises WeightsError: `unsupported_architecture`, `load_failed`."""
    attention.register()
    transformers.utils.logging.disable_progress_bar()
    try:
        return _load(Path(model.path or ""), model.dtype, device)
    except _LOAD_ERRORS as error:
        raise WeightsError("load_failed", name=model.name, reason=str(error)) from error


def _load(path: Path, dtype: str, device: torch.device) -> Checkpoint:
    config = transformers.AutoConfig.from_pretrained(
        path, local_files_only=True, trust_remote_code=False
    )
    name = _check_architecture(config)
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        path,
        config=config,
        dtype=choose_dtype(dtype, device, path),
        attn_implementation=attention.NAME,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if report["missing_keys"]:
        raise ValueError(f"the files hold no weights for {sorted(report['missing_keys'])}")
    model = model.to(device).eval()
    if device.type == "cpu":
        _own(model)
    fusing.fuse(model)
    if name not in ARCHITECTURES and (fault := trials.find_fault(model)):
        raise WeightsError("unsupported_architecture", name=f"{name} ({fault})")
    return Checkpoint(model, _read_tokenizer(path), _find_eos(model))


def _own(model: Any) -> None:
    """Copies all tensors. Those that the file holds in the model's dtype are the file itself, mapped:
    a write to it would be one to the weights that were verified, and a cut file the process's end."""
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()


def _check_architecture(config: Any) -> str:
    """The name of its class, whose attention must go through transformers' registry."""
    name: str = (config.architectures or [config.model_type])[0]
    known = transformers.MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if known is None or known.__name__ != name or not _is_served(known):
        raise WeightsError("unsupported_architecture", name=name)
    if extras := _find_extras(config):
        raise WeightsError("unsupported_architecture", name=f"{name} ({', '.join(sorted(extras))})")
    return name


def _is_served(known: Any) -> bool:
    """Whether attention may be ours, and the body is where the engine looks for it."""
    return bool(known._supports_attention_backend and known.base_model_prefix == "model")


def _find_extras(config: Any) -> set[str]:
    """What the engine has no counterpart for."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    extras = set(kinds or (["sliding_attention"] if window else ())) - {"full_attention"}
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    return extras if rope in ROPE_TYPES else extras | {f"{rope} rope"}


def choose_dtype(name: str, device: torch.device, path: Path) -> torch.dtype:
    """`auto` is float16 on CUDA; on a CPU bfloat16 where it has instructions for it and the
    model is not small, else float32."""
    if name != "auto":
        return getattr(torch, name)
    if device.type == "cuda":
        return torch.float16
    size = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    is_large = size > SMALL_BYTES
    return torch.bfloat16 if is_large and _has_bfloat16() else torch.float32


def _has_bfloat16() -> bool:
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def _read_tokenizer(path: Path) -> tokenizers.Tokenizer:
    file = path / "tokenizer.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file.name} is missing")
    try:
        return tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{file.name}: {error}") from error


def _find_eos(model: Any) -> frozenset[int]:
    eos = model.generation_config.eos_token_id
    return frozenset([eos] if isinstance(eos, int) else eos or ())
