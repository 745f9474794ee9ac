"""What click says of itself is in the terminal's language, and all of it is still click's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from app import locales
from app.cli import phrases


def _run(locale: str, *words: str) -> str:
    """In a process of its own: a command keeps the texts of the first language it is shown in."""
    command = [sys.executable, "-m", "app.cli", *words]
    env = os.environ | {"LC_ALL": locale}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("ja_JP.UTF-8", ("使い方: ", "オプション:", "このヘルプを表示", "バージョンを表示")),
        ("zh_CN.UTF-8", ("用法： ", "选项:", "显示此帮助", "显示版本")),
        ("C.UTF-8", ("Usage: ", "Options:", "Show this message", "Show the version")),
    ],
)
def test_help_is_in_one_language(locale: str, expected: tuple[str, ...]):
    shown = _run(locale, "--help")

    assert all(each in shown for each in expected), shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("memory", "export"), "エラー: 引数がありません 'SESSION_ID'."),
        (("batches", "--nope"), "エラー: オプション '--nope' はありません。"),
        (("nope",), "エラー: コマンド 'nope' はありません。"),
        (("weights", "verify", "a", "b"), "エラー: 余分な引数があります (b)"),
    ],
)
def test_a_wrong_command_line_is_refused_in_the_language_of_the_terminal(
    words: tuple[str, ...], expected: str
):
    shown = _run("ja_JP.UTF-8", *words)

    assert expected in shown
    assert "Error" not in shown
    assert "Usage" not in shown


def test_the_english_section_holds_click_s_own_words():
    """A text that a later click words differently would be left in English unnoticed."""
    source = "".join(path.read_text("utf-8") for path in Path(click.__file__).parent.glob("*.py"))
    source = re.sub(r'"\s*\n\s*"', "", source)
    english = locales.texts(locales.FALLBACK)

    unknown = [
        text
        for key, text in english.items()
        if key.startswith("click.") and f'"{text}"' not in source
    ]

    assert unknown == []
    assert vars(click.core)["_"] is phrases.translate
