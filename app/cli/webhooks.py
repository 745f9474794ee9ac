"""`autoglm webhooks`: the secret that a tenant's receivers need."""

import click

from app import settings
from app.errors import SettingsError
from app.models import keys
from app.wire import callbacks


@click.group("webhooks", help="webhooks.help")
def command() -> None:
    """Groups the subcommands."""


@command.command("secret", help="webhooks.help_secret")
@click.option("--tenant", default=keys.DEFAULT_TENANT, show_default=True, help="api.keys_tenant")
@click.option("--config", help="api.help_config")
def secret(tenant: str, config: str | None) -> None:
    """Prints it on standard output, for the receiver's own configuration."""
    found = settings.load(config).webhooks.signing_secret
    if found is None:
        raise SettingsError("webhooks_no_secret")
    click.echo(callbacks.derive_secret(found, tenant, keys.DEFAULT_TENANT))
