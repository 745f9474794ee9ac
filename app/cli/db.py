"""`autoglm db`: brings the database to a schema version, says which one it has, saves and restores it."""

from pathlib import Path

import click

from app import cli, settings
from app.models import backups, database, migrate
from app.models.database import Database

_CONFIG = click.option("--config", help="api.help_config")


@click.group("db", help="api.db_help")
def command() -> None:
    """Groups the subcommands."""


@command.command("upgrade", help="api.db_upgrade")
@_CONFIG
def upgrade(config: str | None) -> None:
    """To the newest version."""
    db = _connect(config)
    migrate.upgrade(db)
    _show(db)


@command.command("downgrade", help="api.db_downgrade")
@click.argument("revision", metavar="REV")
@_CONFIG
def downgrade(revision: str, config: str | None) -> None:
    """Back to an earlier version; `base` empties the database."""
    db = _connect(config)
    migrate.downgrade(db, revision)
    _show(db)


@command.command("current", help="api.db_current")
@_CONFIG
def current(config: str | None) -> None:
    """What the database has and what this program needs."""
    _show(_connect(config))


@command.command("backup", help="api.db_backup")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_CONFIG
def backup(folder: Path, config: str | None) -> None:
    """Into a new folder, beside running processes."""
    options = settings.load(config)
    backups.save(database.connect(options), options.data_dir / "files", folder)
    click.echo(cli.say("api.db_saved", path=folder))


@command.command("restore", help="api.db_restore")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_CONFIG
def restore(folder: Path, config: str | None) -> None:
    """Into an empty data directory, while nothing runs."""
    options = settings.load(config)
    db = database.find(options)
    backups.restore(db, options.data_dir / "files", folder)
    _show(db)


def _connect(config: str | None) -> Database:
    return database.connect(settings.load(config))


def _show(db: Database) -> None:
    found, wanted = migrate.find_revision(db), migrate.head_revision()
    db.close()
    click.echo(cli.say("api.db_revision", found=found or "-", wanted=wanted))
