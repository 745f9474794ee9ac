"""The manifest: which files a model directory holds, with their sizes and SHA-256 digests."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from app.errors import AutoglmError, WeightsError

MANIFEST = "MANIFEST.json"
SUFFIX = ".sig"
FORMAT = 1
_DIGEST_LENGTH = 64


@dataclass(frozen=True, order=True)
class File:
    """One file of a model directory: its name relative to it, bytes, and SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Every file of a model directory, sorted by name."""

    files: tuple[File, ...]

    @property
    def encoded(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, ASCII, one newline; equal files, equal bytes."""
        body = {"format": FORMAT, "files": [asdict(file) for file in sorted(self.files)]}
        return json.dumps(body, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @property
    def digest(self) -> str:
        """SHA-256 over `encoded`: one number for the whole directory."""
        return hashlib.sha256(self.encoded).hexdigest()


def parse(raw: bytes, *, file: str) -> Manifest:
    """Reads manifest bytes; anything but the exact format is refused. `file` is for messages."""
    try:
        body = json.loads(raw.decode())
        if body["format"] != FORMAT:
            raise WeightsError("weights_manifest_format", file=file, format=str(body["format"]))
        files = tuple(_file(entry) for entry in body["files"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError("weights_manifest_broken", file=file, detail=str(error)) from error
    if len({each.name for each in files}) != len(files):
        twice = AutoglmError("weights_name_twice")
        raise WeightsError("weights_manifest_broken", file=file, detail=twice)
    return Manifest(files)


def _file(entry: dict[str, Any]) -> File:
    size, sha256 = entry["size"], entry["sha256"]
    if type(size) is not int or size < 0:
        raise ValueError(f"size {size!r}")
    if not isinstance(sha256, str) or len(sha256) != _DIGEST_LENGTH:
        raise ValueError(f"sha256 {sha256!r}")
    check_name(entry["name"])
    return File(**entry)


def check_name(name: Any) -> None:
    """Refuses a name that is not a plain relative path inside the directory.

    Control characters are refused too: a name must not be able to forge a line of output.
    """
    if not isinstance(name, str):
        raise TypeError(f"name {name!r}")
    path = PurePosixPath(name)
    if not path.parts or ".." in path.parts or path.is_absolute() or path.as_posix() != name:
        raise WeightsError("weights_name_unsafe", file=ascii(name))
    if "\\" in name or not name.isprintable():
        raise WeightsError("weights_name_unsafe", file=ascii(name))
