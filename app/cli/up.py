"""`autoglm up`: the whole service on this machine, until Ctrl-C."""

import contextlib
import dataclasses
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import click

from app import log, queue, settings
from app.api import auth
from app.cli import flower as dashboard
from app.cli import say
from app.cli.announcer import Announcer
from app.errors import PortTaken, SettingsError
from app.models import database, disks, migrate
from app.models.database import Database
from app.stack import broker, plan, ports
from app.stack.supervisor import Supervisor
from app.weights import stamps

_ORPHAN_SECONDS = 30.0  # the API of a killed service ends requests in flight for 20 s

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
    queue.check_url(options.redis.url or "")
    stamps.require_key(options.manifests.private_key_file)
    with _holding(options.data_dir) as was_killed:
        db = _prepare_database(options)
        _require_ports(options, flower_port, _ORPHAN_SECONDS if was_killed else 0.0)
        _supervise(options, num_workers, flower_port)
        db.close()
    _tell("up.stopped")


def _supervise(
    options: settings.Settings, num_workers: int | None, flower_port: int | None
) -> None:
    place = broker.plan(options)
    options = dataclasses.replace(options, redis=settings.Redis(url=place.url))
    processes = plan.make(options, place, num_workers=num_workers, flower_port=flower_port)
    Supervisor(processes, options.data_dir).run(_announce(options, flower_port))


@contextlib.contextmanager
def _holding(data_dir: Path) -> Iterator[bool]:
    """Holds the data directory, and says whether the one before was killed: then its id stands in
    the file. It stays there, too, while what that one left is in the way."""
    with disks.writable(data_dir):
        disks.make_folder(data_dir)
        (data_dir / "up.lock").touch(mode=0o600)
        file = (data_dir / "up.lock").open("a+")
        was_killed = _hold(file, data_dir)
    with file:
        try:
            yield was_killed
        except PortTaken:
            raise
        except BaseException:
            _forget(file)
            raise
        _forget(file)


def _forget(file: IO[str]) -> None:
    with contextlib.suppress(OSError):
        file.truncate(0)


def _hold(file: IO[str], data_dir: Path) -> bool:
    """Whether an earlier one left its id."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip()
        raise SettingsError("data_dir_in_use", path=str(data_dir), pid=owner) from error
    file.seek(0)
    left = file.read().strip()
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return bool(left)


def _require_ports(options: settings.Settings, flower_port: int | None, seconds: float) -> None:
    """Those of a service that was killed are free once its API has ended: `seconds` for that."""
    host, port = options.server.host, options.server.port
    if flower_port is not None:
        dashboard.require_auth(host)
    if port == flower_port:
        raise SettingsError("ports_equal", param="--flower-port", port=port)
    for each in (port, flower_port):
        if each is not None and not ports.is_free(host, each):
            _wait_port(host, each, seconds)


def _wait_port(host: str, port: int, seconds: float) -> None:
    if not seconds:
        raise SettingsError("port_in_use", host=host, port=port)
    _tell("up.waiting", port=port, seconds=f"{seconds:.0f}")
    if not ports.wait_free(host, port, seconds):
        raise PortTaken("port_still_taken", host=host, port=port, seconds=f"{seconds:.0f}")


def _prepare_database(options: settings.Settings) -> Database:
    """Stays among the users of the database, though a supervisor asks it nothing."""
    db = database.connect(options)
    migrate.upgrade(db)
    auth.require_safe(options, db)
    db.disconnect()
    return db


def _announce(options: settings.Settings, flower_port: int | None) -> Callable[[], None]:
    """Says once that the service can be used, and where; or why not yet."""
    host = f"[{options.server.host}]" if ":" in options.server.host else options.server.host
    url = f"http://{host}:{options.server.port}"

    def tell_ready() -> None:
        _tell("up.ready", url=url)
        if flower_port is not None:
            _tell("up.flower", url=f"http://{host}:{flower_port}")

    return Announcer(url, _tell, on_ready=tell_ready).look


def _tell(key: str, **values: Any) -> None:
    """Nobody hears it where the terminal is closed or the disk of standard error full; the service
    goes on, or ends in order, nevertheless."""
    with contextlib.suppress(OSError):
        click.echo(say(key, **values), err=True)
