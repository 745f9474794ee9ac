"""The files of a checkpoint that text needs: tokenizer, configurations, chat template."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from app.errors import WeightsError

TEMPLATE = "chat_template.jinja"
_POSITIONS = ("max_position_embeddings", "n_positions", "seq_length")


@dataclass(frozen=True)
class Files:
    """The configuration files as read; a missing optional file is an empty mapping."""

    path: Path
    config: dict[str, Any]
    generation: dict[str, Any]
    tokenizer: dict[str, Any]
    special: dict[str, Any]

    @property
    def tokens(self) -> dict[str, str]:
        """Texts of the named special tokens: bos_token, eos_token, ..."""
        named = {**self.special, **self.tokenizer}
        texts = {name: _content(value) for name, value in named.items() if name.endswith("_token")}
        return {name: text for name, text in texts.items() if text is not None}

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """What `generate` of transformers would stop at: generation_config.json, else config.json."""
        for source in (self.generation, self.config, self.config.get("text_config") or {}):
            found = source.get("eos_token_id")
            if found is not None:
                return tuple(found) if isinstance(found, list) else (int(found),)
        return ()

    @property
    def max_context(self) -> int | None:
        """Positions of the model, under the names that configurations use."""
        for source in (self.config, self.config.get("text_config") or {}):
            for name in _POSITIONS:
                if isinstance(source.get(name), int):
                    return int(source[name])
        return None

    @property
    def vocabulary(self) -> int | None:
        """Token ids of the model, more than its tokenizer's where a checkpoint pads them."""
        for source in (self.config, self.config.get("text_config") or {}):
            if isinstance(source.get("vocab_size"), int):
                return int(source["vocab_size"])
        return None

    @property
    def template(self) -> str | None:
        """The chat template: its own file, else the tokenizer's configuration."""
        file = self.path / TEMPLATE
        if file.is_file():
            return _read_template(file)
        found = read_json(self.path / "chat_template.json").get("chat_template")
        found = found or self.tokenizer.get("chat_template")
        if isinstance(found, list):
            named = {each["name"]: each["template"] for each in found}
            found = named.get("default")
        return found


def read(path: str | Path) -> Files:
    """Reads the small files; raises WeightsError naming one that is not a JSON object."""
    root = Path(path)
    return Files(
        path=root,
        config=read_json(root / "config.json"),
        generation=read_json(root / "generation_config.json"),
        tokenizer=read_json(root / "tokenizer_config.json"),
        special=read_json(root / "special_tokens_map.json"),
    )


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object, {} for a file that is not there."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise WeightsError("weights_json_broken", file=file.name, detail=str(error)) from error
    if not isinstance(found, dict):
        raise WeightsError("weights_json_broken", file=file.name, detail=type(found).__name__)
    return found


def _read_template(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (ValueError, OSError) as error:
        raise WeightsError("weights_template_broken", file=file.name, detail=str(error)) from error


def read_tokenizer(path: Path) -> tokenizers.Tokenizer:
    """tokenizer.json, without the padding and truncation it may have been saved with."""
    file = path / "tokenizer.json"
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise WeightsError("weights_tokenizer", file=file.name, detail=str(error)) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _content(value: Any) -> str | None:
    """A token is written as its text or as an object that holds it."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None
