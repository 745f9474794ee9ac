"""Verification: nothing of a model directory is used before every byte of it is accounted for."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.errors import WeightsError
from app.weights import contents, keys, seal, tree
from app.weights.manifest import MANIFEST, SUFFIX, File, Manifest, parse

MANIFEST_LIMIT = 64 << 20  # bytes
THREADS = 4  # files hashed side by side; hashing releases the interpreter


@dataclass(frozen=True)
class Sealed:
    """A directory whose manifest carries a trusted signature; its files are not looked at yet."""

    path: Path
    manifest: Manifest
    name: str  # of the manifest
    digest: str  # SHA-256 over the manifest's bytes
    key_id: str

    @property
    def own_names(self) -> frozenset[str]:
        """The manifest and its signature, which no manifest lists."""
        return frozenset({self.name, self.name + SUFFIX})


@dataclass(frozen=True)
class Check:
    """The outcome for one file: fine with its stamp, or refused with the error."""

    name: str
    error: WeightsError | None = None
    stamp: tree.Stamp | None = None


@dataclass(frozen=True)
class Verified:
    """A directory that matched its signed manifest. `digest` is every result's weights_sha256."""

    path: Path
    digest: str
    files: tuple[File, ...]
    key_id: str
    own_names: frozenset[str] = field(repr=False)
    stamps: tuple[tree.Stamp, ...] = field(repr=False)

    def recheck(self) -> None:
        """Raises WeightsError if a file was added, removed, replaced or written since; no reading.

        Call it after load: what was read then is what was verified before.
        """
        names = {file.name for file in self.files}
        for name in sorted(names ^ (tree.list_names(self.path) - self.own_names)):
            raise WeightsError("weights_changed", file=name)
        for file, stamp in zip(self.files, self.stamps, strict=True):
            if _stamp(self.path, file.name) != stamp:
                raise WeightsError("weights_changed", file=file.name)


def verify(
    path: str | Path, *, manifest: str = MANIFEST, public_keys: Sequence[str | Path] = ()
) -> Verified:
    """Checks a model directory and returns what was verified; raises WeightsError at the first
    fault, naming the file. Every byte is hashed in blocks of 1 MiB."""
    sealed = unseal(path, manifest=manifest, public_keys=public_keys)
    stamps = _require(examine(sealed))
    files = tuple(sorted(sealed.manifest.files))
    return Verified(
        path=sealed.path,
        digest=sealed.digest,
        files=files,
        key_id=sealed.key_id,
        own_names=sealed.own_names,
        stamps=tuple(stamps[file.name] for file in files),
    )


def verify_text(
    path: str | Path, *, manifest: str = MANIFEST, public_keys: Sequence[str | Path] = ()
) -> Path:
    """Checks everything but the content of tensor files and returns the directory: enough for
    whoever reads only tokenizer and chat template, and quick however large the model is."""
    sealed = unseal(path, manifest=manifest, public_keys=public_keys)
    _require(examine(sealed, lambda name: not name.endswith(".safetensors")))
    return sealed.path


def _require(checks: Iterable[Check]) -> dict[str, tree.Stamp]:
    stamps: dict[str, tree.Stamp] = {}
    for each in checks:
        if each.error is not None:
            raise each.error
        assert each.stamp is not None
        stamps[each.name] = each.stamp
    return stamps


def unseal(
    path: str | Path, *, manifest: str = MANIFEST, public_keys: Sequence[str | Path] = ()
) -> Sealed:
    """Checks the signature alone: the manifest can be believed afterwards, the files not yet."""
    root = seal.open_directory(path)
    raw = _read(root, manifest, "weights_manifest_missing")
    signature = _read(root, manifest + SUFFIX, "weights_signature_missing")
    trusted = _read_keys(root, public_keys)
    key_id = keys.check_signature(raw, signature, trusted, file=manifest + SUFFIX)
    digest = hashlib.sha256(raw).hexdigest()
    return Sealed(root, parse(raw, file=manifest), manifest, digest, key_id)


def examine(sealed: Sealed, wanted: Callable[[str], bool] = lambda _name: True) -> Iterator[Check]:
    """One Check per file: faults that need no reading first, then every wanted file as it is
    hashed."""
    faults = list(_find_faults(sealed))
    yield from faults
    refused = {fault.name for fault in faults}
    unread = (file for file in sorted(sealed.manifest.files) if file.name not in refused)
    files = [file for file in unread if wanted(file.name)]
    names = frozenset(file.name for file in sealed.manifest.files)
    pool = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1))
    try:
        yield from pool.map(lambda file: _check_file(sealed.path, file, names), files)
    finally:
        pool.shutdown(cancel_futures=True)


def _find_faults(sealed: Sealed) -> Iterator[Check]:
    listed = {file.name: file for file in sealed.manifest.files}
    found = tree.list_names(sealed.path) - sealed.own_names
    for name in sorted(listed.keys() - found):
        yield Check(name, WeightsError("weights_file_missing", file=name))
    for name in sorted(found - listed.keys()):
        yield Check(ascii(name)[1:-1], WeightsError("weights_file_extra", file=ascii(name)[1:-1]))
    for name in sorted(listed.keys() & found):
        error = _find_fault(sealed.path, listed[name])
        if error is not None:
            yield Check(name, error)


def _find_fault(root: Path, file: File) -> WeightsError | None:
    try:
        contents.check_type(file.name)
        tree.check_kind(root, file.name)
        _check_size(root, file)
    except WeightsError as error:
        return error
    return None


def _check_size(root: Path, file: File) -> None:
    size = _stamp(root, file.name).size
    if size != file.size:
        raise WeightsError("weights_size_changed", file=file.name, expected=file.size, found=size)


def _check_file(root: Path, file: File, names: frozenset[str]) -> Check:
    try:
        stamp = _check_digest(root, file)
        contents.check_content(root, file.name, names)
    except WeightsError as error:
        return Check(file.name, error)
    return Check(file.name, stamp=stamp)


def _check_digest(root: Path, file: File) -> tree.Stamp:
    sha256, stamp = tree.read_digest(root, file.name)
    if sha256 != file.sha256:
        raise WeightsError(
            "weights_digest_changed", file=file.name, expected=file.sha256, found=sha256
        )
    return stamp


def _stamp(root: Path, name: str) -> tree.Stamp:
    try:
        return tree.Stamp.of((root / name).stat())
    except OSError as error:
        raise tree.unreadable(name, error) from error


def _read(root: Path, name: str, missing: str) -> bytes:
    target = root / name
    if not target.is_file():
        raise WeightsError(missing, file=name, path=str(root))
    try:
        with target.open("rb") as file:
            return file.read(MANIFEST_LIMIT)
    except OSError as error:
        raise tree.unreadable(name, error) from error


def _read_keys(root: Path, public_keys: Sequence[str | Path]) -> list[Ed25519PublicKey]:
    if not public_keys:
        raise WeightsError("weights_no_trusted_key", path=str(root))
    return [keys.read_public(source) for source in public_keys]
