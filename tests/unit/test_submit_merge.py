"""One result for every input line, in input order, from files in any order."""

import io
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from app.cli.submit import merge


def result(
    custom_id: str, status: int = 200, body: Any = None, error: Any = None
) -> dict[str, Any]:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    response = {"status_code": status, "body": {"usage": usage} if body is None else body}
    return {"id": "x", "custom_id": custom_id, "response": response, "error": error}


def write(path: Path, results: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(result) + "\n" for result in results))
    return path


def merged(ids: list[str], *paths: Path) -> tuple[list[dict[str, Any]], merge.Tally]:
    out, tally = io.BytesIO(), merge.Tally()
    merge.merge_results(ids, list(paths), out, tally, missing="result_missing")
    return [json.loads(line) for line in out.getvalue().splitlines()], tally


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_two_files_in_any_order_become_one_in_input_order(tmp_path: Path, seed: int | None) -> None:
    ids = [f"line-{number}" for number in range(100)]
    good = [result(name) for name in ids if not name.endswith("7")]
    bad = [result(name, 400) for name in ids if name.endswith("7")]
    if seed:
        random.Random(seed).shuffle(good)
        random.Random(seed + 9).shuffle(bad)

    lines, tally = merged(ids, write(tmp_path / "good", good), write(tmp_path / "bad", bad))

    assert [line["custom_id"] for line in lines] == ids
    assert (tally.succeeded, tally.failed) == (90, 10)
    assert (tally.prompt_tokens, tally.completion_tokens) == (90, 180)


def test_an_error_of_a_line_that_the_server_named_otherwise_is_found_by_its_number(
    tmp_path: Path,
) -> None:
    ids = ["a", "nul\0id", "second", "b"]
    unread = {"code": "nul_character", "message": "no", "line": 2}
    doubled = {"code": "json_duplicate_key", "message": "no", "line": 3}
    bad: list[dict[str, Any]] = [{"id": None, "custom_id": None, "response": None, "error": unread}]
    answer = {"status_code": 400, "request_id": "r", "body": {"error": doubled}}
    bad += [{"id": "x", "custom_id": "first", "response": answer, "error": None}]

    lines, tally = merged(
        ids, write(tmp_path / "good", [result("a"), result("b")]), write(tmp_path / "bad", bad)
    )

    assert [line["custom_id"] for line in lines] == ids
    assert lines[1]["error"]["code"] == "nul_character"
    assert lines[2]["response"]["body"]["error"]["code"] == "json_duplicate_key"
    assert (tally.succeeded, tally.failed) == (2, 2)


def test_results_in_input_order_need_no_index(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ids = ["a", "b", "c"]
    good = write(tmp_path / "good", [result("a"), result("c")])

    merged(ids, good, write(tmp_path / "bad", [result("b", 500)]))

    assert "index" not in caplog.text


def test_a_line_without_result_is_written_as_an_error(tmp_path: Path) -> None:
    lines, tally = merged(["a", "b", "c"], write(tmp_path / "out", [result("a"), result("c")]))

    assert [line["custom_id"] for line in lines] == ["a", "b", "c"]
    assert lines[1] == {
        "id": None,
        "custom_id": "b",
        "response": None,
        "error": {
            "code": "result_missing",
            "message": "The server rendered no result for this request.",
        },
    }
    assert (tally.succeeded, tally.failed) == (2, 1)


def test_tokens_of_responses_are_counted_by_their_own_names(tmp_path: Path) -> None:
    usage = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    answers = [result("a", body={"object": "response", "usage": usage}), result("b")]

    _, tally = merged(["a", "b"], write(tmp_path / "out", answers))

    assert (tally.prompt_tokens, tally.completion_tokens) == (6, 9)


def test_without_any_file_every_line_is_an_error() -> None:
    lines, tally = merged(["a", "b"])

    assert [line["error"]["code"] for line in lines] == ["result_missing"] * 2
    assert tally.failed == 2


def test_results_given_twice_or_for_nobody_are_left_out(tmp_path: Path) -> None:
    rendered = [result("a"), result("a"), result("stranger"), result("b")]

    lines, _ = merged(["a", "b"], write(tmp_path / "out", rendered))

    assert [line["custom_id"] for line in lines] == ["a", "b"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (result("a"), True),
        (result("a", 400), False),
        (result("a", error={"code": "x", "message": "y"}), False),
        (result("a", body="not an object"), False),
        ({"custom_id": "a", "response": None, "error": {"code": "x"}}, False),
        ({"custom_id": "a", "response": {"status_code": None}, "error": None}, False),
    ],
)
def test_success_is_an_answer_of_the_model(found: dict[str, Any], expected: bool) -> None:
    assert merge.is_success(found) is expected


def test_memory_does_not_grow_with_the_size_of_the_results(tmp_path: Path) -> None:
    ids = [f"line-{number}" for number in range(20_000)]
    rendered = [result(name, body={"text": "x" * 500}) for name in ids]
    random.Random(5).shuffle(rendered)
    path = write(tmp_path / "out", rendered)
    del rendered

    with (tmp_path / "merged").open("wb") as out:
        tracemalloc.start()
        merge.merge_results(ids, [path], out, merge.Tally(), missing="result_missing")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert path.stat().st_size > 10_000_000
    assert peak < 4_000_000


def test_a_result_is_one_line_for_every_reader(tmp_path: Path) -> None:
    told = result("a", body={"text": "b\u2028c\x85d\u2029e", "usage": {}})
    out = io.BytesIO()

    merge.merge_results(
        ["a"], [write(tmp_path / "good", [told])], out, merge.Tally(), missing="result_missing"
    )

    assert len(out.getvalue().decode().splitlines()) == 1
    assert json.loads(out.getvalue()) == told
