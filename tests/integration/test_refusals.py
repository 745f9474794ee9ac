"""What an operator sees of a command whose surroundings are wrong: one line and a status."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app import settings
from app.models.database import Database
from app.stack import ports
from tests.conftest import copy_file
from tests.faults import disks
from tests.postgres import running_postgres

pytestmark = pytest.mark.integration
Run = Callable[..., tuple[int, str]]
STARTS = (("db", "upgrade"), ("control",), ("api",), ("worker", "--device", "cpu:0"), ("up",))
REFUSED, FAILED = 2, 1


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command on a data directory that the test makes; its status and what it says."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"models": {"fake": {"backend": "fake"}}, "devices": ["cpu"]}))

    def launch(*command: str, **environ: str) -> tuple[int, str]:
        given = {"AUTOGLM_DATA_DIR": str(tmp_path / "data"), "AUTOGLM_CONFIG": str(config)}
        given |= {"AUTOGLM_REDIS__URL": "redis://127.0.0.1:9/0", "LC_ALL": "en_US.UTF-8"}
        port = str(ports.find_free())
        listening = {"up": ("--no-flower", "--port", port), "api": ("--port", port)}
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *command, *listening.get(command[0], ())],
            env=settings.child_environ(**given | environ),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert "Traceback" not in done.stderr
        told = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        assert done.returncode == 0 or len(told) == 1
        return done.returncode, "".join(told)

    return launch


@pytest.mark.parametrize("command", STARTS, ids=" ".join)
def test_a_file_that_is_no_database_is_named(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "data").mkdir()
    broken = tmp_path / "data" / "autoglm.db"
    broken.write_bytes(b"\xf3\x01\x7f" * 5000)

    status, told = run(*command)

    assert status == FAILED
    assert f"{broken} cannot be used" in told
    assert "autoglm db restore" in told
    assert broken.read_bytes() == b"\xf3\x01\x7f" * 5000


@pytest.mark.parametrize("command", STARTS[1::2] + STARTS[4:], ids=" ".join)
def test_a_data_directory_that_may_not_be_written_to_is_named(
    run: Run, tmp_path: Path, migrated_file: Path, command: tuple[str, ...]
) -> None:
    folder = tmp_path / "data"
    with disks.small(folder, "8m") as is_small:
        if not is_small:
            pytest.skip("no disk can be mounted here")
        copy_file(migrated_file, folder)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)

        status, told = run(*command)

        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    assert status == REFUSED
    assert str(folder) in told
    assert "Read-only" in told


@pytest.mark.parametrize("command", STARTS[1:], ids=" ".join)
def test_files_that_cannot_be_made_are_named_though_the_database_is_elsewhere(
    run: Run, tmp_path: Path, migrated_file: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "data").write_bytes(b"a file, no folder")

    status, told = run(*command, AUTOGLM_DATABASE__URL=copy_file(migrated_file, tmp_path))

    assert status == REFUSED
    assert f"{tmp_path / 'data'}" in told


@pytest.mark.parametrize("command", [STARTS[0], STARTS[3], STARTS[4]], ids=" ".join)
def test_a_full_disk_is_named(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    folder = tmp_path / "data"
    with disks.small(folder, "1m") as is_small:
        if not is_small:
            pytest.skip("no disk can be mounted here")
        (folder / "ballast").write_bytes(b"x" * 1024 * 1024)

        status, told = run(*command)

    assert status == FAILED
    assert str(folder) in told
    assert "full" in told


@pytest.mark.parametrize("command", [STARTS[0], STARTS[4]], ids=" ".join)
def test_a_server_that_does_not_answer_is_named_without_its_password(
    run: Run, command: tuple[str, ...]
) -> None:
    nobody = f"postgresql://me:hidden@127.0.0.1:{ports.find_free()}/jobs"

    status, told = run(*command, AUTOGLM_DATABASE__URL=nobody)

    assert status == FAILED
    assert "AUTOGLM_DATABASE__URL" in told
    assert "refused" in told
    assert "hidden" not in told


@pytest.mark.parametrize("name", ["nowhere"])
def test_a_database_that_the_server_does_not_have_is_named(
    run: Run, postgres: running_postgres, name: str
) -> None:
    status, told = run("db", "upgrade", AUTOGLM_DATABASE__URL=postgres.url(name))

    assert status == FAILED
    assert f'database "{name}" does not exist' in told


def test_a_newer_schema_is_left_as_it_is(run: Run, tmp_path: Path, migrated_file: Path) -> None:
    url = copy_file(migrated_file, tmp_path)
    newer = Database(url)
    with newer.write() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    newer.close()

    assert run("db", "upgrade", AUTOGLM_DATABASE__URL=url)[0] == 0
    status, told = run("db", "downgrade", "0014", AUTOGLM_DATABASE__URL=url)

    assert status == REFUSED
    assert "9999" in told


def test_a_worker_without_its_gpu_ends_at_once(run: Run, tmp_path: Path) -> None:
    demo = tmp_path / "demo.json"
    demo.write_text("{}")

    status, told = run(
        "worker", "--device", "cuda:0", AUTOGLM_CONFIG=str(demo), CUDA_VISIBLE_DEVICES=""
    )

    assert status == REFUSED
    assert "There is no device cuda:0" in told
