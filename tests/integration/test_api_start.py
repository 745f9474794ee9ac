"""The order in which an API process starts, told by how far it comes when a part is missing."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from app import settings
from app.api import wsgi
from app.errors import AutoglmError
from app.models import migrate
from app.models.database import Database

CONFIG, DATABASE, INTERFACES, HEALTH = "config", "database", "interfaces", "health"


@pytest.fixture
def options(database_url: str, redis_url: str, tmp_path: Path) -> settings.Settings:
    return settings.Settings(
        database=settings.Database(url=database_url),
        redis=settings.Redis(url=redis_url),
        models=(settings.Model("small", backend="fake"),),
        data_dir=tmp_path,
    )


def read_steps(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["step"] for record in caplog.records if "step" in record.__dict__]


@pytest.fixture(autouse=True)
def _listen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="app.api.wsgi")


def test_a_whole_configuration_starts_every_part_in_order(
    options: settings.Settings, caplog: pytest.LogCaptureFixture
) -> None:
    app = wsgi.start(options)

    answer = app.test_client().get("/health/ready")
    wsgi.stop(app)

    assert read_steps(caplog) == [CONFIG, DATABASE, INTERFACES, HEALTH]
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changes", "code", "reached"),
    [
        ({"server": settings.Server(host="0.0.0.0")}, "keys_required", [CONFIG]),
        ({"redis": settings.Redis()}, "redis_url_required", [CONFIG, DATABASE]),
    ],
)
def test_a_missing_part_ends_the_start_where_its_turn_comes(
    options: settings.Settings,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, object],
    code: str,
    reached: list[str],
) -> None:
    with pytest.raises(AutoglmError) as caught:
        wsgi.start(replace(options, **changes))  # type: ignore[arg-type]

    assert caught.value.code == code
    assert read_steps(caplog) == reached


def test_a_database_of_another_version_is_refused_first(
    options: settings.Settings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    migrate.downgrade(database, "base")

    with pytest.raises(AutoglmError, match="database_not_migrated"):
        wsgi.start(replace(options, redis=settings.Redis()))

    assert read_steps(caplog) == [CONFIG]


def test_the_entry_point_of_foreign_servers_reads_the_environment(
    options: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.environment(options).items():
        monkeypatch.setenv(name, value)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    app = wsgi.create()

    root.handlers[:] = handlers
    root.setLevel(level)
    wsgi.stop(app)
    assert app.test_client().get("/v1/models").get_json()["data"][0]["id"] == "small"
