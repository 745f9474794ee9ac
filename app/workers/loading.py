"""Loading a model: verify, read, build the engine. What fails here never reaches a job."""

from dataclasses import dataclass

from app import settings, text, weights
from app.errors import SettingsError
from app.inference import backends, spinning
from app.inference.engine import Engine
from app.text import Tokenizer

_TINY_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Loaded:
    """A model that can run: its engine, its tokenizer, and the tokens its context holds."""

    engine: Engine
    tokenizer: Tokenizer
    max_context: int | None


def find(options: settings.Settings, name: str) -> settings.Model:
    """The configuration of a model; SettingsError("model_unknown") for an unknown name."""
    for model in options.models:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in options.models)
    raise SettingsError("model_unknown", name=name, known=known)


def _count_threads(verified: weights.Verified) -> int | None:
    """One CPU thread for a tiny model, whose steps are too short to share; else torch's choice."""
    is_tiny = sum(file.size for file in verified.files) < _TINY_BYTES
    return 1 if is_tiny else None


def load(model: settings.Model, device: str) -> Loaded:
    """Verifies every byte of the weights, then loads them. Raises WeightsError."""
    if model.backend == "fake":
        plain = text.Bytes(model.max_context)
        engine = backends.build(model, device=device, decode=plain.decode)
        return Loaded(engine, plain, model.max_context)
    assert model.path is not None, "the settings require a path for this back end"
    verified = weights.verify(
        model.path, manifest=model.verify.manifest, public_keys=model.verify.public_keys
    )
    tokenizer = text.load(verified.path)
    threads = _count_threads(verified)
    engine = backends.build(model, device=device, weights_sha256=verified.digest, threads=threads)
    verified.recheck()
    if device == "cpu" and threads != 1:
        spinning.start()
    return Loaded(engine, tokenizer, model.max_context or tokenizer.max_context)
