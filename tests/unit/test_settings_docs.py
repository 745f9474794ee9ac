"""docs/configuration.md and config.yaml say what the code does."""

import json
import re
import tempfile
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest

from app import locales, settings
from app.errors import SettingsError
from app.settings import build, kinds, show

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
FILE = (ROOT / "config.yaml").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| `([^`]*)` \| `([^`]+)` \| (.+) \|$", re.MULTILINE)

SECRET = "whsec_" + 40 * "a"
SECRET_FILE = Path(tempfile.mkdtemp()) / "secret"
SECRET_FILE.write_text(f"{SECRET}\n", encoding="ascii")
EXAMPLES = {
    "server.host": "0.0.0.0",
    "log_level": "DEBUG",
    "locale.default": "ja-JP",
    "locale.fallback": "zh-CN",
    "locale.supported": "en-US,zh-CN",
    "database.url": "postgresql+psycopg://u:p: #@h/d",
    "redis.url": "redis://:p:#@h:1/0",
    "models.*.path": "/models/[x]: #",
    "models.*.backend": "fake",
    "models.*.dtype": "float16",
    "models.*.code_prompt": "plain",
    **{
        f"models.*.code_template.{name}": "Be brief. $definitions"
        for name in ("all", "en", "zh", "ja")
    },
    "models.*.code_guide": "block",
    "models.*.code_draws": "4",
    "models.*.verify.manifest": "M.json",
    "worker.host": "gpu1",
    "manifests.private_key_file": "/etc/key.pem",
    "webhooks.secret": SECRET,
    "webhooks.secret_file": str(SECRET_FILE),
    "webhooks.endpoints": "https://h/p,https://h/q",
    "webhooks.ca_file": str(SECRET_FILE),
    "worker.lease_seconds": "7.5",
    "devices": "cuda:0,cuda:1",
    "data_dir": "/data: x",
}


def _field(key: str) -> Any:
    """The field and its section's class for a dotted key."""
    kind: Any = settings.Settings
    *path, name = [part for part in key.split(".") if part != "*"]
    for part in path:
        bare, _ = kinds.unwrap(kinds.hints(kind)[part])
        kind = get_args(bare)[0] if get_origin(bare) is tuple else bare
    return next(field for field in fields(kind) if field.name == name), kinds.hints(kind)[name]


def _expected_row(key: str) -> tuple[str, str, str, str]:
    field, hint = _field(key)
    default = None if field.default is MISSING else field.default
    shown = json.dumps(default, default=str)
    kind = kinds.type_name(hint) + (", null" if kinds.is_optional(hint) else "")
    variable = "AUTOGLM_" + key.upper().replace(".*", ".<NAME>").replace(".", "__")
    return key, kind, shown, variable


def test_every_key_is_documented_with_its_type_default_and_variable():
    documented = [row.groups()[:4] for row in ROW.finditer(PAGE)]

    assert documented == [_expected_row(key) for key in build.all_keys()]


def test_every_documented_key_has_a_meaning():
    assert all(len(row[5].strip()) > 10 for row in ROW.finditer(PAGE))


def _look_up(described: dict[str, Any], key: str) -> Any:
    for part in key.replace("*", "m").split("."):
        described = described[part]
    return described


@pytest.mark.parametrize(
    "row", [row.groups() for row in ROW.finditer(PAGE)], ids=lambda row: row[0]
)
def test_every_documented_variable_sets_its_key(tmp_path, row):
    file = tmp_path / "c.yaml"
    file.write_text("models: {m: {path: /m}}", encoding="utf-8")
    text = (
        EXAMPLES.get(row[0])
        or {"int": "7", "float": "0.75", "bool": "false", "list": "a,b"}[row[1].split(",")[0]]
    )

    loaded = settings.load(file, {row[3].replace("<NAME>", "M"): text})

    value = _look_up(show.plain(loaded), row[0])
    written = str(value).lower() if isinstance(value, bool) else str(value)
    assert (",".join(value) if isinstance(value, list) else written) == text


def test_the_documented_problems_read_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "server:\n  prot: 1\n  port: '8080'\n\nroutes: {}\n"
    Path("config.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        settings.load(environ={})

    printed = locales.explain(caught.value, "en-US")
    assert "\n".join("    " + line for line in printed.splitlines()) in PAGE


def test_every_refused_feature_is_documented():
    names = {key.split(".")[-1] for key in build.LATER} | {"vllm", "openai"}

    assert [name for name in sorted(names) if f"`{name}`" not in PAGE.split("## When")[1]] == []


def test_config_yaml_loads_to_exactly_the_defaults(tmp_path):
    written, defaults = tmp_path / "written.yaml", tmp_path / "empty.yaml"
    written.write_text(FILE, encoding="utf-8")
    defaults.write_text("", encoding="utf-8")

    loaded = settings.describe(settings.load(written, {}))

    assert loaded == settings.describe(settings.load(defaults, {})) | {"source": str(written)}


def test_config_yaml_names_every_key_and_its_example_model_has_the_defaults(tmp_path):
    file = tmp_path / "config.yaml"
    example = re.sub(r"^#( .*)$", r"\1", FILE.split("models: {}")[1], flags=re.MULTILINE)
    file.write_text(FILE.split("models: {}")[0] + "models:" + example, encoding="utf-8")

    loaded = settings.load(file, {}).models

    assert loaded == (settings.Model(name="glm-large", path="/models/glm-large"),)
    missing = [
        key
        for key in build.all_keys()
        if not re.search(rf"^[# ]*{key.split('.')[-1]}:", FILE, re.M)
    ]
    assert missing == []
