"""Every error over HTTP in every language: negotiated, filled in, never a stack trace."""

import re
from pathlib import Path
from typing import Any, NoReturn

import pytest

from app import locales, settings
from app.errors import BadRequest
from app.models.database import Database
from tests.integration.apis import MODELS, Api

pytestmark = pytest.mark.integration
CODES = sorted(key[7:] for key in locales.texts("en-US") if key.startswith("errors."))
SAME = {"json_null"}  # JSON's own word
SCRIPTS = {"zh-CN": r"[\u4e00-\u9fff]", "ja-JP": r"[\u3040-\u9fff]", "en-US": r"[A-Za-z]{2}"}


def raise_error(code: str) -> NoReturn:
    """An error with a value for every placeholder of its text, and what its body shows besides."""
    names = re.findall(r"\{(\w+)", locales.texts("en-US")[f"errors.{code}"])
    values: dict[str, Any] = dict.fromkeys(names, 7)
    if code == "schema_violation":
        usage = {"prompt_tokens": 7, "completion_tokens": 7}
        values |= {"text": "{}", "asks": 7, "usage": usage}
    raise BadRequest(code, **{"param": values.pop("param", None), **values})


def make_api(db: Database, redis_url: str, folder: Path, **locale: Any) -> Api:
    options = settings.Settings(models=MODELS, data_dir=folder, locale=settings.Locale(**locale))
    api = Api(db, redis_url, folder, options)
    for prefix in ("/test", "/v1/batches-test"):
        api.app.add_url_rule(f"{prefix}/<code>", f"raise{prefix}", raise_error)
    api.client.environ_base.pop("HTTP_ACCEPT_LANGUAGE")
    return api


@pytest.fixture(scope="module")
def api(
    module_database: Database, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Api:
    return make_api(module_database, redis_server, tmp_path_factory.mktemp("files"))


def ask(api: Api, path: str, language: str | None = None) -> str:
    headers = {} if language is None else {"Accept-Language": language}
    answer = api.client.get(path, headers=headers)
    assert answer.status_code == 400
    return str(answer.json["error"]["message"])


@pytest.mark.parametrize("language", settings.LOCALES)
def test_each_error_is_told_in_each_language(api: Api, language: str):
    told = {code: ask(api, f"/test/{code}", language) for code in CODES}

    untold = [code for code, text in told.items() if not re.search(SCRIPTS[language], text)]
    assert [code for code in untold if code not in SAME] == []
    assert [code for code, text in told.items() if re.search(r"\{\w+(:[^{}]*)?\}", text)] == []


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("zh-Hans-CN", "zh-CN"),
        ("zh-TW, en;q=0.4", "zh-CN"),
        ("ja;q=0.9, en;q=0.4", "ja-JP"),
        ("en-GB", "en-US"),
        ("fr", "en-US"),
        (None, "zh-CN"),
    ],
)
def test_the_header_decides_then_default_and_fallback(api: Api, header: str | None, locale: str):
    expected = locales.message("errors.empty_messages", locale, param=7)

    assert ask(api, "/test/empty_messages", header) == expected


def test_openai_s_routes_speak_english_unless_asked(api: Api):
    assert ask(api, "/v1/batches-test/empty_messages").startswith("7 is empty")
    assert not ask(api, "/v1/batches-test/empty_messages", "ja").isascii()


def test_default_and_fallback_are_configured(database: Database, redis_url: str, tmp_path: Path):
    api = make_api(database, redis_url, tmp_path, default="ja-JP", fallback="zh-CN")

    for header, locale in ((None, "ja-JP"), ("fr", "zh-CN")):
        expected = locales.message("errors.empty_messages", locale, param=7)
        assert ask(api, "/test/empty_messages", header) == expected


def test_an_unknown_route_that_a_client_of_openai_may_call_is_told_in_english(api: Api) -> None:
    told = [api.client.get(path).json["error"]["message"] for path in ("/v1/nope", "/nope")]

    assert told[0].isascii()
    assert not told[1].isascii()
