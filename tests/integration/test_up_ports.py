"""What `autoglm up` does about ports and files of one before it that was killed."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import settings
from app.cli import up
from app.errors import PortTaken, SettingsError

pytestmark = pytest.mark.integration
HOST = "127.0.0.1"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        yield other


@pytest.fixture
def options(listener: socket.socket, tmp_path: Path) -> settings.Settings:
    server = settings.Server(host=HOST, port=listener.getsockname()[1])
    return settings.Settings(server=server, data_dir=tmp_path)


def require(options: settings.Settings, seconds: float) -> None:
    up._require_ports(options, None, seconds)


def test_a_port_of_a_stranger_is_refused_at_once(options: settings.Settings):
    with pytest.raises(SettingsError, match="port_in_use"):
        require(options, 0.0)


def test_a_port_that_stays_taken_after_a_kill_is_no_fault_of_the_configuration(
    options: settings.Settings,
):
    with pytest.raises(PortTaken, match="port_still_taken"):
        require(options, 0.1)


def test_a_port_is_waited_for_after_a_kill(
    options: settings.Settings, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    told: list[str] = []

    def release(key: str, **_values: Any) -> None:
        told.append(key)
        listener.close()

    monkeypatch.setattr(up, "_tell", release)

    require(options, 60.0)

    assert told == ["up.waiting"]


def test_only_a_killed_one_leaves_its_id(tmp_path: Path):
    with up._holding(tmp_path) as first:
        assert (tmp_path / "up.lock").read_text() == str(os.getpid())
    with pytest.raises(SettingsError), up._holding(tmp_path) as second:
        raise SettingsError("ports_equal")
    (tmp_path / "up.lock").write_text("12345")  # SIGKILL
    with pytest.raises(PortTaken), up._holding(tmp_path) as third:
        raise PortTaken("port_still_taken")
    with up._holding(tmp_path) as fourth:
        pass
    with up._holding(tmp_path) as fifth:
        pass

    assert (first, second, third, fourth, fifth) == (False, False, True, True, False)
