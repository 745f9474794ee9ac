"""`autoglm weights`: what it prints, writes and exits with."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from safetensors.numpy import save_file

from app import cli, weights


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "glm: 小"
    root.mkdir()
    save_file({"weight": np.zeros(64, np.float32)}, root / "model.safetensors")
    (root / "config.json").write_text("{}")
    return root


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "signing.key"


def run(*arguments: str | Path) -> Result:
    return CliRunner(env={"LC_ALL": "C"}).invoke(cli.main, ["weights", *map(str, arguments)])


def test_one_command_locks_signs_and_prints_configuration_that_verifies(
    model: Path, key: Path
) -> None:
    result = run("lock", model, "--key", key)

    assert result.exit_code == 0, result.output
    config = yaml.safe_load(result.stdout[result.stdout.index("models:") :])
    entry = config["models"][model.name]
    assert weights.verify(entry["path"], public_keys=entry["verify"]["public_keys"]).digest
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_three_steps_do_the_same_as_the_one(model: Path, key: Path) -> None:
    results = [
        run("keygen", "-o", key),
        run("lock", model),
        run("sign", model, "--key", key),
        run("verify", model, "--public-key", f"{key}.pub"),
    ]

    assert [result.exit_code for result in results] == [0, 0, 0, 0]
    assert f"autoglm weights sign {model}" in results[1].stdout
    assert results[3].stdout.splitlines()[:3] == [
        "MANIFEST.json: OK",
        "config.json: OK",
        "model.safetensors: OK",
    ]


def test_verify_prints_every_file_with_its_outcome_and_exits_with_1(model: Path, key: Path) -> None:
    run("lock", model, "--key", key)
    (model / "config.json").write_text("[]")
    (model / "new\nline.txt").write_text("")

    result = run("verify", model, "--public-key", f"{key}.pub")

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "MANIFEST.json: OK"
    assert lines[1].startswith("new\\nline.txt: FAILED")
    assert lines[2].startswith("config.json: FAILED  config.json has SHA-256")
    assert lines[3:] == ["model.safetensors: OK"]
    assert "2 files failed" in result.stderr


def test_an_unlocked_directory_is_refused_with_the_command_that_locks_and_signs(
    model: Path,
) -> None:
    result = run("verify", model, "--public-key", "x")

    assert result.exit_code == 1
    assert f"autoglm weights lock {model} --key signing.key" in result.stderr


def test_keygen_never_overwrites(key: Path) -> None:
    run("keygen", "-o", key)
    before = key.read_bytes()

    result = run("keygen", "-o", key)

    assert result.exit_code == 1
    assert key.read_bytes() == before


def test_another_manifest_name_appears_in_the_configuration(model: Path, key: Path) -> None:
    result = run("lock", model, "--key", key, "--manifest", "sealed.json")

    config = yaml.safe_load(result.stdout[result.stdout.index("models:") :])
    assert config["models"][model.name]["verify"]["manifest"] == "sealed.json"
    assert json.loads((model / "sealed.json").read_bytes())["format"] == 1


@pytest.mark.parametrize(("locale", "word"), [("zh_CN.UTF-8", "签名"), ("ja_JP.UTF-8", "署名")])
def test_help_speaks_the_language_of_the_terminal(locale: str, word: str) -> None:
    result = CliRunner(env={"LC_ALL": locale}).invoke(cli.main, ["weights", "--help"])

    assert result.output.count(word) >= 3
