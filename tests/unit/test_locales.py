"""Texts in three languages, and the choice between them."""

import ast
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app import errors, locales, settings
from app.errors import BadRequest, SettingsError

APP = Path(locales.__file__).parents[1]
KINDS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.AutoglmError)
}


def _placeholders(text: str) -> list[str]:
    return sorted(set(re.findall(r"\{(\w+)(?::[^{}]*)?\}", text)))


@pytest.mark.parametrize("locale", settings.LOCALES)
def test_every_language_has_the_same_keys_and_placeholders(locale):
    english = locales.texts("en-US")

    wrong = [
        key
        for key in english.keys() | locales.texts(locale).keys()
        if _placeholders(english.get(key, "?"))
        != _placeholders(locales.texts(locale).get(key, "{0}"))
    ]
    assert sorted(wrong) == []


def test_threads_that_ask_at_once_have_the_texts_read_once(monkeypatch):
    parse, reads, barrier = yaml.safe_load, [], threading.Barrier(8)

    def count(content):
        reads.append(threading.get_ident())
        return parse(content)

    def ask(_number):
        barrier.wait()
        return locales.texts("en-US")

    monkeypatch.setattr(yaml, "safe_load", count)
    locales._read.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))

    assert len(reads) == 1
    assert all(texts is found[0] for texts in found)


@pytest.mark.parametrize("locale", settings.LOCALES)
def test_no_text_is_empty_or_anything_but_text(locale):
    texts = locales.texts(locale)

    assert len(texts) > 10
    assert {type(text) for text in texts.values()} == {str}
    assert [key for key, text in texts.items() if not text.strip()] == []


@pytest.mark.parametrize("locale", settings.LOCALES)
def test_no_key_stands_twice_in_a_file(locale):
    lines = (APP / "locales" / f"messages_{locale}.yaml").read_text(encoding="utf-8").splitlines()
    seen: list[str] = []
    section = ""
    for line in lines:
        if found := re.match(r"(\w+):", line):
            section = found[1]
        elif found := re.match(r"  (\w+):", line):
            seen.append(f"{section}.{found[1]}")

    assert sorted({key for key in seen if seen.count(key) > 1}) == []
    assert len(seen) == len(locales.texts(locale))


@pytest.mark.parametrize("locale", ["zh-CN", "ja-JP"])
def test_translations_are_translated(locale):
    english = locales.texts("en-US")

    same = [key for key, text in locales.texts(locale).items() if text == english.get(key)]
    assert [key for key in same if re.search(r"[a-z]{3,} [a-z]{3,}", english[key])] == []


def _calls() -> list[tuple[str, ast.Call]]:
    """Every call in app/ with the file it stands in."""
    return [
        (str(path.relative_to(APP)), node)
        for path in sorted(APP.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def _first(call: ast.Call) -> str | None:
    """The first argument of a call if it is a literal string."""
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _codes(call: ast.Call) -> list[str | None]:
    """The error codes that a call makes: an error's first argument, or `error_code=`."""
    named = [word.value for word in call.keywords if word.arg == "error_code"]
    codes = [node.value for node in named if isinstance(node, ast.Constant) and node.value]
    is_error = ast.unparse(call.func).split(".")[-1] in KINDS | {"problem"}
    return [*map(str, codes), *([_first(call)] if is_error else [])]


def test_every_error_code_has_a_text():
    made = {(code, file) for file, call in _calls() for code in _codes(call) if code}

    missing = sorted(f"{code} ({file})" for code, file in made if not _has_text(f"errors.{code}"))
    assert len(made) > 10
    assert not missing, "errors.* lacks: " + ", ".join(missing)


def _has_text(key: str) -> bool:
    return key in locales.texts("en-US")


def test_every_message_that_is_asked_for_exists():
    asked = {
        (_first(call), file)
        for file, call in _calls()
        if ast.unparse(call.func) in {"locales.message", "message"}
    }

    missing = sorted(f"{key} ({file})" for key, file in asked if key and not _has_text(key))
    assert not missing, "the message files lack: " + ", ".join(missing)


def test_a_text_is_filled_with_values():
    shown = locales.message("locales.missing", locale="en-US", key="a.b")

    assert shown == "(no text for a.b)"


def test_a_missing_key_or_language_gets_a_safe_text():
    assert locales.message("no.such", "en-US") == "(no text for no.such)"
    assert locales.message("no.such", "ja-JP") != locales.message("no.such", "en-US")
    assert locales.message("errors.internal", "fr") == locales.message("errors.internal", "en-US")
    assert locales.message("errors.internal", "../en-US") == locales.message("errors.internal")


def test_values_are_never_taken_for_placeholders_and_missing_ones_stay_visible():
    shown = locales.message("errors.setting_missing", key="{where}{0.__class__}")

    assert shown == "{where}: {where}{0.__class__} is required. Add it."


@pytest.mark.parametrize("locale", settings.LOCALES)
def test_an_error_is_explained_with_its_values_and_errors_inside_it(locale):
    inner = SettingsError("setting_missing", key="a.b", where="f:1")
    outer = SettingsError("settings_invalid", count=2, problems=(inner, inner))

    shown = locales.explain(outer, locale)

    assert shown.splitlines()[1:] == [locales.explain(inner, locale)] * 2
    assert "f:1" in shown


def test_an_error_without_text_is_explained_by_its_code():
    assert locales.explain(BadRequest("brand_new"), "en-US") == "(no text for errors.brand_new)"


def _negotiate(header: str | None, default: str = "zh-CN") -> str:
    return locales.negotiate(
        header, default=default, fallback="en-US", supported=("zh-CN", "en-US", "ja-JP")
    )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "zh-CN"),
        ("", "zh-CN"),
        (" , ", "zh-CN"),
        (";;;q=", "zh-CN"),
        ("zh", "zh-CN"),
        ("zh-TW", "zh-CN"),
        ("zh-Hans-CN", "zh-CN"),
        ("ZH-hans-cn", "zh-CN"),
        ("ja", "ja-JP"),
        ("en-GB", "en-US"),
        ("fr", "en-US"),
        ("fr, de;q=0.9", "en-US"),
        ("fr, ja;q=0.1", "ja-JP"),
        ("en;q=0.5, ja;q=0.9", "ja-JP"),
        ("en, ja", "en-US"),
        ("ja;q=0, en;q=0.1", "en-US"),
        ("*", "zh-CN"),
        ("fr, *;q=0.5", "zh-CN"),
        ("*, ja", "zh-CN"),
        ("zh;q=0, *", "en-US"),
        ("en;q=0", "zh-CN"),
        ("zh-TW;q=0, zh;q=0.2", "zh-CN"),
        ("*;q=0, ja", "ja-JP"),
        ("*;q=0", "en-US"),
        ("zh-TW;q=0", "en-US"),
        ("ja;q=2, en;q=0.1", "en-US"),
        ("ja;q=x", "zh-CN"),
        ("ja ; q=0.4 , en ; Q=0.5", "en-US"),
    ],
)
def test_the_language_is_negotiated(header, expected):
    assert _negotiate(header) == expected


@given(st.text(alphabet="abzhjen-CNUS*;=q,. 0159é\x00") | st.text())
def test_no_header_makes_negotiation_fail(header):
    assert _negotiate(header) in settings.LOCALES


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en-US"),
        ({"LANG": "C"}, "en-US"),
        ({"LANG": "C.UTF-8"}, "en-US"),
        ({"LANG": "POSIX"}, "en-US"),
        ({"LANG": "zh_CN.UTF-8"}, "zh-CN"),
        ({"LANG": "zh_TW"}, "zh-CN"),
        ({"LANG": "ja_JP.eucJP"}, "ja-JP"),
        ({"LANG": "de_DE@euro"}, "en-US"),
        ({"LANG": "zh_CN", "LC_MESSAGES": "ja_JP"}, "ja-JP"),
        ({"LANG": "zh_CN", "LC_MESSAGES": "zh_CN", "LC_ALL": "ja_JP"}, "ja-JP"),
        ({"LANG": "zh_CN", "LC_ALL": ""}, "zh-CN"),
    ],
)
def test_the_terminal_speaks_its_own_language(monkeypatch, variables, expected):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert locales.system() == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "The server found 0 problems in f"),
        (1, "The server found 1 problem in f"),
        (12_345, "The server found 12,345 problems in f"),
    ],
)
def test_numbers_have_their_form(count: int, expected: str):
    shown = locales.message("errors.batch_refused", "en-US", problems=count, path="f")

    assert shown.startswith(expected)
    for locale in ("zh-CN", "ja-JP"):
        assert f"{count:,}" in locales.message("errors.batch_refused", locale, problems=count)


def test_a_missing_key_is_said_in_the_configured_fallback(monkeypatch):
    known = {"ja-JP": {"a.b": "はい"}, "zh-CN": {}, "en-US": {"a.b": "yes"}}
    monkeypatch.setattr(locales, "texts", lambda name: known.get(name, {}))

    assert locales.message("a.b", "zh-CN", fallback="ja-JP") == "はい"
    assert locales.message("a.b", "zh-CN") == "yes"
    assert locales.message("a.b", "fr", fallback="zh-CN") == "yes"


_SHOWN = {"echo", "secho", "ClickException", "UsageError", "BadParameter", "abort", "confirm"}
_SHOWN |= {"write_paragraph", "write_text", "add_column", "Panel"}
_SPOKEN = {"help", "prompt", "short_help", "epilog", "description"}
_PROSE = re.compile(r"[A-Za-z]{2,},? [a-z]{2,}|[぀-鿿]")


def _literals(node: ast.AST) -> list[str]:
    """Every literal text below a node."""
    inner = (each for each in ast.walk(node) if isinstance(each, ast.Constant))
    return [each.value for each in inner if isinstance(each.value, str)]


def _spoken(call: ast.Call) -> list[ast.expr]:
    """The arguments of a call that a person will read."""
    named = [word.value for word in call.keywords if word.arg in _SPOKEN]
    is_shown = ast.unparse(call.func).split(".")[-1] in _SHOWN
    return [*named, *(call.args if is_shown else ())]


def test_no_message_stands_in_the_code():
    """What a person reads comes from the message files; logs are for operators, in English."""
    found = [
        f"{file}: {text}"
        for file, call in _calls()
        for argument in _spoken(call)
        for text in _literals(argument)
        if _PROSE.search(text) and not re.fullmatch(r"[a-z_.]+", text)
    ]

    assert found == []


def test_no_literal_goes_into_a_value_of_an_error():
    """A word that is put into a message must be translated too: it is an error of its own."""
    found = [
        f"{file}: {text}"
        for file, call in _calls()
        if ast.unparse(call.func).split(".")[-1] in KINDS
        for word in call.keywords
        for text in _literals(word.value)
        if word.arg not in ("param", None) and _PROSE.search(text)
    ]

    assert found == []
