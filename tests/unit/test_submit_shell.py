"""The `autoglm` command itself: help, exit statuses, lazy imports."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from app import cli, errors

HEAVY = ("torch", "transformers", "flask", "celery", "sqlalchemy", "httpx", "rich")


def run_raising(error: BaseException) -> Result:
    @click.group(cls=cli.Commands)
    def group() -> None:
        raise error

    return CliRunner(env={"LC_ALL": "C"}).invoke(group, ["submit"])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.SettingsError("server_unexpected", url="u"), 2),
        (errors.InputError("server_unexpected", url="u"), 2),
        (errors.AutoglmError("server_unexpected", url="u"), 1),
        (errors.NotFound("server_unexpected", url="u"), 1),
    ],
)
def test_a_deliberate_error_is_explained_with_its_exit_status(
    error: errors.AutoglmError, status: int
) -> None:
    result = run_raising(error)

    assert result.exit_code == status
    assert "did not answer like this service" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_exits_130_quietly(error: BaseException) -> None:
    result = run_raising(error)

    assert result.exit_code == 130
    assert result.output == ""


def test_other_exceptions_are_not_hidden() -> None:
    assert isinstance(run_raising(ZeroDivisionError()).exception, ZeroDivisionError)


def test_help_lists_the_commands_that_exist_and_imports_none() -> None:
    code = (
        "import sys; from app.cli import main; main(['--help'], standalone_mode=False)\n"
        f"print([m for m in sys.modules if m.split('.')[0] in {HEAVY!r}"
        " or m.startswith('app.cli.') and m != 'app.cli.phrases'])"  # click's own words
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "submit" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(cli.main, ["submitt"])

    assert result.exit_code == 2
    assert "submitt" in result.output


def test_version_is_printed() -> None:
    assert CliRunner().invoke(cli.main, ["--version"]).output.startswith("autoglm, version ")


@pytest.mark.parametrize(
    ("locale", "text"), [("zh_CN.UTF-8", "提交"), ("ja_JP.UTF-8", "送信"), ("C", "Send FILE")]
)
def test_help_speaks_the_language_of_the_terminal(
    locale: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    code = "from app.cli import main; main(['submit', '--help'])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert text in done.stdout


def test_message_keys_in_a_command_and_its_subcommands_become_messages() -> None:
    @click.command("inner", help="cli.command_up")
    @click.option("--flag", help="cli.command_db")
    def inner() -> None: ...

    outer = click.Group("outer", help="Plain text stays.", commands=[inner])

    cli._translate(outer)

    assert outer.help == "Plain text stays."
    assert inner.help == cli.say("cli.command_up")
    assert getattr(inner.params[0], "help", "") == cli.say("cli.command_db")


def test_check_lists_every_problem_and_exits_2(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{\n{"custom_id": "a"}\n')

    result = CliRunner(env={"LC_ALL": "C"}).invoke(cli.main, ["submit", "--check", str(path)])

    assert result.exit_code == 2
    assert f"{path}:1: invalid_json_line: This line is not valid JSON." in result.stderr
    assert f"{path}:2: missing_required_parameter" in result.stderr
    assert "nothing was sent" in result.stderr


def test_check_as_json_prints_one_object_for_each_problem(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("{\n")

    result = CliRunner(env={"LC_ALL": "C"}).invoke(
        cli.main, ["submit", "--check", "--json", str(path)]
    )

    assert result.stdout == (
        '{"line":1,"code":"invalid_json_line","param":null,'
        '"message":"This line is not valid JSON."}\n'
    )
