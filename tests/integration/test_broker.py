"""The Redis of `autoglm up`: where it listens, what it keeps, what it says when there is none."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from celery import Celery

from app import queue, settings
from app.errors import SettingsError
from app.stack import broker, plan
from app.stack.supervisor import Supervised
from tests.conftest import find_redis
from tests.integration.workplace import fake_model, wait_for

pytestmark = pytest.mark.integration


@contextmanager
def served(place: broker.Broker) -> Iterator[subprocess.Popen[bytes]]:
    assert place.command is not None
    server = subprocess.Popen(place.command, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(place.url), "redis")
        yield server
    finally:
        server.kill()
        server.wait()


def _answers(url: str) -> bool:
    app = queue.make_app(url)
    try:
        return queue.count_waiting(app, "x") >= 0
    except queue.BROKER_ERRORS:
        return False
    finally:
        app.close()


@pytest.fixture
def options(tmp_path: Path) -> settings.Settings:
    find_redis()
    return settings.Settings(models=(fake_model(),), data_dir=tmp_path / "data", devices=("cpu",))


def test_a_configured_redis_is_used_and_none_is_started(tmp_path: Path):
    url = "redis://elsewhere:6379/2"
    options = settings.Settings(redis=settings.Redis(url), data_dir=tmp_path / "data")

    assert broker.plan(options) == broker.Broker(url)
    assert not (tmp_path / "data").exists()


def test_the_embedded_redis_keeps_its_hints_over_a_kill(options: settings.Settings):
    place = broker.plan(options)
    app = queue.make_app(place.url)
    with served(place) as server:
        queue.publish(app, queue.SHIFT_TASK, "model.m", {"model": "m", "job_ids": []})
        logs = options.data_dir / "redis"  # Redis 7 keeps them in a folder of their own
        wait_for(
            lambda: any(
                b"LPUSH" in part.read_bytes().upper()  # the hint itself; its queue is named before
                for part in logs.rglob("*.aof*")
                if part.is_file()
            ),
            "the log",
        )
        server.kill()
        server.wait()

    again = broker.plan(options)
    with served(again):
        assert queue.count_waiting(app, "model.m") == 1
    app.close()


@pytest.mark.parametrize("where", ["tail", "head", "preamble"])
def test_a_file_that_redis_cannot_read_is_kept_aside_and_it_begins_without(
    options: settings.Settings, caplog: pytest.LogCaptureFixture, where: str
):
    place = broker.plan(options)
    app = queue.make_app(place.url)
    with served(place):
        _publish(app)
        if where == "preamble":
            _rewrite(place)
    assert place.folder
    file = _find_log(place.folder, where)
    damaged = _damage(file, where)
    server = Supervised(
        plan.make(options, place, num_workers=1, flower_port=None)[0], options.data_dir
    )
    server.start()
    try:

        def is_back() -> bool:
            server.watch(time.monotonic())
            return _answers(place.url)

        wait_for(is_back, "Redis to be back")

        (kept,) = place.folder.glob("*.damaged-*")
        assert damaged in [part.read_bytes() for part in (kept, *kept.rglob("*")) if part.is_file()]
        (line,) = [each for each in caplog.records if "could not read" in each.message]
        assert str(kept) in line.message
        assert queue.count_waiting(app, "model.m") == 0
        _publish(app)
        assert queue.count_waiting(app, "model.m") == 1
    finally:
        server.ask_to_stop()
        server.stop(time.monotonic() + 60)
        app.close()


@pytest.mark.parametrize(
    "told",
    [
        "Can't open the append-only file: Permission denied",
        "Can't open or create append-only dir appendonlydir: No space left on device",
        "Loading RDB produced by version 7.0.15",
    ],
)
def test_a_file_that_redis_can_read_stays(tmp_path: Path, told: str):
    file = tmp_path / "appendonly.aof"
    file.write_bytes(b"hints")

    broker.mend(broker.Broker("redis://", (), tmp_path), told)

    assert [path.name for path in tmp_path.iterdir()] == ["appendonly.aof"]


def _publish(app: Celery) -> None:
    queue.publish(app, queue.SHIFT_TASK, "model.m", {"model": "m", "job_ids": []})


def _rewrite(place: broker.Broker) -> None:
    """Puts what Redis holds as an RDB at the beginning of its file."""
    folder = place.folder
    assert folder
    client = redis.Redis(unix_socket_path=str(folder / "redis.sock"))
    client.bgrewriteaof()
    wait_for(
        lambda: any(
            part.read_bytes().startswith(b"REDIS")
            for part in folder.rglob("appendonly*")
            if part.is_file()
        ),
        "the rewritten file",
    )
    client.close()


def _find_log(folder: Path, where: str) -> Path:
    """The file that holds commands, or the one that begins with an RDB: Redis 7 has one of each."""
    parts = [path for path in folder.rglob("appendonly*") if path.is_file()]
    if where == "preamble":
        return next(path for path in parts if path.read_bytes().startswith(b"REDIS"))
    return next(path for path in parts if path.suffix == ".aof")


def _damage(file: Path, where: str) -> bytes:
    """Returns what the file is then."""
    content = file.read_bytes()
    zeros = b"\0" * 300
    halfway = len(content) // 4
    changed = {
        "tail": content + zeros,
        "head": zeros + content,
        "preamble": content[:halfway] + b"\xff" * 20 + content[halfway + 20 :],
    }[where]
    file.write_bytes(changed)
    return changed


@pytest.mark.parametrize(
    "told",
    [
        "Could not create server TCP listening socket 127.0.0.1:1: bind: Address already in use",
        "Reading AOF\n* Ready to accept connections\nAOF rewrite: No space left on device",
    ],
)
def test_an_end_for_another_reason_leaves_the_files_where_they_are(
    options: settings.Settings, told: str
):
    place = broker.plan(options)
    assert place.folder
    (place.folder / "appendonly.aof").write_bytes(b"hints")

    broker.mend(place, told)

    assert (place.folder / "appendonly.aof").read_bytes() == b"hints"


def test_the_embedded_redis_listens_on_no_port_and_its_folder_is_private(
    options: settings.Settings,
):
    place = broker.plan(options)

    assert place.command
    assert place.command[place.command.index("--port") + 1] == "0"
    assert (options.data_dir / "redis").stat().st_mode & 0o077 == 0
    with served(place):
        assert (options.data_dir / "redis" / "redis.sock").stat().st_mode & 0o077 == 0


def test_a_path_too_long_for_a_socket_falls_back_to_a_port_with_a_password(tmp_path: Path):
    find_redis()
    options = settings.Settings(data_dir=tmp_path / ("long" * 30))
    place = broker.plan(options)

    assert place.command
    parts = redis.ConnectionPool.from_url(place.url).connection_kwargs
    assert parts["host"] == "127.0.0.1"
    assert parts["password"] not in " ".join(place.command)
    config = options.data_dir / "redis" / "redis.conf"
    assert config.stat().st_mode & 0o077 == 0
    with served(place):
        stranger = redis.Redis(port=parts["port"])
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()


def test_without_any_program_the_error_tells_how_to_install_one(
    options: settings.Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(SettingsError) as caught:
        broker.plan(options)

    assert caught.value.code == "redis_not_found"


def test_a_redis_server_on_the_path_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert broker.find_program() == str(program)
