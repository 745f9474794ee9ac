"""Which engine serves a model."""

from collections.abc import Callable, Sequence

from app.inference import choices, engine, fake
from app.settings import schema


def build(
    model: schema.Model,
    *,
    device: str,
    weights_sha256: str | None = None,
    revision: str | None = None,
    threads: int | None = None,
    decode: Callable[[Sequence[int]], str] | None = None,
) -> engine.Engine:
    """Loads `model` on `device` ("cpu", "cpu:1", "cuda:0") with the back end it names.

    `decode` is only the fake's: how it reads markers in a prompt. Raises WeightsError when the
    checkpoint cannot be loaded. torch is imported for the real engine alone; `threads` is how many
    CPU threads it may use (workers that share a CPU must share its cores)."""
    if model.backend == "fake":
        return choices.Choices(
            fake.build(
                model,
                device=device,
                weights_sha256=weights_sha256,
                revision=revision,
                decode=decode,
            )
        )
    assert model.backend == "autoglm", "the settings know no other back end"
    from app.inference import local

    return choices.Choices(
        local.build(
            model, device=device, weights_sha256=weights_sha256, revision=revision, threads=threads
        )
    )
