"""Locking and signing: the owner's side of verification."""

from pathlib import Path

from app.errors import WeightsError
from app.weights import contents, keys, tree
from app.weights.manifest import MANIFEST, SUFFIX, File, Manifest, check_name, parse


def lock(path: str | Path, *, manifest: str = MANIFEST) -> Manifest:
    """Writes the manifest of a model directory; the same files always give the same bytes.

    What `verify` would refuse is refused here already. A signature that no longer fits is left
    in place: it fails verification until `sign` replaces it.
    """
    root = open_directory(path)
    names = tree.list_names(root) - {manifest, manifest + SUFFIX}
    if not any(name.endswith(".safetensors") for name in names):
        raise WeightsError("weights_none_found", path=str(root))
    for name in sorted(names):
        _check(root, name)
    locked = Manifest(tuple(_measure(root, name, names) for name in sorted(names)))
    _write(root / manifest, locked.encoded)
    return locked


def sign(path: str | Path, private_key: str | Path, *, manifest: str = MANIFEST) -> str:
    """Writes the signature beside the manifest; returns the public key in base64.

    `private_key` is PEM text or a file that holds it; a key file inside the model directory is
    refused, since it would travel with the weights.
    """
    root = open_directory(path)
    target = root / manifest
    if not target.is_file():
        raise WeightsError("weights_manifest_missing", file=manifest, path=str(root))
    _check_place(root, private_key)
    private = keys.read_private(private_key)
    raw = target.read_bytes()
    parse(raw, file=manifest)
    _write(root / (manifest + SUFFIX), keys.sign_bytes(private, raw))
    return keys.encode_public(private.public_key())


def open_directory(path: str | Path) -> Path:
    """The directory with all links of its own path resolved."""
    root = Path(path)
    if not root.is_dir():
        raise WeightsError("weights_not_directory", path=str(path))
    return root.resolve()


def _check_place(root: Path, private_key: str | Path) -> None:
    if keys.is_pem(private_key):
        return
    if Path(private_key).resolve().is_relative_to(root):
        raise WeightsError("weights_key_inside", file=Path(private_key).name, path=str(root))


def _check(root: Path, name: str) -> None:
    check_name(name)
    contents.check_type(name)
    tree.check_kind(root, name)


def _measure(root: Path, name: str, names: frozenset[str]) -> File:
    sha256, stamp = tree.read_digest(root, name)
    contents.check_content(root, name, names)
    return File(name, stamp.size, sha256)


def _write(target: Path, content: bytes) -> None:
    try:
        target.write_bytes(content)
    except OSError as error:
        raise WeightsError(
            "weights_unwritable", file=target.name, detail=error.strerror or ""
        ) from error
