"""Real programs over the deployment files: the checkers, the probes, the first steps."""

import json
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app import settings
from app.models import keys
from app.models.database import Database
from tests.unit.test_deploy import DOCKERFILES, ROOT, SERVICES, arguments

BIN = Path(sys.executable).parent


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    found = settings.child_environ(**environ, PATH=f"{BIN}:/usr/bin:/bin")
    return subprocess.run(
        command, cwd=ROOT, env=found, capture_output=True, text=True, timeout=400, check=False
    )


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    return run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(path))


def test_the_compose_file_follows_the_compose_specification() -> None:
    checked = validate(ROOT / "docker-compose.yml")

    assert checked.returncode == 0, checked.stdout


def test_the_specification_finds_a_misspelled_key(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    text = (ROOT / "docker-compose.yml").read_text()
    broken.write_text(text.replace("stop_grace_period", "stop_grace_time"))

    checked = validate(broken)

    assert checked.returncode == 1
    assert "stop_grace_time" in checked.stdout


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_dockerfile_breaks_no_rule_of_hadolint(name: str) -> None:
    checked = run("hadolint", "--no-color", f"deploy/{name}")

    assert (checked.returncode, checked.stdout) == (0, "")
    assert "hadolint ignore" not in (ROOT / "deploy" / name).read_text()


def test_hadolint_finds_a_broken_rule(tmp_path: Path) -> None:
    broken = tmp_path / "Dockerfile"
    text = (ROOT / "deploy/Dockerfile.api").read_text()
    broken.write_text(text.replace("FROM python:3.12-slim", "FROM python"))

    checked = run("hadolint", "--no-color", str(broken))

    assert checked.returncode == 1
    assert "DL3006" in checked.stdout


class Answer(BaseHTTPRequestHandler):
    """Healthy on /health/live, like an API without workers."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health/live" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def probe(command: list[str], old: int, port: int) -> int:
    return run(*(part.replace(f":{old}/", f":{port}/") for part in command)).returncode


def test_the_images_probe_asks_whether_the_process_lives(port: int) -> None:
    (text,) = arguments("Dockerfile.api", "HEALTHCHECK")
    command = json.loads(text.partition("CMD ")[2])

    assert probe(command, 8080, port) == 0
    assert probe(command, 8080, 1) == 1


def test_the_services_probe_asks_whether_jobs_can_be_served(port: int) -> None:
    command = SERVICES["open-autoglm"]["healthcheck"]["test"][1:]
    could_live = [part.replace("/health'", "/health/live'") for part in command]

    assert probe(command, 8080, port) == 1
    assert probe(could_live, 8080, port) == 0


def make_key(folder: Path) -> subprocess.CompletedProcess[str]:
    """The compose file's own step, with another folder for /data."""
    *shell, script = SERVICES["first-key"]["command"]
    script = script.replace("$$", "$").replace("/data/", f"{folder}/")
    return run(*shell, script, AUTOGLM_DATA_DIR=str(folder))


def test_the_first_key_is_made_once_and_never_printed(tmp_path: Path) -> None:
    before = make_key(tmp_path)
    migrated = run(*SERVICES["migrate"]["command"], AUTOGLM_DATA_DIR=str(tmp_path))
    first = make_key(tmp_path)
    file = tmp_path / "first.key"
    secret = file.read_text().strip()
    again = make_key(tmp_path)

    db = Database(f"sqlite:///{tmp_path / 'autoglm.db'}")
    found = keys.find(db, secret)
    known = keys.list_all(db)
    db.close()

    assert before.returncode != 0
    assert (migrated.returncode, first.returncode, again.returncode) == (0, 0, 0)
    assert found is not None
    assert len(known) == 1
    assert file.read_text().strip() == secret
    assert file.stat().st_mode & 0o777 == 0o600
    assert secret not in first.stdout + first.stderr


def test_the_api_of_the_compose_file_refuses_to_start_without_a_key(tmp_path: Path) -> None:
    environ = SERVICES["open-autoglm"]["environment"] | {"AUTOGLM_DATA_DIR": str(tmp_path)}
    run(*SERVICES["migrate"]["command"], AUTOGLM_DATA_DIR=str(tmp_path))

    ended = run(*SERVICES["open-autoglm"]["command"], **environ)

    assert ended.returncode == 2
    assert "autoglm keys create" in ended.stderr


def test_an_image_gets_every_file_of_the_program(tmp_path: Path) -> None:
    """The images install a wheel: messages, migrations and the shipped model must be in it."""
    source = tmp_path / "source"
    for name in ("pyproject.toml", "README.md", "app"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
    flags = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path))

    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", *flags, str(source))

    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in (ROOT / "app").rglob("*") if path.is_file()]
    wanted = {str(p.relative_to(ROOT)) for p in files if p.suffix != ".pyc"}
    assert wanted
    assert wanted - packed == set()
