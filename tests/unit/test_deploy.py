"""docker-compose.yml and the Dockerfiles agree with the program they run and with each other."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from app import cli, errors, settings
from app.api import auth, problems, server
from app.workers import child, control, shift, watch

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROGRAMS = {n: s for n, s in SERVICES.items() if s["command"][0] == "autoglm"}
LASTING = ("open-autoglm", "worker", "control", "flower", "redis")
ONE_SHOT = ("migrate", "first-key")
DOCKERFILES = ("Dockerfile.api", "Dockerfile.worker")
CONFIGS = ("config.yaml", "deploy/config.image.yaml")
REQUIRED = {"FLOWER_BASIC_AUTH"}


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments, comments dropped, lines joined."""
    lines = (ROOT / "deploy" / name).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    split = (line.strip().partition(" ") for line in text.splitlines() if line.strip())
    return [(word, rest.strip()) for word, _, rest in split]


def arguments(name: str, word: str) -> list[str]:
    return [rest for found, rest in instructions(name) if found == word]


def environment(service: str) -> dict[str, str]:
    """The environment of a service where the user has set nothing but what is required."""
    found = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for name, value in found.items()}


def settings_of(service: str, config: str = "config.yaml") -> settings.Settings:
    own = {k: v for k, v in environment(service).items() if k.startswith("AUTOGLM_")}
    return settings.load(ROOT / config, environ=own)


def seconds(duration: str) -> float:
    assert re.fullmatch(r"\d+s", duration)
    return float(duration[:-1])


def parse(command: list[str]) -> None:
    """Parses an `autoglm` command line as the program would, without running it."""
    found: click.Command = cli.main
    name, *rest = command
    while isinstance(found, click.Group):
        name, found, rest = found.resolve_command(click.Context(found), rest)  # type: ignore[assignment]
    found.make_context(name, rest)


def test_the_names_of_the_source_system_are_kept() -> None:
    api = SERVICES["open-autoglm"]

    assert api["image"] == "openglm/autoglm:latest"
    assert api["ports"] == ["8080:8080"]
    assert {"./config.yaml:/app/config.yaml", "/models:/models"} <= set(api["volumes"])
    assert "NVIDIA_VISIBLE_DEVICES" in SERVICES["worker"]["environment"]


def test_the_gpu_is_reserved_by_device_and_not_by_runtime() -> None:
    (device,) = SERVICES["worker"]["deploy"]["resources"]["reservations"]["devices"]

    assert device["driver"] == "nvidia"
    assert device["capabilities"] == ["gpu"]
    assert device["device_ids"] == [SERVICES["worker"]["environment"]["NVIDIA_VISIBLE_DEVICES"]]
    assert not any("runtime" in service for service in SERVICES.values())
    assert "version" not in COMPOSE


def test_only_the_worker_gets_a_gpu_and_torch() -> None:
    assert [name for name, each in SERVICES.items() if "deploy" in each] == ["worker"]
    assert "torch" not in " ".join(rest for _, rest in instructions("Dockerfile.api"))
    assert "requirements-torch.txt" in " ".join(arguments("Dockerfile.worker", "RUN"))


def test_every_service_is_known_to_this_test() -> None:
    assert set(SERVICES) == {*LASTING, *ONE_SHOT}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_cannot_do_more_than_it_needs(service: str) -> None:
    found = SERVICES[service]

    assert found["read_only"] is True
    assert found["tmpfs"] == ["/tmp"]
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in found
    assert "cap_add" not in found


@pytest.mark.parametrize("service", LASTING)
def test_a_service_that_dies_is_started_again(service: str) -> None:
    assert SERVICES[service]["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", ONE_SHOT)
def test_a_step_that_ends_is_not_started_again(service: str) -> None:
    assert SERVICES[service]["restart"] == "no"


@pytest.mark.parametrize("service", sorted(set(LASTING) - {"redis"}))
def test_programs_start_after_the_migration_and_with_redis(service: str) -> None:
    needed = SERVICES[service]["depends_on"]
    first = "first-key" if service == "open-autoglm" else "migrate"

    assert needed[first]["condition"] == "service_completed_successfully"
    assert needed["redis"]["condition"] == "service_healthy"
    assert "migrate" in SERVICES["first-key"]["depends_on"]


@pytest.mark.parametrize("service", PROGRAMS)
def test_the_program_takes_the_command_of_a_service(service: str) -> None:
    parse(SERVICES[service]["command"])


@pytest.mark.parametrize("command", [["autoglm", "nonsense"], ["autoglm", "api", "--nonsense"]])
def test_a_command_the_program_lacks_would_be_found(command: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parse(command)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_program_takes_the_command_of_an_image(name: str) -> None:
    (command,) = arguments(name, "CMD")

    assert command.startswith("[")
    parse(yaml.safe_load(command))


def test_the_first_key_is_made_by_commands_the_program_has() -> None:
    script = SERVICES["first-key"]["command"][-1]

    used = re.findall(r"autoglm ((?:\w+ ?)+)", script)

    assert used
    for each in used:
        parse(["autoglm", *each.split()])


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("service", [name for name in SERVICES if name != "redis"])
def test_the_program_accepts_the_environment_of_a_service(service: str, config: str) -> None:
    found = settings_of(service, config)

    assert str(found.data_dir) == "/data"
    assert found.redis.url == "redis://redis:6379/0"


@pytest.mark.parametrize("config", CONFIGS)
def test_the_published_port_is_the_one_the_api_listens_on(config: str) -> None:
    found = settings_of("open-autoglm", config).server

    assert not auth.is_loopback(found.host)
    assert SERVICES["open-autoglm"]["ports"][0].endswith(f":{found.port}")
    assert f":{found.port}/health'" in SERVICES["open-autoglm"]["healthcheck"]["test"][-1]
    assert arguments("Dockerfile.api", "EXPOSE") == [str(found.port)]


def test_a_user_who_chose_another_port_still_gets_the_published_one(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("model_path: /models/glm-large\nlisten_port: 9000\nlog_level: INFO\n")

    found = settings_of("open-autoglm", str(config))

    assert found.server.port == 8080


def test_the_image_serves_the_model_of_the_source_system() -> None:
    key = "AUTOGLM_MODELS__GLM_LARGE__VERIFY__PUBLIC_KEYS"

    (model,) = settings.load(ROOT / "deploy/config.image.yaml", environ={key: "abc="}).models

    assert (model.name, model.path) == ("glm-large", "/models/glm-large")
    assert model.verify.public_keys == ("abc=",)


def test_the_worker_keeps_its_slot_over_restarts() -> None:
    worker = SERVICES["worker"]

    assert worker["hostname"] == settings_of("worker").worker.host != ""


def test_each_grace_period_is_longer_than_the_longest_stop() -> None:
    given = {name: seconds(SERVICES[name]["stop_grace_period"]) for name in LASTING[:3]}
    found = settings_of("worker")
    cut = found.worker.step_timeout_seconds + watch.GRACE_SECONDS
    delivery = 3 * found.webhooks.timeout_seconds  # name, connection, answer

    assert given["worker"] >= cut + shift._FLUSH_SECONDS + child._EXIT_AFTER_SECONDS + 10
    assert given["open-autoglm"] >= server.GRACE_SECONDS + 10
    assert given["control"] >= max(control._STOP_SECONDS, delivery) + 10


def test_redis_keeps_what_it_has_and_is_not_published() -> None:
    found = SERVICES["redis"]
    options = dict(zip(found["command"][1::2], found["command"][2::2], strict=True))

    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert "redis:/data" in found["volumes"]
    assert "ports" not in found
    assert found["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_flower_is_published_on_this_machine_only() -> None:
    (port,) = SERVICES["flower"]["ports"]

    assert port.startswith("127.0.0.1:")


def test_secrets_come_from_the_users_environment_alone() -> None:
    required = set(re.findall(r"\$\{(\w+):\?", TEXT))
    names = {n for service in SERVICES.values() for n in service.get("environment", {})}
    secret = {name for name in names if re.search(r"KEY|AUTH|SECRET|TOKEN|PASSWORD", name)}

    assert required == secret == REQUIRED


def test_every_program_shares_one_data_volume() -> None:
    for name in set(SERVICES) - {"redis"}:
        assert "data:/data" in SERVICES[name]["volumes"]
    assert set(COMPOSE["volumes"]) == {"data", "redis"}


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_runs_as_an_ordinary_user(name: str) -> None:
    words = [word for word, _ in instructions(name)]

    assert arguments(name, "USER") == ["10001:10001"]
    assert words.index("USER") > max(i for i, word in enumerate(words) if word == "RUN")
    assert arguments(name, "VOLUME") == ["/data"]
    assert "--owner=10001" in " ".join(arguments(name, "RUN"))


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_is_small_and_says_what_it_is(name: str) -> None:
    (labels,) = arguments(name, "LABEL")
    pips = re.findall(r"pip --python[^&]*", " ".join(arguments(name, "RUN")))

    assert [rest.split()[0] for rest in arguments(name, "FROM")] == ["python:3.12-slim"] * 2
    assert len(re.findall(r"org\.opencontainers\.image\.\w+", labels)) >= 5
    assert pips
    assert all("--no-cache-dir" in each for each in pips)
    assert "--require-hashes" in pips[0]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_builds_context_holds_what_an_image_copies(name: str) -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    copies = [rest.split()[:-1] for rest in arguments(name, "COPY") if "--from" not in rest]
    copied = {source for sources in copies for source in sources}

    assert "*" in lines
    assert copied <= kept
    assert not [source for source in copied if not (ROOT / source).exists()]


def test_a_service_is_built_from_the_file_its_image_is_named_after() -> None:
    for name in set(SERVICES) - {"redis"}:
        found = SERVICES[name]
        kind = "worker" if found["image"] == "openglm/autoglm-worker:latest" else "api"
        assert found["build"] == {"context": ".", "dockerfile": f"deploy/Dockerfile.{kind}"}


def operations(title: str) -> str:
    """One chapter of the operator's page."""
    text = (ROOT / "docs/operations.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_status_table_names_every_status_that_is_sent() -> None:
    known = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    raised = {kind.status for kind in known if issubclass(kind, errors.AutoglmError)}

    shown = {int(row) for row in re.findall(r"(?m)^\| (\d{3}) \|", operations("HTTP status codes"))}

    assert {200, 201, 202, *raised, *problems._CODES} == shown


def test_the_page_tells_every_command_to_run_and_in_compose_too() -> None:
    page = operations("One process at a time") + operations("Docker Compose")
    rows = [" ".join(service["command"][:2]) for service in PROGRAMS.values()]

    assert {f"autoglm {name}" for name in re.findall(r"`autoglm (\w+)", page)} >= set(rows)
    for name in SERVICES:
        assert f"`{name}`" in page


def test_the_start_up_steps_on_the_page_are_those_of_the_program() -> None:
    source = (ROOT / "app/api/wsgi.py").read_text()
    steps = re.findall(r'_note\("(\w+)"\)', source)

    assert re.findall(r"(?m)^\| `(\w+)` \|", operations("Start of an API process")) == steps


def test_the_grace_periods_on_the_page_are_those_of_the_compose_file() -> None:
    rows = dict(re.findall(r"(?m)^\| (\w+) \|.*?\|(.*?)\|", operations("Stopping")))

    assert SERVICES["worker"]["stop_grace_period"] == "330s"
    assert "(300) + 30 s" in rows["worker"]
    for shown, name in {"API": "open-autoglm", "control": "control", "Redis": "redis"}.items():
        assert rows[shown].strip() == f"{seconds(SERVICES[name]['stop_grace_period']):.0f} s"
