"""Schema versions: upgrade, downgrade, and whether the database is current."""

from pathlib import Path

from alembic import command, script
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

import app.migrations
from app.errors import Unavailable
from app.models.database import Database


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(app.migrations.__file__).parent))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def _url(db: Database) -> str:
    return db.url.render_as_string(hide_password=False)


def upgrade(db: Database, revision: str = "head") -> None:
    """Brings the schema to `revision`; doing it twice changes nothing."""
    command.upgrade(_config(_url(db)), revision)


def downgrade(db: Database, revision: str) -> None:
    """Takes the schema back to `revision` ("base" empties it)."""
    command.downgrade(_config(_url(db)), revision)


def read_revision(db: Database) -> str | None:
    """The revision the database is at; None when it is empty."""
    with db.read() as tx:
        return MigrationContext.configure(tx).get_current_revision()


def head_revision() -> str | None:
    """The newest revision this version of the program knows."""
    return script.ScriptDirectory.from_config(_config("sqlite://")).get_current_head()


def is_usable(found: str | None, wanted: str | None) -> bool:
    """Whether a program that knows schema `wanted` works on schema `found`: also on a newer one.
    Within a release migrations only add, so that an upgrade needs no stop (docs/operations.md)."""
    return found is not None and wanted is not None and found >= wanted


def require_current(db: Database) -> None:
    """Raises Unavailable("database_not_migrated") unless the schema is the newest known, or newer."""
    found, wanted = read_revision(db), head_revision()
    if not is_usable(found, wanted):
        raise Unavailable("database_not_migrated", found=found or "empty", wanted=wanted)
