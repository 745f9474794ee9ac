"""Ed25519 keys and signatures: made, read from base64 or files, checked."""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from app.errors import WeightsError

ALGORITHM = "ed25519"
PREFIX = b"open-autoglm weights manifest v1\n"  # a signature made for anything else never fits
_KEY_LENGTH = 32
_KEY_FILE_LIMIT = 64 << 10


def keygen() -> tuple[str, str]:
    """A fresh pair: the private key as PEM (PKCS #8), the public key as base64."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode(), encode_public(private.public_key())


def write_pair(file: str | Path) -> str:
    """Writes a fresh private key to `file` (mode 0600) and the public one to `file`.pub.

    Returns the public key. A file that exists is never overwritten: WeightsError.
    """
    private, public = keygen()
    target = Path(file)
    open_key = Path(f"{target}.pub")
    for each in (target, open_key):
        if each.exists():
            raise WeightsError("weights_key_exists", key=_shown(each))
    _create(target, private, 0o600)
    _create(open_key, public + "\n", 0o644)
    return public


def _create(target: Path, text: str, mode: int) -> None:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise WeightsError("weights_key_exists", key=_shown(target)) from error
    except OSError as error:
        raise WeightsError("weights_key_unwritable", key=_shown(target)) from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def encode_public(key: Ed25519PublicKey) -> str:
    """The 32 bytes of a public key in base64: 44 characters, fit for config.yaml."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def identify(key: Ed25519PublicKey) -> str:
    """A short name for a key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def read_private(source: str | Path) -> Ed25519PrivateKey:
    """A private key from PEM text, or from a file that holds it."""
    text = source if is_pem(source) else _read(Path(source))
    try:
        key = serialization.load_pem_private_key(str(text).encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise WeightsError("weights_key_broken", key=_shown(source)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WeightsError("weights_key_broken", key=_shown(source))
    return key


def read_public(source: str | Path) -> Ed25519PublicKey:
    """A public key from base64, or from a file that holds base64 or PEM."""
    key = _decode_public(str(source))
    if key is None and not is_pem(source):
        key = _decode_public(_read(Path(source)))
    if key is None:
        raise WeightsError("weights_key_broken", key=_shown(source))
    return key


def sign_bytes(private: Ed25519PrivateKey, manifest: bytes) -> bytes:
    """The signature file for these exact manifest bytes."""
    body = {
        "algorithm": ALGORITHM,
        "key_id": identify(private.public_key()),
        "signature": base64.b64encode(private.sign(PREFIX + manifest)).decode(),
    }
    return json.dumps(body, sort_keys=True).encode() + b"\n"


def check_signature(
    manifest: bytes, signature: bytes, trusted: Sequence[Ed25519PublicKey], *, file: str
) -> str:
    """Returns the id of the trusted key that signed the manifest, or raises WeightsError."""
    key_id, raw = _parse_signature(signature, file)
    keys = {identify(key): key for key in trusted}
    if key_id not in keys:
        raise WeightsError("weights_signer_unknown", file=file, key_id=ascii(key_id))
    try:
        keys[key_id].verify(raw, PREFIX + manifest)
    except InvalidSignature as error:
        raise WeightsError("weights_signature_wrong", file=file, key_id=key_id) from error
    return key_id


def _parse_signature(signature: bytes, file: str) -> tuple[str, bytes]:
    try:
        body = json.loads(signature.decode())
        return str(body["key_id"]), base64.b64decode(body["signature"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError("weights_signature_broken", file=file) from error


def _decode_public(text: str) -> Ed25519PublicKey | None:
    try:
        if is_pem(text):
            key = serialization.load_pem_public_key(text.encode())
            return key if isinstance(key, Ed25519PublicKey) else None
        raw = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return None
    return Ed25519PublicKey.from_public_bytes(raw) if len(raw) == _KEY_LENGTH else None


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return file.read(_KEY_FILE_LIMIT)
    except (OSError, ValueError) as error:
        raise WeightsError("weights_key_unreadable", key=_shown(path)) from error


def is_pem(source: str | Path) -> bool:
    """Is this the text of a key, and not where it is?"""
    return str(source).lstrip().startswith("-----BEGIN ")


def _shown(source: str | Path) -> str:
    """Never the text of a key, only where it was looked for."""
    return "PEM" if is_pem(source) else ascii(str(source))[1:81].rstrip("'")
