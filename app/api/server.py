"""gunicorn with our settings: threads for long polls, JSON logs, nothing written elsewhere."""

import signal
from types import FrameType
from typing import Any

from flask_openapi.openapi import OpenAPI
from gunicorn import glogging  # type: ignore[import-untyped]
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.config import Config  # type: ignore[import-untyped]

from app.api import refusals, wsgi
from app.models import disks
from app.settings import Settings

GRACE_SECONDS = 20
KEEPALIVE_SECONDS = 75
_SPARE_CONNECTIONS = 1000  # idle keep-alive connections beside the busy ones


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; ends the process."""
    wsgi.check(settings)
    disks.make_folder(settings.data_dir)
    _Server(settings).run()


class Logger(glogging.Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's own lines through our JSON handler."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in _options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> OpenAPI:
        app = wsgi.start(self._settings)
        _stop_on_sigterm(app)
        return app


def _options(settings: Settings) -> dict[str, Any]:
    host = f"[{settings.server.host}]" if ":" in settings.server.host else settings.server.host
    return {
        "bind": f"{host}:{settings.server.port}",
        "worker_class": refusals.Worker,
        "workers": settings.server.processes,
        "threads": settings.server.threads,
        "worker_connections": settings.server.threads + _SPARE_CONNECTIONS,
        "graceful_timeout": GRACE_SECONDS,
        "keepalive": KEEPALIVE_SECONDS,
        "worker_tmp_dir": str(settings.data_dir),
        "control_socket_disable": True,
        "logger_class": Logger,
        "loglevel": settings.log_level.lower(),
        "proc_name": "autoglm-api",
        "umask": 0o077,
    }


def _stop_on_sigterm(app: OpenAPI) -> None:
    """gunicorn waits for requests in flight; long polls are told to end first."""
    inherited = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        wsgi.stop(app)
        if callable(inherited):
            inherited(number, frame)

    signal.signal(signal.SIGTERM, stop)
