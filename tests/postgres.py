"""A real PostgreSQL of the tests' own, run as an ordinary user on a free loopback port."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import settings
from app.stack import ports

_USER = "postgres"
_PLACES = "/usr/lib/postgresql"


class running_postgres:  # noqa: N801  a context manager, used like a function
    """A server with an empty database; `url(name)` is the URL of a database of it."""

    def __init__(
        self, *options: str, host: str = "127.0.0.1", prefix: Sequence[str] = (), net: str = ""
    ) -> None:
        self._options = options  # of the server: "fsync=off"
        self._host, self._prefix, self._net = host, prefix, net  # `net` may connect, too

    def __enter__(self) -> "running_postgres":
        self._programs = find_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="autoglm-postgres-"))
        if os.geteuid() == 0:
            shutil.chown(self._folder, _USER)
        self.data = self._folder / "data"
        self.port = ports.find_free()
        self._call("initdb", "--auth=trust", "--encoding=UTF8", "--no-sync", "--username=autoglm")
        if self._net:
            with (self.data / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {self._net} trust\n")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The postmaster's."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def url(self, name: str = "postgres") -> str:
        return f"postgresql+psycopg://autoglm@{self._host}:{self.port}/{name}"

    def start(self) -> None:
        given = {"listen_addresses": self._host, "port": str(self.port), "max_connections": "200"}
        given |= {"unix_socket_directories": ""} | dict(o.split("=", 1) for o in self._options)
        options = " ".join(f"-c {name}='{value}'" for name, value in given.items())
        log = str(self._folder / "server.log")
        self._call("pg_ctl", "start", "--wait", "--silent", f"--log={log}", f"--options={options}")

    def stop(self, mode: str = "fast") -> None:
        self._call("pg_ctl", "stop", "--silent", f"--mode={mode}")

    def restart(self, mode: str = "immediate") -> None:
        self.stop(mode)
        self.start()

    def create(self, name: str, template: str = "template0") -> str:
        """A database of this name; its URL."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def execute(self, statement: str) -> None:
        """Runs one statement outside of a transaction."""
        engine = sa.create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of PostgreSQL's own client programs to its end."""
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{program}: {done.stderr}"

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), f"--pgdata={self.data}", *arguments]
        done = subprocess.run(
            [*self._prefix, *become_ordinary(), *command],
            cwd=self._folder,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}"


def become_ordinary() -> Sequence[str]:
    """What to put before a command: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]


def find_programs() -> Path:
    """Where initdb and pg_ctl are; without them the test is skipped here, and fails where
    STRICT_TESTS says that nothing may be missing."""
    found = sorted(Path(_PLACES).glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    known = shutil.which("initdb")
    places = [Path(known).resolve().parent] if known else [path.parent for path in found[-1:]]
    if places and (os.geteuid() != 0 or _can_switch()):
        return places[0]
    if settings.variable("STRICT_TESTS"):
        pytest.fail("no PostgreSQL server")
    pytest.skip("no PostgreSQL server")


def _can_switch() -> bool:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return _USER in names and shutil.which("setpriv") is not None
