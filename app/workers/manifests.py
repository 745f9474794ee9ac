"""The manifest of a batch: what went in, what came out, and what made it, bound by digests."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import app
from app import settings
from app.errors import WeightsError
from app.models import manifests
from app.weights import manifest as lists
from app.weights import stamps
from app.wire.rows import Batch, File
from app.workers.context import Context

VERSION = 1
_ORIGIN = ("weights_sha256", "model", "revision", "dtype", "engine")
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json")
_TEMPLATE = ("chat_template.jinja", "tokenizer_config.json")
_logger = logging.getLogger(__name__)


@dataclass
class Origins:
    """What made the answers of a batch, counted while they are rendered."""

    _counts: Counter[tuple[str | None, ...]] = field(default_factory=Counter)

    def add(self, provenance: Mapping[str, Any]) -> None:
        self._counts[tuple(provenance.get(name) for name in _ORIGIN)] += 1

    def list(self) -> "list[dict[str, Any]]":
        """Each origin and how many answers it made, the most frequent one first."""
        return [
            dict(zip(_ORIGIN, origin, strict=True)) | {"answers": number}
            for origin, number in self._counts.most_common()
        ]


def keep(
    context: Context, batch: Batch, origins: Origins, output: File | None, errors: File | None
) -> None:
    """Stores the manifest, signed if a key is configured. It depends on the rows and the
    configuration alone: made again, it is the same. A key that cannot be read holds up nothing."""
    body = _make(context, batch, origins, output, errors)
    key = context.settings.manifests.private_key_file
    try:
        signed = body if key is None else stamps.sign(body, Path(key))
    except WeightsError as error:
        _logger.error("%s", error, extra={"action": "manifest", "batch_id": batch.id})  # noqa: TRY400
        signed = body
    manifests.store(context.db, batch.id, signed)


def _make(
    context: Context, batch: Batch, origins: Origins, output: File | None, errors: File | None
) -> dict[str, Any]:
    counts = {"total": batch.total, "completed": batch.completed, "failed": batch.failed}
    return {
        "object": "batch.manifest",
        "version": VERSION,
        "batch_id": batch.id,
        "endpoint": batch.endpoint,
        "model": batch.model,
        "created_at": int(batch.finalizing_at or batch.cancelling_at or batch.created_at),
        "input": _show_input(context, batch),
        "output": _show_file(output),
        "errors": _show_file(errors),
        "request_counts": counts,
        "origins": origins.list(),
        "texts": list_texts(context.settings.models, origins),
        "versions": {"autoglm": app.__version__},
    }


def _show_input(context: Context, batch: Batch) -> dict[str, Any]:
    sha256 = manifests.find_input(context.db, batch.id)
    return {"file_id": batch.input_file_id, "sha256": sha256}


def _show_file(file: File | None) -> dict[str, Any] | None:
    return (
        None if file is None else {"file_id": file.id, "sha256": file.sha256, "bytes": file.bytes}
    )


def list_texts(models: Sequence[settings.Model], origins: Origins) -> list[dict[str, Any]]:
    """Tokenizer and chat template of each set of weights that made answers, as far as this
    configuration still has it; the digest of the weights covers them in any case."""
    made = {origin["weights_sha256"] for origin in origins.list()}
    found = (_read_texts(model) for model in models if model.path)
    return [texts for texts in found if texts and texts["weights_sha256"] in made]


def _read_texts(model: settings.Model) -> dict[str, Any] | None:
    path = Path(model.path or "") / model.verify.manifest
    try:
        raw = path.read_bytes()
        whole = lists.parse(raw, file=str(path))
    except (OSError, WeightsError):
        return None
    digests = {file.name: file.sha256 for file in whole.files}
    return {
        "weights_sha256": hashlib.sha256(raw).hexdigest(),
        "tokenizer": {name: digests[name] for name in _TOKENIZER if name in digests},
        "template": {name: digests[name] for name in _TEMPLATE if name in digests},
    }
