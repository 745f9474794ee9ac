"""Everything that can be wrong with a configuration is named with its key, place and remedy."""

import pickle
import re

import pytest

from app import locales, settings
from app.errors import SettingsError


@pytest.fixture
def refuse(tmp_path, monkeypatch):
    """Loads a text that must be refused; returns the error."""
    monkeypatch.chdir(tmp_path)

    def load_text(text, environ=None, overrides=None, name="c.yaml"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SettingsError) as caught:
            settings.load(name, environ or {}, overrides)
        return caught.value

    return load_text


def _facts(error: SettingsError) -> tuple[str, str | None, str]:
    return error.code, error.param, error.values["where"]


@pytest.mark.parametrize(
    ("text", "code", "key", "line"),
    [
        ("\nserver:\n\n  port: '8080'\n", "setting_bad_type", "server.port", 4),
        ("listen_port: true\n", "setting_bad_type", "server.port", 1),
        ("listen_port: 80.5\n", "setting_bad_type", "server.port", 1),
        ("listen_port: [80]\n", "setting_bad_type", "server.port", 1),
        ("listen_port: 0\n", "setting_bad_value", "server.port", 1),
        ("listen_port: 65536\n", "setting_bad_value", "server.port", 1),
        ("data_dir: ''\n", "setting_bad_value", "data_dir", 1),
        ("redis: {url: 'redis://:p@h:99999/0'}\n", "setting_bad_value", "redis.url", 1),
        ("redis: {url: 'redis://h:abc/0'}\n", "setting_bad_value", "redis.url", 1),
        ("redis: {url: 'redis://[::1]:70000'}\n", "setting_bad_value", "redis.url", 1),
        ("redis: {url: 'redis://h:0'}\n", "setting_bad_value", "redis.url", 1),
        ("webhooks: {ca_file: /nowhere.pem}\n", "setting_bad_value", "webhooks.ca_file", 1),
        ("webhooks: {secret_file: /nowhere}\n", "setting_bad_value", "webhooks.secret_file", 1),
        (f"listen_port: {10**400}\n", "setting_bad_value", "server.port", 1),
        ("model_path: 5\n", "setting_bad_type", "model_path", 1),
        ("model_path: ' '\n", "setting_bad_value", "model_path", 1),
        ("server: 5\n", "setting_bad_type", "server", 1),
        ("server: {host: 5}\n", "setting_bad_type", "server.host", 1),
        ("server: {host: 'a b'}\n", "setting_bad_value", "server.host", 1),
        ("server: {threads: 0}\n", "setting_bad_value", "server.threads", 1),
        ("log_level: loud\n", "setting_bad_value", "log_level", 1),
        ("log_level:\n", "setting_bad_type", "log_level", 1),
        ("locale: {default: fr-FR}\n", "setting_bad_value", "locale.default", 1),
        ("locale: {supported: []}\n", "setting_bad_value", "locale.supported", 1),
        ("locale:\n  supported: [zh-CN]\n", "setting_bad_value", "locale.fallback", 1),
        ("database: {max_overflow: -1}\n", "setting_bad_value", "database.max_overflow", 1),
        ("database: {url: 'mysql://h/d'}\n", "setting_bad_value", "database.url", 1),
        ("redis: {url: 'http://h'}\n", "setting_bad_value", "redis.url", 1),
        ("models: [a]\n", "setting_bad_type", "models", 1),
        ("models:\n  a:\n    dtype: float8\n", "setting_bad_value", "models.a.dtype", 3),
        ("models:\n  a:\n    backend: tgi\n", "setting_bad_value", "models.a.backend", 3),
        (
            "models:\n  a: {path: /a, memory_fraction: 0}\n",
            "setting_bad_value",
            "models.a.memory_fraction",
            2,
        ),
        (
            "models:\n  a: {path: /a, memory_fraction: 1.1}\n",
            "setting_bad_value",
            "models.a.memory_fraction",
            2,
        ),
        (
            "models:\n  a: {path: /a, memory_fraction: .nan}\n",
            "setting_bad_value",
            "models.a.memory_fraction",
            2,
        ),
        (
            f"models:\n  a: {{path: /a, memory_fraction: {10**400}}}\n",
            "setting_bad_type",
            "models.a.memory_fraction",
            2,
        ),
        ("models:\n  a:\n    dtype: auto\n", "setting_missing", "models.a.path", 2),
        ("models:\n  'a b': {path: /a}\n", "setting_bad_value", "models.a b.name", 2),
        ("worker:\n  shift_seconds: 0\n", "setting_bad_value", "worker.shift_seconds", 2),
        ("worker:\n  shift_seconds: .inf\n", "setting_bad_value", "worker.shift_seconds", 2),
        ("worker:\n  lease_seconds: 1\n", "setting_bad_value", "worker.lease_seconds", 2),
        ("devices: tpu\n", "setting_bad_value", "devices", 1),
        ("devices:\n  - cpu\n  - 5\n", "setting_bad_type", "devices", 3),
        ("devices: [cpu, cpu]\n", "setting_bad_value", "devices", 1),
        ("devices: [auto, cpu]\n", "setting_bad_value", "devices", 1),
        ("\ndevices: {a: 1}\n", "setting_bad_type", "devices", 2),
        ("retention: {days: forever}\n", "setting_bad_type", "retention.days", 1),
        ("colour: 1\n", "setting_unknown", "colour", 1),
        ("source: x\n", "setting_unknown", "source", 1),
        ("models: {a: {name: b, path: /a}}\n", "setting_unknown", "models.a.name", 1),
        ("server:\n  prot: 1\n", "setting_misspelt", "server.prot", 2),
        ("listen_port: 1\nserver: {port: 1}\n", "setting_conflict", "listen_port", 1),
        ("models: {a: {path: /a}}\nmodel_path: /b\n", "setting_conflict", "model_path", 2),
        ("server:\n  port: 1\n  port: 2\n", "setting_duplicate", "port", 3),
        ("server: &s\n  port: 1\nworker: *s\n", "setting_alias", "*", 3),
        ("routes: {}\n", "setting_not_available_yet", "routes", 1),
        ("files: {s3: x}\n", "setting_not_available_yet", "files", 1),
        ("models: {a: {hub: x}}\n", "setting_not_available_yet", "models.a.hub", 1),
        (
            "models: {a: {path: /a, revision: x}}\n",
            "setting_not_available_yet",
            "models.a.revision",
            1,
        ),
        (
            "models: {a: {path: /a, quantization: x}}\n",
            "setting_not_available_yet",
            "models.a.quantization",
            1,
        ),
        (
            "models: {a: {path: /a, device_map: auto}}\n",
            "setting_not_available_yet",
            "models.a.device_map",
            1,
        ),
        (
            "models: {a: {path: /a, load_in_8bit: true}}\n",
            "setting_not_available_yet",
            "models.a.load_in_8bit",
            1,
        ),
        (
            "models: {a: {path: /a, fallbacks: [b]}}\n",
            "setting_not_available_yet",
            "models.a.fallbacks",
            1,
        ),
        ("models: {a: {backend: vllm}}\n", "setting_not_available_yet", "models.a.backend", 1),
        ("models: {a: {backend: openai}}\n", "setting_not_available_yet", "models.a.backend", 1),
        ("models: {a: {path: /a, aliases: [a]}}\n", "setting_model_twice", "models", 1),
        (
            "models: {a: {path: /a}, b: {path: /b, aliases: [a]}}\n",
            "setting_model_twice",
            "models",
            1,
        ),
    ],
)
def test_a_wrong_value_is_refused_with_key_file_and_line(refuse, text, code, key, line):
    error = refuse(text)

    assert _facts(error) == (code, key, f"c.yaml:{line}")
    assert (error.values["key"], error.values["file"], error.values["line"]) == (
        key,
        "c.yaml",
        line,
    )


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ("a: [1\n", "c.yaml", 2),
        ("listen_port: 1\n  b: 2\n", "c.yaml", 2),
        ("a: 1\n\tb: 2\n", "c.yaml", 2),
        ("a: 1\nb: \x07\n", "c.yaml", 2),
        ("a: 1\n--- \nb: 2\n", "c.yaml", 2),
        ("a: !!python/name:os.system\n", "c.yaml", 1),
        ("listen_port: !!int abc\n", "c.yaml", 1),
        ('{\n "listen_port": 8080,\n}', "c.json", 3),
        ("listen_port: 8080\n", "c.json", 1),
        ("a: " + "[" * 3000 + "]" * 3000, "c.yaml", 1),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "c.json", 1),
    ],
)
def test_broken_text_is_refused_with_its_line(refuse, text, name, line):
    error = refuse(text, name=name)

    assert (error.code, error.values["file"], error.values["line"]) == (
        "settings_file_syntax",
        name,
        line,
    )


def test_a_file_that_is_no_mapping_is_refused(refuse):
    assert refuse("- 1\n").code == "settings_file_not_map"
    assert refuse("hello\n").values == {"file": "c.yaml", "actual": "str"}


def test_a_missing_or_unreadable_file_is_refused_by_name(refuse, tmp_path):
    for config, code in [("gone.yaml", "settings_file_missing"), (".", "settings_file_unreadable")]:
        with pytest.raises(SettingsError) as caught:
            settings.load(environ={"AUTOGLM_CONFIG": config})
        assert (caught.value.code, caught.value.values["file"]) == (code, config)

    assert refuse(b"a: \xff\xfe\n").code == "settings_file_unreadable"


@pytest.mark.parametrize(
    ("environ", "code", "key", "where"),
    [
        ({"AUTOGLM_SEVER__PORT": "1"}, "setting_misspelt", "sever", "AUTOGLM_SEVER__PORT"),
        ({"AUTOGLM_FOO": "1"}, "setting_unknown", "foo", "AUTOGLM_FOO"),
        ({"AUTOGLM_": "1"}, "setting_unknown", "", "AUTOGLM_"),
        ({"AUTOGLM_PORT": "1"}, "setting_misspelt", "port", "AUTOGLM_PORT"),
        ({"AUTOGLM_SERVER__PORT": "x"}, "setting_bad_type", "server.port", "AUTOGLM_SERVER__PORT"),
        ({"AUTOGLM_SERVER__PORT": "[1"}, "setting_bad_type", "server.port", "AUTOGLM_SERVER__PORT"),
        ({"AUTOGLM_SERVER__PORT": ""}, "setting_bad_type", "server.port", "AUTOGLM_SERVER__PORT"),
        ({"AUTOGLM_SERVER": "x"}, "setting_bad_type", "server", "AUTOGLM_SERVER"),
        ({"AUTOGLM_ROUTES": "{}"}, "setting_not_available_yet", "routes", "AUTOGLM_ROUTES"),
        ({"AUTOGLM_SERVER": "{}", "AUTOGLM_SERVER__PORT": "1"}, "setting_conflict", "server", "AUTOGLM_SERVER__PORT"),
        ({"AUTOGLM_LISTEN_PORT": "2", "AUTOGLM_SERVER__PORT": "1"}, "setting_conflict", "listen_port", "AUTOGLM_LISTEN_PORT"),
        ({"AUTOGLM_MODEL_PATH": "/a", "AUTOGLM_MODELS__B__PATH": "/b"}, "setting_conflict", "model_path", "AUTOGLM_MODEL_PATH"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_refused_by_name(refuse, environ, code, key, where):
    error = refuse("", environ)

    assert _facts(error) == (code, key, where)


def test_a_wrong_option_is_refused(refuse):
    assert _facts(refuse("", {}, {"server.port": "80"})) == (
        "setting_bad_type",
        "server.port",
        "argv",
    )
    assert _facts(refuse("", {}, {"server.prt": 1})) == ("setting_misspelt", "server.prt", "argv")


def test_a_broken_snapshot_is_refused():
    for text in ("{", "5", "{}"):
        with pytest.raises(SettingsError) as caught:
            settings.load(environ={"AUTOGLM_SETTINGS": text})
        assert caught.value.code == "settings_snapshot_broken"


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(refuse):
    error = refuse(
        "log_level: loud\nroutes: {}\nserver:\n  prot: 1\n  port: x\nserver: {threads: 0}\n"
    )

    assert error.code == "settings_invalid"
    assert [(problem.code, problem.values["line"]) for problem in error.values["problems"]] == [
        ("setting_bad_value", 1),
        ("setting_not_available_yet", 2),
        ("setting_duplicate", 6),
        ("setting_bad_value", 6),
    ]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("server: {prot: 1}", "server.port"),
        ("port: 1", "server.port"),
        ("log-level: INFO", "log_level"),
        ("modelpath: /x", "model_path"),
        ("models: {a: {path: /a, dtpye: auto}}", "models.a.dtype"),
        ("verify: {}", "models.*.verify"),
    ],
)
def test_a_misspelt_key_gets_a_suggestion(refuse, text, suggestion):
    assert refuse(text).values["suggestion"] == suggestion


@pytest.mark.parametrize(
    ("text", "example"),
    [
        ("listen_port: '8080'", "8080"),
        ("listen_port: true", "8"),
        ("worker: {shift_seconds: '1.5'}", "1.5"),
        ("worker: {host: 5}", '"5"'),
    ],
)
def test_a_wrong_type_is_answered_with_the_right_spelling(refuse, text, example):
    assert refuse(text).values["example"] == example


@pytest.mark.parametrize("locale", settings.LOCALES)
def test_every_message_shows_key_place_and_remedy(refuse, locale):
    message = locales.explain(refuse("a:\nserver:\n  port: '80'\n"), locale)

    unknown, bad_type = message.splitlines()[1:]
    assert "c.yaml:1" in unknown
    assert "docs/configuration.md" in unknown
    assert all(part in bad_type for part in ("c.yaml:3", "server.port", "int", '"80"', "80", "str"))
    assert "{" not in message


def test_no_secret_appears_in_an_error(refuse):
    secret = "s3cret"
    texts = [
        f"redis: {{url: 'http://:{secret}@h'}}\n",
        f"database:\n  url: [{secret}]\n",
        f"redis: '{secret}'\n",
        f"redis:\n  url: redis://:{secret}\n   @h\n",
        f"redis: {{url: redis://:{secret}@h\n",
        f"redis_url: {secret}\n",
        f"redis: {{url: '{secret}\x07'}}\n",
        "redis: {url: 53173}\n",
    ]

    errors = [refuse(text) for text in texts] + [refuse("", {"AUTOGLM_REDIS__URL": secret})]

    assert [
        str(error)
        for error in errors
        if re.search(f"{secret}|53173", str(error) + locales.explain(error))
    ] == []
    assert [error for error in errors if error.__cause__ is not None] == []


@pytest.mark.parametrize(
    ("make", "code", "key"),
    [
        (lambda: settings.Server(port=0), "setting_bad_value", "port"),
        (lambda: settings.Server(port="80"), "setting_bad_type", "port"),  # type: ignore[arg-type]
        (lambda: settings.Settings(server={}), "setting_bad_type", "server"),  # type: ignore[arg-type]
        (lambda: settings.Model(name="a"), "setting_missing", "path"),
        (lambda: settings.Settings(log_level="x"), "setting_bad_value", "log_level"),
        (lambda: settings.Locale(supported=("zh-CN",)), "setting_bad_value", "fallback"),
    ],
)
def test_sections_made_in_code_are_checked_too(make, code, key):
    with pytest.raises(SettingsError) as caught:
        make()

    assert (caught.value.code, caught.value.param) == (code, key)


def test_sections_made_in_code_are_brought_into_normal_form():
    made = settings.Settings(log_level="debug", devices=["cpu"], data_dir="x")  # type: ignore[arg-type]

    assert (made.log_level, made.devices, made.data_dir.name) == ("DEBUG", ("cpu",), "x")
    assert isinstance(settings.Worker(shift_seconds=5).shift_seconds, float)
