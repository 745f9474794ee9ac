"""Verified weights: lock a model directory, sign it, and refuse to load anything else."""

from app.weights.check import Check, Sealed, Verified, examine, unseal, verify, verify_text
from app.weights.keys import keygen, write_pair
from app.weights.manifest import MANIFEST, SUFFIX, File, Manifest
from app.weights.seal import lock, sign

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
    "verify_text",
    "write_pair",
]
