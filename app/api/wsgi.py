"""The entry point of an API process: reads the settings and starts the parts in their order."""

import logging

from flask_openapi.openapi import OpenAPI

from app import log, queue, settings
from app.api import auth, context, factory, ping
from app.errors import SettingsError
from app.models import database, migrate
from app.models.database import Database

_logger = logging.getLogger(__name__)


def create() -> OpenAPI:
    """The app for a WSGI server: `app.api.wsgi:create()`."""
    options = settings.load()
    log.configure(options.log_level)
    return start(options)


def start(options: settings.Settings) -> OpenAPI:
    """Configuration, database pool, interfaces, health check: in this order, each one logged.

    Raises SettingsError when the configuration cannot be served safely, Unavailable when the
    database is missing or at another schema version.
    """
    _note("config")
    db = _connect(options)
    _note("database")
    app = _register(options, db)
    _note("interfaces")
    app.extensions["autoglm"].health.start()
    _note("health")
    return app


def check(options: settings.Settings) -> None:
    """Raises what `start` would raise, before a server is started."""
    require_redis(options)
    _connect(options).close()


def _note(step: str) -> None:
    _logger.info("started: %s", step, extra={"action": "start", "step": step})


def _connect(options: settings.Settings) -> Database:
    db = database.connect(options)
    try:
        migrate.require_current(db)
        auth.require_safe(options, db)
    except Exception:
        db.close()
        raise
    return db


def _register(options: settings.Settings, db: Database) -> OpenAPI:
    url = require_redis(options)
    publisher = queue.Publisher(queue.make_app(url))
    app = factory.create_app(options, db, publisher, ping=ping.make_ping(url))
    app.extensions["autoglm"].catalog.preload()
    return app


def require_redis(options: settings.Settings) -> str:
    """The broker's URL; SettingsError where none is configured."""
    if options.redis.url is None:
        raise SettingsError("redis_url_required", param="redis.url")
    return options.redis.url


def stop(app: OpenAPI) -> None:
    """Lets waiting clients go at once, so that the server can end; safe in a signal handler."""
    parts: context.Context = app.extensions["autoglm"]
    parts.notifier.stop()
    parts.feed.stop()
    parts.health.stop()
