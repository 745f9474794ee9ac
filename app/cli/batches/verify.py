"""`autoglm batches verify`: whether a file is the one that a batch's manifest names."""

import hashlib
import json
from pathlib import Path
from typing import Any

import click
import orjson

from app import cli
from app.errors import InputError, WeightsError
from app.weights import stamps

ROLES = ("input", "output", "errors")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("verify", help="batches.help_verify")
@click.argument("file", type=_FILE)
@click.argument("manifest", type=_FILE)
@click.option("--public-key", "trusted", multiple=True, help="batches.help_public_key")
@click.option("--json", "as_json", is_flag=True, help="batches.help_json")
@click.pass_context
def verify(
    ctx: click.Context, /, file: Path, manifest: Path, trusted: tuple[str, ...], as_json: bool
) -> None:
    """Exit status 1 if the file is another one, or the signature is not by a key that is given."""
    body = _read(manifest)
    found = {"file": str(file), "manifest": str(manifest), "batch_id": body["batch_id"]}
    try:
        found |= _check_signature(body, trusted, manifest)
        found |= _check_file(body, file)
    except WeightsError as error:
        if not as_json:
            raise
        text = cli.say(f"errors.{error.code}", **error.values)
        found |= {"verified": False, "error": {"code": error.code, "message": text}}
    _report(found, as_json=as_json)
    ctx.exit(0 if found["verified"] else 1)


def _check_signature(
    body: dict[str, Any], trusted: tuple[str, ...], manifest: Path
) -> dict[str, Any]:
    """`signature`: valid, not_checked (no key was given), or none."""
    if trusted:
        key_id = stamps.check(body, trusted, file=str(manifest))
        return {"signature": "valid", "key_id": key_id}
    return {"signature": "not_checked" if stamps.is_signed(body) else "none"}


def _check_file(body: dict[str, Any], file: Path) -> dict[str, Any]:
    role = _find_role(body, _hash(file))
    if role is None:
        raise WeightsError("manifest_mismatch", file=str(file), batch=str(body["batch_id"]))
    return {"verified": True, "role": role}


def _report(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(found).decode())
        return
    if found["signature"] == "valid":
        click.echo(cli.say("batches.signed", file=found["manifest"], key_id=found["key_id"]))
    elif found["signature"] == "not_checked":
        click.echo(cli.say("batches.not_checked", file=found["manifest"]), err=True)
    names = {name: found[name] for name in ("file", "role")}
    click.echo(cli.say("batches.verified", **names, batch=found["batch_id"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError("manifest_broken", file=str(path)) from error
    if not isinstance(body, dict) or body.get("object") != "batch.manifest":
        raise InputError("manifest_broken", file=str(path))
    if not isinstance(body.get("batch_id"), str):
        raise InputError("manifest_broken", file=str(path))
    return body


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_role(body: dict[str, Any], sha256: str) -> str | None:
    return next((role for role in ROLES if (body.get(role) or {}).get("sha256") == sha256), None)
