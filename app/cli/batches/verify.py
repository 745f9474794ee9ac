"""`autoglm batches verify`: whether a file is the one that a batch's manifest names."""

import hashlib
import json
from pathlib import Path
from typing import Any

import click

from app import cli
from app.errors import InputError, WeightsError
from app.weights import stamps

ROLES = ("input", "output", "errors")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("verify", help="batches.help_verify")
@click.argument("file", type=_FILE)
@click.argument("manifest", type=_FILE)
@click.option("--public-key", "trusted", multiple=True, help="batches.help_public_key")
def verify(file: Path, manifest: Path, trusted: tuple[str, ...]) -> None:
    """Exit status 1 if the file is another one, or the signature is not by a key that is given."""
    body = _read(manifest)
    if trusted:
        key_id = stamps.check(body, trusted, file=str(manifest))
        click.echo(cli.say("batches.signed", file=manifest, key_id=key_id))
    role = _find_role(body, _hash(file))
    if role is None:
        raise WeightsError("manifest_mismatch", file=str(file), batch=str(body["batch_id"]))
    click.echo(cli.say("batches.verified", file=file, role=role, batch=body["batch_id"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError("manifest_broken", file=str(path)) from error
    if not isinstance(body, dict) or body.get("object") != "batch.manifest":
        raise InputError("manifest_broken", file=str(path))
    return body


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_role(body: dict[str, Any], sha256: str) -> str | None:
    return next((role for role in ROLES if (body.get(role) or {}).get("sha256") == sha256), None)
