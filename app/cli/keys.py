"""`autoglm keys`: makes, lists and revokes the bearer keys of the API."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from app import cli, settings
from app.errors import InputError
from app.models import database, keys, migrate
from app.models.database import Database
from app.wire.rows import Key

_CONFIG = click.option("--config", help="api.help_config")


@click.group("keys", help="api.keys_help")
def command() -> None:
    """Groups the subcommands."""


@command.command("create", help="api.keys_create")
@click.argument("name")
@click.option("--tenant", default=keys.DEFAULT_TENANT, show_default=True, help="api.keys_tenant")
@_CONFIG
def create(name: str, tenant: str, config: str | None) -> None:
    """Prints the secret on standard output, this one time."""
    if not name.strip() or not tenant.strip():
        raise InputError("empty_name")
    with _database(config) as db:
        key, secret = keys.create(db, name, tenant)
    click.echo(cli.say("api.keys_created", id=key.id, name=name, tenant=tenant), err=True)
    click.echo(secret)


@command.command("list", help="api.keys_list")
@_CONFIG
def list_keys(config: str | None) -> None:
    """One line per key; secrets are not stored and cannot be shown."""
    with _database(config) as db:
        found = keys.list_all(db)
    for key in found:
        click.echo(_describe(key))


@command.command("revoke", help="api.keys_revoke")
@click.argument("key_id", metavar="ID")
@_CONFIG
def revoke(key_id: str, config: str | None) -> None:
    """Refuses the key from the next request on."""
    with _database(config) as db:
        key = keys.revoke(db, key_id)
    click.echo(cli.say("api.keys_revoked", id=key.id, name=key.name))


@contextmanager
def _database(config: str | None) -> Iterator[Database]:
    db = database.connect(settings.load(config))
    try:
        migrate.require_current(db)
        yield db
    finally:
        db.close()


def _describe(key: Key) -> str:
    revoked = key.revoked_at
    state = cli.say("api.key_active") if revoked is None else _say_revoked(revoked)
    fields = (key.id, f"{key.prefix}...", key.tenant_id, _date(key.created_at), state, key.name)
    return "\t".join(fields)


def _say_revoked(stamp: float) -> str:
    return cli.say("api.key_revoked", date=_date(stamp))


def _date(stamp: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp))
