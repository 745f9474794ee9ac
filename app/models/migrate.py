"""Schema versions: upgrade, downgrade, and whether the database is current."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic import command, script
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

import app.migrations
from app.errors import InputError, SettingsError, Unavailable
from app.models import database
from app.models.database import Database
from app.settings import redact


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(app.migrations.__file__).parent))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def _url(db: Database) -> str:
    return db.url.render_as_string(hide_password=False)


def upgrade(db: Database, revision: str = "head") -> None:
    """Brings the schema to `revision`; doing it twice changes nothing, and a newer schema than the
    newest known stays as it is. Raises Unavailable("database_unusable" or "database_unreachable")."""
    with _named(db):
        if revision == "head" and is_usable(read_revision(db), head_revision()):
            return
        with database.translated(db.path):
            command.upgrade(_config(_url(db)), revision)


def downgrade(db: Database, revision: str) -> None:
    """Takes the schema back to `revision` ("base" empties it); InputError("revision_unknown")."""
    with _named(db), database.translated(db.path):
        try:
            command.downgrade(_config(_url(db)), revision)
        except CommandError as error:
            found = read_revision(db) or "-"
            raise InputError("revision_unknown", revision=revision, found=found) from error


@contextlib.contextmanager
def _named(db: Database) -> Iterator[None]:
    """For whoever starts a program: which database it is that fails, and how."""
    try:
        yield
    except Unavailable as error:
        if db.path is not None and error.code != "database_unavailable":
            raise Unavailable("database_unusable", database=str(db.path), reason=error) from error
        where = str(db.path) if db.path else redact(db.url.render_as_string(hide_password=False))
        reason = str(error.values.get("reason", error)).split("\n")[0]
        raise Unavailable("database_unreachable", database=where, reason=reason) from error
    except sa.exc.ProgrammingError as error:  # psycopg: an option in the URL that it does not know
        raise SettingsError("database_url_broken", param="database.url") from error


def find_revision(db: Database) -> str | None:
    """As read_revision, for whoever starts a program: its Unavailable names the database."""
    with _named(db):
        return read_revision(db)


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
    found, wanted = find_revision(db), head_revision()
    if not is_usable(found, wanted):
        raise Unavailable("database_not_migrated", found=found or "empty", wanted=wanted)
