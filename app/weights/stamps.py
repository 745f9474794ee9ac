"""Signatures over batch manifests: canonical JSON, Ed25519, the keys of app.weights.keys."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.errors import SettingsError, WeightsError
from app.weights import keys

PREFIX = b"open-autoglm batch manifest v1\n"  # a signature of weights never fits, nor the other way


def encode(manifest: Mapping[str, Any]) -> bytes:
    """What is signed: the manifest without its signature, keys sorted, no spaces, ASCII."""
    body = {name: value for name, value in manifest.items() if name != "signature"}
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def sign(manifest: Mapping[str, Any], private_key: str | Path) -> dict[str, Any]:
    """The manifest with a signature by this key (PEM, or a file that holds it). WeightsError."""
    private = keys.read_private(private_key)
    signature = {
        "algorithm": keys.ALGORITHM,
        "key_id": keys.identify(private.public_key()),
        "value": base64.b64encode(private.sign(PREFIX + encode(manifest))).decode(),
    }
    return dict(manifest) | {"signature": signature}


def require_key(private_key: str | None) -> None:
    """SettingsError("signing_key_unusable") if a key is configured and is none that can sign."""
    if private_key is None:
        return
    try:
        keys.read_private(Path(private_key))
    except WeightsError as error:
        param = "manifests.private_key_file"
        raise SettingsError("signing_key_unusable", param=param, path=private_key) from error


def is_signed(manifest: Mapping[str, Any]) -> bool:
    """Whether it claims a signature at all."""
    return manifest.get("signature") is not None


def check(manifest: Mapping[str, Any], trusted: Sequence[str], *, file: str) -> str:
    """The id of the trusted public key that signed the manifest; WeightsError if none did."""
    known = {keys.identify(key): key for key in map(keys.read_public, trusted)}
    if not is_signed(manifest):
        raise WeightsError("manifest_unsigned", file=file)
    try:
        key_id = str(manifest["signature"]["key_id"])
        value = base64.b64decode(manifest["signature"]["value"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError("manifest_signature_broken", file=file) from error
    if key_id not in known:
        raise WeightsError("manifest_signer_unknown", file=file, key_id=ascii(key_id))
    _verify(known[key_id], value, manifest, file)
    return key_id


def _verify(key: Ed25519PublicKey, value: bytes, manifest: Mapping[str, Any], file: str) -> None:
    try:
        key.verify(value, PREFIX + encode(manifest))
    except InvalidSignature as error:
        key_id = keys.identify(key)
        raise WeightsError("manifest_signature_wrong", file=file, key_id=key_id) from error
