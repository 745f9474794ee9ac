"""Verified weights: lock a model directory, sign it, and refuse to load anything else."""

from app.inference.weights.check import Check, Sealed, Verified, examine, unseal, verify
from app.inference.weights.keys import keygen, write_pair
from app.inference.weights.manifest import MANIFEST, SUFFIX, File, Manifest
from app.inference.weights.seal import lock, sign

__all__ = [
    "MANIFEST",
    "SUFFIX",
    "Check",
    "File",
    "Manifest",
    "Sealed",
    "Verified",
    "examine",
    "keygen",
    "lock",
    "sign",
    "unseal",
    "verify",
    "write_pair",
]
