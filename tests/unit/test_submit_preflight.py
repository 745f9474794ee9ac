"""What the parts of a file add up to, as `autoglm submit --check --server` says it."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app import cli
from app.cli import submit
from app.cli.batches import calls
from app.cli.submit.preflight import Judgement


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")


def part(prompt_tokens: int | None, minutes: float | None, reason: str | None) -> dict[str, Any]:
    return {
        "lines": 2,
        "errors": 0,
        "warnings": 1,
        "prompt_tokens": prompt_tokens,
        "max_answer_tokens": 10,
        "estimate": {"device_minutes": minutes, "reason": reason},
    }


def test_parts_are_added_up() -> None:
    judgement = Judgement()

    for each in (part(3, 0.1, None), part(4, 0.2, None)):
        judgement.add(each)

    assert (judgement.batches, judgement.lines, judgement.warnings) == (2, 4, 2)
    assert (judgement.prompt_tokens, judgement.device_minutes) == (7, 0.3)
    assert "7 prompt tokens" in submit._describe(Path("in.jsonl"), judgement)


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        (part(None, None, "lengths_unknown"), "tokenizer cannot be loaded"),
        (part(3, None, "no_finished_work"), "has finished no work yet"),
    ],
)
def test_what_is_unknown_of_a_part_is_unknown_of_all(unknown: dict[str, Any], said: str) -> None:
    judgement = Judgement()

    for each in (unknown, part(4, 0.2, None)):
        judgement.add(each)

    assert judgement.device_minutes is None
    assert judgement.prompt_tokens == (None if unknown["prompt_tokens"] is None else 7)
    text = submit._describe(Path("in.jsonl"), judgement)
    assert said in text
    assert ("? prompt tokens" in text) == (judgement.prompt_tokens is None)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_requests_is_refused_before_a_server_is_asked(
    content: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(content)
    nowhere = ("--server", "http://127.0.0.1:9", "--timeout", "0")

    result = CliRunner().invoke(cli.main, ["submit", str(path), "--check", *nowhere])

    assert result.exit_code == 2
    assert f"{path}: empty_file" in result.stderr


@pytest.mark.parametrize("start", ["", "\ufeff", "\n", "\ufeff \r\n\n"])
def test_the_endpoint_is_that_of_the_first_line_that_is_not_blank(
    start: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(start + '{"url": "/v1/responses"}\n{"url": "/v1/completions"}\n')

    assert calls.guess_endpoint(path) == "/v1/responses"


@pytest.mark.parametrize("content", ["", "\n", "{", "[]", "{}", '{"url": 1}'])
def test_a_file_that_names_no_endpoint_is_sent_as_chats(content: str, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(content)

    assert calls.guess_endpoint(path) == "/v1/chat/completions"
