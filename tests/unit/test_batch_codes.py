"""docs/batches.md has every code that a batch or a line of one can end with."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import locales
from app.inference import markers
from app.intake import schemas
from app.wire import flaws, render

ROOT = Path(__file__).parents[2]
PLACES = ("intake", "workers", "inference", "text", "wire", "models")
BATCH = "BadLine"
LINE = ("RefusedLine", "BadRequest", "EngineError", "Problem", "PydanticCustomError")
NOT_OF_LINES = {
    "body_not_object",  # the body is an object where a line comes this far
    "identical_request",  # a note of the pre-flight
    "lengths_unknown",  # the same
    "invalid_json",  # told as invalid_json_line
    "invalid_utf8",  # the same
    "previous_response_failed",  # lines of a batch follow on lines
    "previous_response_not_found",
    "previous_response_pending",
    "webhook_address_private",
    "webhook_not_allowed",
    "webhook_url_invalid",
    "webhooks_not_configured",
}
LOSSES = {"batch_expired", "batch_cancelled", "job_cancelled", "session_deleted"}
TABLE = re.compile(
    r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| ((?:batch|line|loss)[^|]*) \|", re.MULTILINE
)


def find_codes(*kinds: str) -> set[str]:
    """The literal codes that these errors are made with."""
    return {
        node.args[0].value
        for place in PLACES
        for path in (ROOT / "app" / place).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and node.args
        if getattr(node.func, "id", getattr(node.func, "attr", "")) in kinds
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }


def read_table() -> Iterator[tuple[str, str]]:
    """Each code with where it shows."""
    page = (ROOT / "docs" / "batches.md").read_text(encoding="utf-8")
    section = page.split("## Codes of a batch and of its lines")[1].split("\n## ")[0]
    for names, where in TABLE.findall(section):
        yield from ((code, where) for code in re.findall(r"[a-z_]+", names))


SHOWN = dict(read_table())


def of_lines() -> set[str]:
    engine = set(markers.FAILURES.values()) | render.SERVER_FAULTS
    translated = {code for code, _ in flaws._LENGTHS.values()} | flaws._OWN
    found = (
        find_codes(*LINE)
        | engine
        | translated
        | schemas.CODES
        | {"unknown_parameter", "unsupported_parameter"}
    )
    return found - NOT_OF_LINES - {"input_lost"}


def test_every_code_that_fails_a_whole_batch_is_in_the_table() -> None:
    codes = find_codes(BATCH)

    assert len(codes) > 12
    assert codes == {code for code, where in SHOWN.items() if where.startswith("batch")}


def test_every_code_that_fails_a_line_alone_is_in_the_table() -> None:
    codes = of_lines()

    assert len(codes) > 40
    assert codes == {code for code, where in SHOWN.items() if "line" in where}


def test_every_reason_why_a_line_was_not_run_is_in_the_table() -> None:
    assert {code for code, where in SHOWN.items() if where == "loss"} == LOSSES


@pytest.mark.parametrize("locale", ["en-US", "zh-CN", "ja-JP"])
def test_every_code_of_a_line_has_a_text(locale: str) -> None:
    texts = locales.texts(locale)

    assert not [code for code in of_lines() | LOSSES if f"errors.{code}" not in texts]
