"""What is loaded from which source, and how it reaches a child process."""

import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from app import settings
from app.settings.show import redact

SECRET = "s3cret:/@#?%"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads a text as config.yaml (or another name) in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def load_text(text, environ=None, overrides=None, name="config.yaml"):
        Path(name).write_text(text, encoding="utf-8")
        return settings.load(name, environ or {}, overrides)

    return load_text


def test_the_flat_keys_of_the_source_system_load_verbatim(load):
    loaded = load("model_path: /models/glm-large\nlisten_port: 8090\nlog_level: DEBUG\n")

    assert loaded.models == (settings.Model(name="glm-large", path="/models/glm-large"),)
    assert (loaded.server.port, loaded.log_level) == (8090, "DEBUG")


def test_the_structured_keys_of_the_source_system_load_verbatim(load):
    loaded = load(
        "server:\n  host: 0.0.0.0\n  port: 8081\n"
        "locale:\n  default: zh-CN\n  fallback: en-US\n  supported:\n    - zh-CN\n    - ja-JP\n    - en-US\n"
    )

    assert loaded.server == settings.Server(host="0.0.0.0", port=8081)
    assert loaded.locale.supported == ("zh-CN", "ja-JP", "en-US")


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_loads_like_yaml(load, indent):
    written = {
        "model_path": "/models/大/🙂",
        "listen_port": 8090,
        "locale": {"default": "en-US"},
        "worker": {"shift_seconds": 1.5e1},
    }

    loaded = load(json.dumps(written, indent=indent), name="config.json")

    assert loaded.models[0].path == "/models/大/🙂"
    assert (loaded.server.port, loaded.locale.default) == (8090, "en-US")
    assert loaded.worker.shift_seconds == 15


def test_yaml_words_are_words_and_a_leading_zero_is_decimal(load):
    loaded = load("worker: {host: no}\nserver: {port: 010}\nmodel_path: 'on'\n")

    assert (loaded.worker.host, loaded.server.port, loaded.models[0].name) == ("no", 10, "on")


@pytest.mark.parametrize("text", ["", "# nothing\n", "server:\n", "models:\nredis:\n"])
def test_an_empty_file_or_section_means_the_defaults(load, text):
    loaded = load(text)

    assert (loaded.server, loaded.redis) == (settings.Server(), settings.Redis())
    assert loaded.log_level == "INFO"


def test_a_byte_order_mark_is_ignored(load):
    assert load('\ufeff{"listen_port": 81}', name="c.json").server.port == 81


def test_without_models_the_shipped_one_is_served(load):
    (model,) = load("").models

    demo = Path(settings.__file__).parents[1] / "demo"
    assert (model.name, model.path) == ("autoglm-demo", str(demo / "model"))
    assert model.verify.public_keys == (str(demo / "public_key.txt"),)


def test_models_keep_their_order(load):
    loaded = load("models:\n  b: {path: /b}\n  glm-4.5:\n    backend: fake\n    aliases: [x/y]\n")

    assert [model.name for model in loaded.models] == ["b", "glm-4.5"]
    assert loaded.models[1].aliases == ("x/y",)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/x/y/", "y"), ("/x/../z", "z"), ("/x/my model", "my-model"), ("/", "model"), ("/x/.h", "h")],
)
def test_model_path_names_the_model_after_its_last_part(load, path, name):
    (model,) = load(f"model_path: {path}\n").models

    assert (model.name, model.path) == (name, path)


@pytest.mark.parametrize("level", ["debug", "Warning", "CRITICAL"])
def test_log_levels_are_accepted_in_any_case(load, level):
    assert load(f"log_level: {level}\n").log_level == level.upper()


def test_options_win_over_the_environment_over_the_file_over_the_defaults(load):
    environ = {"AUTOGLM_SERVER__PORT": "2", "AUTOGLM_SERVER__THREADS": "2"}
    text = "server: {port: 1, threads: 1, processes: 1, host: file}\n"

    loaded = load(text, environ, {"server.port": 3, "server.host": None})

    assert loaded.server == settings.Server(host="file", port=3, threads=2, processes=1)
    assert loaded.retention == settings.Retention()


@pytest.mark.parametrize("low", ["listen_port: 1\n", "server: {port: 1}\n"])
@pytest.mark.parametrize("high", ["AUTOGLM_LISTEN_PORT", "AUTOGLM_SERVER__PORT"])
def test_a_stronger_source_may_use_the_other_form_of_a_key(load, low, high):
    assert load(low, {high: "2"}).server.port == 2


def test_a_model_path_of_a_stronger_source_replaces_all_models(load):
    text = "models: {a: {backend: fake}, b: {backend: fake}}\n"

    assert load(text, {"AUTOGLM_MODEL_PATH": "/c"}).models == (settings.Model(name="c", path="/c"),)
    assert [model.name for model in load(text, {}, {"model_path": "/d"}).models] == ["d"]


def test_a_variable_reaches_a_model_whose_name_it_cannot_spell(load):
    environ = {"AUTOGLM_MODELS__GLM_4_5__DTYPE": "float16"}

    loaded = load("models: {GLM-4.5: {path: /m, max_context: 5}}\n", environ)

    expected = settings.Model(name="GLM-4.5", path="/m", max_context=5, dtype="float16")
    assert loaded.models == (expected,)


def test_a_variable_may_hold_a_whole_section(load):
    environ = {"AUTOGLM_MODELS": '{"m": {"backend": "fake", "fake": {"step_seconds": 1}}}'}

    (model,) = load("model_path: /x\n", environ).models

    assert (model.name, model.fake.step_seconds) == ("m", 1.0)


@pytest.mark.parametrize("text", ["cpu:0,cpu:1", "[cpu:0, cpu:1]", "cpu:0, cpu:1"])
def test_lists_of_variables_have_commas_or_brackets(load, text):
    assert load("", {"AUTOGLM_DEVICES": text}).devices == ("cpu:0", "cpu:1")


def test_an_empty_variable_is_null_where_null_is_allowed(load):
    assert load("redis: {url: 'redis://h'}\n", {"AUTOGLM_REDIS__URL": ""}).redis.url is None


def test_variables_of_others_are_ignored(load):
    environ = {"PORT": "1", "AUTOGLM_RUN_SLOT": "cpu:0", "AUTOGLM_API_KEY": "k", "autoglm_x": "1"}

    assert load("", environ).server.port == 8080


def test_the_file_is_the_argument_then_the_variable_then_config_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings.load(environ={}).source is None

    for port, name in enumerate(["config.yaml", "variable.yaml", "argument.yaml"], start=1):
        Path(name).write_text(f"listen_port: {port}\n", encoding="utf-8")
    variable = {"AUTOGLM_CONFIG": "variable.yaml"}

    found = [
        settings.load(environ={}),
        settings.load(environ={"AUTOGLM_CONFIG": ""}),
        settings.load(environ=variable),
        settings.load("argument.yaml", variable),
    ]

    assert [(loaded.server.port, str(loaded.source)) for loaded in found] == [
        (1, "config.yaml"),
        (1, "config.yaml"),
        (2, "variable.yaml"),
        (3, "argument.yaml"),
    ]


def test_environment_makes_a_child_load_exactly_the_same(load):
    loaded = load(
        "models:\n  glm-4.5: {path: /大/🙂, aliases: [a], verify: {public_keys: [k]}}\n  f: {backend: fake}\n"
        "worker: {shift_seconds: 0.1}\ndevices: [cpu:1, cpu:0]\ndata_dir: /data\n",
        {"AUTOGLM_DATABASE__URL": f"postgresql://u:{SECRET}@h/d"},
        {"server.port": 9},
    )
    noise = {"AUTOGLM_SERVER__PORT": "1", "AUTOGLM_CONFIG": "gone.yaml"}

    assert settings.load(environ={**noise, **settings.environment(loaded)}) == loaded
    assert settings.load(environ=settings.environment(settings.Settings())) == settings.Settings()


def test_environment_works_in_a_real_child(load):
    loaded = load("listen_port: 81\nmodel_path: /m\n")
    code = "from app import settings; print(repr(settings.load()))"

    shown = subprocess.run(
        [sys.executable, "-c", code],
        env=settings.child_environ(
            **settings.environment(loaded), PYTHONPATH=str(Path(settings.__file__).parents[2])
        ),
        capture_output=True,
        text=True,
        check=True,
    )

    assert shown.stdout.strip() == repr(loaded)


def test_options_still_win_in_a_child(load):
    environ = settings.environment(load("listen_port: 81\n"))

    assert settings.load(environ=environ, overrides={"listen_port": 82}).server.port == 82


def test_set_variable_changes_this_process_and_child_environ_does_not(monkeypatch):
    monkeypatch.setenv("AUTOGLM_RUN_A", "old")

    settings.set_variable("AUTOGLM_RUN_A", "new")
    child = settings.child_environ(AUTOGLM_RUN_B="b")

    assert (os.environ["AUTOGLM_RUN_A"], settings.variable("AUTOGLM_RUN_A")) == ("new", "new")
    assert (child["AUTOGLM_RUN_A"], child["AUTOGLM_RUN_B"]) == ("new", "b")
    assert settings.variable("AUTOGLM_RUN_B") is None


def test_passwords_appear_in_no_text_made_for_people(load):
    environ = {
        "AUTOGLM_DATABASE__URL": f"postgresql://u:{SECRET}@h/d",
        "AUTOGLM_REDIS__URL": f"redis://:{SECRET}@h:1/0",
    }

    loaded = load("", environ)

    assert SECRET not in repr(loaded) + str(loaded) + json.dumps(settings.describe(loaded))
    assert settings.describe(loaded)["database"]["url"] == "postgresql://u:***@h/d"
    assert settings.describe(loaded)["redis"]["url"] == "redis://:***@h:1/0"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////data/x.db", "sqlite:////data/x.db"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://u@h/0", "redis://u@h/0"),
        (
            "postgresql://h/d?user=u&password=p&sslmode=x",
            "postgresql://h/d?user=u&password=***&sslmode=x",
        ),
        ("no url p", "***"),
    ],
)
def test_only_the_passwords_of_a_url_are_hidden(url, shown):
    assert redact(url) == shown


def test_settings_are_frozen(load):
    with pytest.raises(FrozenInstanceError):
        load("").server.port = 1
