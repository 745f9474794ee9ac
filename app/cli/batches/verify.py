"""`autoglm batches verify`: whether a file is the one that a batch's manifest names."""

import hashlib
from pathlib import Path
from typing import Any

import click
import orjson

from app import cli
from app.errors import AutoglmError, BadRequest, InputError, WeightsError
from app.weights import stamps
from app.wire import document

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
    """Exit status 1 if the file is another one, or the signature is not by a key that is given; 2
    if the manifest is none."""
    found: dict[str, Any] = {"file": str(file), "manifest": str(manifest)}
    try:
        body = _read(manifest)
        found["batch_id"] = body["batch_id"]
        found |= _check_signature(body, trusted, manifest)
        found |= _check_file(body, file)
    except (InputError, WeightsError) as error:
        if not as_json:
            raise
        _report(found | _explain(error), as_json=True)
        ctx.exit(2 if isinstance(error, InputError) else 1)
    _report(found, as_json=as_json)


def _explain(error: AutoglmError) -> dict[str, Any]:
    message = cli.say(f"errors.{error.code}", **error.values)
    return {"verified": False, "error": {"code": error.code, "message": message}}


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
    """As strictly as a body: of two keys of one name, another reader may believe the other."""
    try:
        body = document.loads(path.read_bytes())
    except BadRequest as error:
        raise InputError("manifest_broken", file=str(path)) from error
    if not isinstance(body, dict) or not _is_manifest(body):
        raise InputError("manifest_broken", file=str(path))
    return body


def _is_manifest(body: dict[str, Any]) -> bool:
    has_files = all(isinstance(body.get(role), dict | None) for role in ROLES)
    is_named = isinstance(body.get("batch_id"), str)
    return body.get("object") == "batch.manifest" and is_named and has_files


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_role(body: dict[str, Any], sha256: str) -> str | None:
    return next((role for role in ROLES if (body.get(role) or {}).get("sha256") == sha256), None)
