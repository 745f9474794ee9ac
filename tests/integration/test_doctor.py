"""`autoglm doctor` says what a machine lacks; the programs that it asks are stand-ins on the PATH."""

import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app import cli, locales, settings
from app.inference import build
from app.models import database, migrate, workers
from app.stack import checkup
from app.stack.checkup import gpus, machine
from app.workers import slot
from tests.integration import makers

pytestmark = pytest.mark.integration
GPU = "NVIDIA H200, {driver}, 143771 MiB"


class Machine:
    """A machine whose programs and torch the test sets."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.data_dir = folder / "data"
        self._patch = monkeypatch
        monkeypatch.setenv("PATH", str(self.programs), prepend=":")
        self.install("docker", "exit 1")
        self.use_torch(None)

    def install(self, name: str, script: str) -> None:
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def use_torch(self, cuda: str | None) -> None:
        found = {"torch": "2.13.0", "cuda": cuda, "is_available": cuda is not None}
        self._patch.setattr(build, "describe", lambda: found)

    def add_gpu(self, driver: str, *pids: int) -> None:
        listed = "\n".join(map(str, pids))
        self.install(
            "nvidia-smi",
            f'case "$1" in *compute-apps*) echo "{listed}";; *) echo "{GPU.format(driver=driver)}";; esac',
        )

    def use_no_driver(self) -> None:
        """Only the stand-ins are found."""
        (self.programs / "nvidia-smi").unlink(missing_ok=True)
        self._patch.setenv("PATH", str(self.programs))

    def check(self, **options: Any) -> dict[str, str]:
        """The code of each subject's row."""
        loaded = settings.Settings(data_dir=self.data_dir, **options)
        return {row.subject: row.key for row in checkup.run(loaded)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("cuda", "driver", "code"),
    [
        ("11.8", "525.60.13", "gpu"),
        ("11.8", "525.59", "driver_old"),
        ("12.1", "535.86.10", "gpu"),
        ("12.1", "525.60.13", "driver_old"),
        ("12.5", "550.54.15", "gpu"),
        ("13.0", "580.65.06", "gpu"),
        ("13.0", "575.51", "driver_old"),
        ("12.8", "560.28.03", "driver_minor"),
        ("12.8", "520.61", "driver_old"),
        (None, "580.65.06", "gpu_unused"),
    ],
)
def test_the_driver_must_be_new_enough_for_what_torch_was_built_for(
    place: Machine, cuda: str | None, driver: str, code: str
):
    place.add_gpu(driver)
    place.use_torch(cuda)

    assert place.check()["gpu"] == code


def test_a_gpu_that_is_wanted_and_missing_fails_and_one_that_is_not_wanted_does_not(place: Machine):
    place.use_no_driver()

    assert place.check()["gpu"] == "gpu_none"
    assert place.check(devices=("cuda:0",))["gpu"] == "gpu_missing"


@pytest.mark.parametrize("script", ["exit 6", "printf '\\377'", "echo hello", "echo '²'"])
def test_a_driver_that_does_not_say_what_it_has_is_a_warning(place: Machine, script: str):
    place.install("nvidia-smi", script)

    assert place.check()["gpu"] == "gpu_silent"
    assert gpus.list_processes() == set()


def test_a_gpu_whose_name_holds_a_comma_is_one(place: Machine):
    place.install("nvidia-smi", "echo 'NVIDIA A, B, 580.65.06, 80 GiB'")
    place.use_torch("12.8")

    assert place.check()["gpu"] == "gpu"


def test_a_data_folder_that_cannot_be_is_a_failure(place: Machine):
    place.data_dir.write_text("a file")

    assert place.check()["disk"] == "disk_unusable"


@pytest.mark.parametrize(
    "url",
    ["redis://:p#w@127.0.0.1:1/0", "redis://:p#w/x@127.0.0.1:1/0", "redis://127.0.0.1:1/0?foo=1"],
)
def test_a_broken_url_is_told_without_its_password(place: Machine, url: str):
    options = settings.Settings(data_dir=place.data_dir, redis=settings.Redis(url=url))
    (row,) = (row for row in checkup.run(options) if row.subject == "redis")

    assert (row.state, row.key) == (checkup.FAILED, "fault")
    assert "p#w" not in locales.message("doctor.fault", "en-US", **row.values)


@pytest.mark.parametrize(
    ("script", "has_gpu", "code"),
    [
        ("exit 1", False, "docker_silent"),
        ("echo hello", False, "docker_silent"),
        ("echo null", True, "docker_silent"),
        ("""echo '{"runc": {}}'""", False, "docker"),
        ("""echo '{"runc": {}}'""", True, "docker_without_gpus"),
        ("""echo '{"runc": {}, "nvidia": {}}'""", True, "docker"),
    ],
)
def test_docker_needs_a_runtime_for_gpus(place: Machine, script: str, has_gpu: bool, code: str):
    place.install("docker", script)
    if has_gpu:
        place.add_gpu("580.65")

    assert place.check()["docker"] == code


def test_the_process_of_a_worker_is_looked_for_on_its_gpu(place: Machine):
    options = settings.Settings(data_dir=place.data_dir)
    db = database.connect(options)
    migrate.upgrade(db)
    holder = makers.add_worker(db, slot="host/cuda:0")
    workers.update(db, holder, pid=os.getpid(), machine=slot.machine())
    db.close()

    place.add_gpu("580.65", 1)
    assert place.check()["worker"] == "worker_off_gpu"

    place.add_gpu("580.65", 1, os.getpid())
    assert place.check()["worker"] == "worker_on_gpu"
    assert place.check()["database"] == "database"


def test_what_does_not_answer_or_is_taken_is_said(place: Machine):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        found = place.check(
            server=settings.Server(port=port), redis=settings.Redis(url="redis://127.0.0.1:1/0")
        )

    assert (found["port"], found["redis"]) == ("port_taken", "redis_unreachable")
    assert found["database"] == "database_none"


def test_redis_at_a_socket_is_asked_as_kombu_names_it(place: Machine, tmp_path: Path):
    url = f"redis+socket://{tmp_path}/none.sock?virtual_host=0"

    assert place.check(redis=settings.Redis(url=url))["redis"] == "redis_unreachable"


def test_weights_that_were_changed_fail_and_the_command_says_so(place: Machine, tmp_path: Path):
    (tmp_path / "model").mkdir()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"models: {{broken: {{path: {tmp_path / 'model'}}}}}\ndata_dir: {tmp_path}/d\n"
    )

    result = CliRunner().invoke(cli.main, ["doctor", "--json", "--config", str(config)])

    rows = {row["subject"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 1
    assert (rows["weights"]["state"], rows["config"]["code"]) == ("failed", "config")
    assert "broken" in rows["weights"]["message"]


def test_too_little_memory_or_room_is_a_warning(place: Machine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "LEAST_MEMORY_GIB", 10**6)
    monkeypatch.setattr(machine, "LEAST_DISK_GIB", 10**9)

    found = place.check()

    assert (found["memory"], found["disk"]) == ("memory_low", "disk_low")


def test_a_torch_that_cannot_be_loaded_fails(place: Machine, monkeypatch: pytest.MonkeyPatch):
    def fail() -> None:
        raise ImportError("libcudart.so.13")

    monkeypatch.setattr(build, "describe", fail)

    assert place.check()["torch"] == "torch_missing"


@pytest.mark.parametrize("locale", settings.LOCALES)
def test_every_row_has_a_text_with_all_its_values(locale: str, place: Machine):
    for row in checkup.run(settings.Settings(data_dir=place.data_dir)):
        text = locales.message(f"doctor.{row.key}", locale, **row.values)
        assert "{" not in text, text


def test_the_real_torch_is_described():
    found = build.describe()

    assert found["torch"].startswith("2.")
    assert gpus.find_driver(None) is None
    assert gpus.find_driver("10.2") is None
    assert gpus.find_driver("12.2") == "535.86"
