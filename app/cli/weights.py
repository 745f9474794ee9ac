"""`autoglm weights`: makes keys, locks and signs a model directory, verifies one."""

import json
from pathlib import Path

import click

from app import cli, locales, weights

_PATH = click.Path(path_type=Path)
_MANIFEST = click.option(
    "--manifest", default=weights.MANIFEST, show_default=True, help="weights.help_manifest"
)


class _Group(click.Group):
    """Takes the help of its subcommands from the message files."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None:
            return None
        found.help = cli.say(f"weights.help_{cmd_name}")
        for option in found.params:
            if isinstance(option, click.Option) and (option.help or "").startswith("weights."):
                option.help = cli.say(str(option.help))
        return found


@click.group("weights", cls=_Group, help="weights.help")
def command() -> None:
    """Groups the subcommands."""


@command.command("keygen")
@click.option("-o", "--output", type=_PATH, required=True, help="weights.help_output")
def keygen(output: Path) -> None:
    """Writes a key pair and says which file must stay secret."""
    public = weights.write_pair(output)
    _say("weights.key_written", file=output, public=public)


@command.command("lock")
@click.argument("path", type=_PATH)
@click.option("--key", type=_PATH, help="weights.help_key")
@_MANIFEST
def lock(path: Path, key: Path | None, manifest: str) -> None:
    """Writes the manifest; with a key signs it too, making that key if it is not there."""
    locked = weights.lock(path, manifest=manifest)
    size = sum(file.size for file in locked.files)
    _say("weights.locked", count=len(locked.files), bytes=size, digest=locked.digest)
    if key is None:
        _say("weights.sign_next", path=path)
        return
    if not key.exists():
        _say("weights.key_written", file=key, public=weights.write_pair(key))
    _sign(path, key, manifest)


@command.command("sign")
@click.argument("path", type=_PATH)
@click.option("--key", type=_PATH, required=True, help="weights.help_key")
@_MANIFEST
def sign(path: Path, key: Path, manifest: str) -> None:
    """Signs the manifest that `lock` wrote."""
    _sign(path, key, manifest)


@command.command("verify")
@click.argument("path", type=_PATH)
@click.option("--public-key", "public_keys", multiple=True, help="weights.help_public_key")
@_MANIFEST
@click.pass_context
def verify(ctx: click.Context, path: Path, public_keys: tuple[str, ...], manifest: str) -> None:
    """Prints one line per file, as sha256sum does; exit status 1 if any failed."""
    sealed = weights.unseal(path, manifest=manifest, public_keys=public_keys)
    click.echo(f"{sealed.name}: OK")
    num_failed = sum(_print_check(check) for check in weights.examine(sealed))
    if num_failed:
        click.echo(cli.say("weights.failed", path=path, count=num_failed), err=True)
        ctx.exit(1)
    _say("weights.verified", path=path, digest=sealed.digest, key_id=sealed.key_id)


def _print_check(check: weights.Check) -> bool:
    """One line of the report; returns whether the file failed."""
    if check.error is None:
        click.echo(f"{check.name}: OK")
        return False
    reason = locales.explain(check.error, locale=locales.system())
    click.echo(f"{check.name}: FAILED  {reason}")
    return True


def _sign(path: Path, key: Path, manifest: str) -> None:
    public = weights.sign(path, key, manifest=manifest)
    _say("weights.signed", path=path)
    click.echo(_render_config(path.resolve(), public, manifest))


def _render_config(path: Path, public: str, manifest: str) -> str:
    """The lines of config.yaml that serve this directory; JSON strings are YAML strings too."""
    name, place, trusted = (
        json.dumps(text, ensure_ascii=False) for text in (path.name, str(path), public)
    )
    lines = ["models:", f"  {name}:", f"    path: {place}", "    verify:"]
    if manifest != weights.MANIFEST:
        lines.append(f"      manifest: {json.dumps(manifest, ensure_ascii=False)}")
    return "\n".join([*lines, f"      public_keys: [{trusted}]"])


def _say(key: str, **values: object) -> None:
    click.echo(cli.say(key, **values))
