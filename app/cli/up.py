"""`autoglm up`: the whole service on this machine, until Ctrl-C."""

import dataclasses
import fcntl
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click
import httpx

from app import log, settings
from app.api import auth
from app.cli import flower as dashboard
from app.cli import say
from app.errors import SettingsError
from app.models import database, migrate
from app.stack import broker, plan, ports
from app.stack.supervisor import Supervisor

_logger = logging.getLogger(__name__)


@click.command(help="up.help")
@click.option("--config", type=click.Path(), help="cli.help_config_file")
@click.option("--host", help="up.help_host")
@click.option("--port", type=int, help="up.help_port")
@click.option(
    "--flower-port",
    type=click.IntRange(1, 65535),
    default=5555,
    show_default=True,
    help="up.help_flower",
)
@click.option("--flower/--no-flower", default=True, help="up.help_no_flower")
@click.option("--data-dir", type=click.Path(file_okay=False), help="up.help_data_dir")
@click.option("--devices", help="up.help_devices")
@click.option("--workers", type=click.IntRange(min=1), help="up.help_workers")
def command(
    config: str | None,
    flower_port: int,
    flower: bool,
    workers: int | None,
    **given: Any,
) -> None:
    """Starts embedded parts only where no URL is configured."""
    server = {"server.host": given.pop("host"), "server.port": given.pop("port")}
    options = settings.load(config, overrides=server | given)
    log.configure(options.log_level)
    _logger.info(
        "configuration: %s",
        options.source or "defaults",
        extra={"action": "start", "config": str(options.source or "")},
    )
    run(options, num_workers=workers, flower_port=flower_port if flower else None)


def run(options: settings.Settings, *, num_workers: int | None, flower_port: int | None) -> None:
    """Checks what can be checked, migrates the database, and supervises until a signal."""
    options = dataclasses.replace(options, data_dir=options.data_dir.absolute())
    held = _lock(_make_folder(options.data_dir))
    _prepare_database(options)
    _require_ports(options, flower_port)
    place = broker.plan(options)
    options = dataclasses.replace(options, redis=settings.Redis(url=place.url))
    processes = plan.make(options, place, num_workers=num_workers, flower_port=flower_port)
    Supervisor(processes, options.data_dir).run(_announcer(options, flower_port))
    held.close()
    click.echo(say("up.stopped"), err=True)


def _make_folder(data_dir: Path) -> Path:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (data_dir / "up.lock").touch(mode=0o600)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError("data_dir_unwritable", path=str(data_dir), reason=reason) from error
    return data_dir


def _lock(data_dir: Path) -> IO[str]:
    file = (data_dir / "up.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip()
        raise SettingsError("data_dir_in_use", path=str(data_dir), pid=owner) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _require_ports(options: settings.Settings, flower_port: int | None) -> None:
    host, port = options.server.host, options.server.port
    if flower_port is not None:
        dashboard.require_auth(host)
    if port == flower_port:
        raise SettingsError("ports_equal", param="--flower-port", port=port)
    for each in (port, flower_port):
        if each is not None and not ports.is_free(host, each):
            raise SettingsError("port_in_use", host=host, port=each)


def _prepare_database(options: settings.Settings) -> None:
    db = database.connect(options)
    migrate.upgrade(db)
    auth.require_safe(options, db)
    db.close()


def _announcer(options: settings.Settings, flower_port: int | None) -> Callable[[], None]:
    """Says once that the service can be used, and where."""
    host = f"[{options.server.host}]" if ":" in options.server.host else options.server.host
    url = f"http://{host}:{options.server.port}"
    client = httpx.Client(base_url=url, timeout=2.0, trust_env=False)  # once: it is costly
    said: list[bool] = []
    asked_at = [0.0]

    def look() -> None:
        if said or time.monotonic() - asked_at[0] < 0.5:
            return
        asked_at[0] = time.monotonic()
        if _is_healthy(client):
            said.append(True)
            click.echo(say("up.ready", url=url), err=True)
            if flower_port is not None:
                flower = f"http://{host}:{flower_port}"
                click.echo(say("up.flower", url=flower), err=True)

    return look


def _is_healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.HTTPError:
        return False
