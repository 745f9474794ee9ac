"""Which torch is installed, for people."""

from typing import Any


def describe() -> dict[str, Any]:
    """`torch` (its version), `cuda` (the CUDA it was built for, None for a CPU build) and whether a
    GPU `is_available` to it. ImportError where torch cannot be loaded."""
    import torch

    return {
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "is_available": torch.cuda.is_available(),
    }
