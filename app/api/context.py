"""What every handler is handed: the parts of the running service and who is asking."""

from dataclasses import dataclass
from pathlib import Path

import flask

from app import settings
from app.api.backlog import Backlog
from app.api.catalog import Catalog
from app.api.feed import Feed
from app.api.health import Health
from app.api.notifier import Notifier
from app.api.outlook import Outlook
from app.metrics import Metrics
from app.models.database import Database
from app.queue import Publisher

_KEY = "autoglm"


@dataclass(frozen=True)
class Context:
    """The parts of one API process."""

    settings: settings.Settings
    db: Database
    publisher: Publisher
    catalog: Catalog
    backlog: Backlog
    notifier: Notifier
    feed: Feed
    outlook: Outlook
    health: Health
    metrics: Metrics

    @property
    def files_dir(self) -> Path:
        """Where the bytes of files are kept."""
        return self.settings.data_dir / "files"


@dataclass(frozen=True)
class Caller:
    """The tenant a request acts for, and the key it came with (None while no key exists)."""

    tenant_id: str
    key_id: str | None


def bind(app: flask.Flask, context: Context) -> None:
    """Gives the context to every request of this app."""
    app.extensions[_KEY] = context


def current() -> Context:
    """The context of the app that serves this request."""
    found: Context = flask.current_app.extensions[_KEY]
    return found


def caller() -> Caller:
    """Who is asking; set before any handler runs."""
    found: Caller = flask.g.caller
    return found
