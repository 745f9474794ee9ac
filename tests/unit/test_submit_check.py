"""The rules of an input file."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from app.cli.submit import check, division


def record(custom_id: Any = "a", **changes: Any) -> dict[str, Any]:
    body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
    line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return {**line, **changes}


def problems(path: Path, content: bytes, **limits: int) -> list[tuple[int | None, str, str | None]]:
    path.write_bytes(content)
    found: list[check.Problem] = []
    check.check_file(path, division.Limits(**limits), found.append)
    return [(problem.line, problem.code, problem.param) for problem in found]


def encode(*records: Any) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b'{"custom_id": NaN}', "json_bad_number", None),
        (b'{"custom_id": 1E400}', "json_bad_number", None),
        (b'{"custom_id": "\\ud800"}', "json_surrogate", None),
        (b"[" * 9000, "json_too_deep", None),
        (b'{"custom_id": "\xff"}', "invalid_utf8", None),
        (b"[1]", "not_an_object", None),
        (encode(record(custom_id="")), "invalid_custom_id", "custom_id"),
        (encode(record(custom_id="x" * 65)), "invalid_custom_id", "custom_id"),
        (encode(record(custom_id=7)), "invalid_type", "custom_id"),
        (encode(record(custom_id=None)), "missing_required_parameter", "custom_id"),
        (encode(record(method="GET")), "invalid_method", "method"),
        (encode(record(method=None)), "missing_required_parameter", "method"),
        (encode(record(url="/v1/embeddings")), "unknown_url", "url"),
        (encode(record(url=None)), "missing_required_parameter", "url"),
        (encode(record(url=["/v1/completions"])), "invalid_type", "url"),
        (encode(record(body=[])), "invalid_type", "body"),
        (encode(record(body=None)), "missing_required_parameter", "body"),
        (encode(record() | {"extra": 1}), "unknown_parameter", "extra"),
        (encode(record(body={"messages": [{}]})), "missing_model", "body.model"),
        (encode(record(body={"model": 3, "messages": [{}]})), "missing_model", "body.model"),
        (encode(record(body={"model": "m"})), "missing_messages", "body.messages"),
        (encode(record(body={"model": "m", "messages": []})), "missing_messages", "body.messages"),
        (
            encode(record(url="/v1/completions", body={"model": "m", "prompt": ""})),
            "missing_prompt",
            "body.prompt",
        ),
        (
            encode(record(body={"model": "m", "messages": [{}], "stream": True})),
            "streaming_unsupported",
            "body.stream",
        ),
    ],
)
def test_each_broken_rule_has_its_code_and_param(
    tmp_path: Path, line: bytes, code: str, param: str | None
) -> None:
    assert problems(tmp_path / "in", line) == [(1, code, param)]


def test_all_bad_lines_are_found_in_one_pass_by_their_numbers(tmp_path: Path) -> None:
    lines = [
        encode(record("a")),
        b"\n",
        b"{\n",
        encode(record("a")),
        encode(record("b", url="/v1/completions", body={"model": "demo", "prompt": "x"})),
        encode(record("c", body={"model": "other", "messages": [{}]})),
        encode(record(None, method=None)),
        encode(record("d", body={"model": "demo", "messages": [{}], "stream": False})),
    ]

    assert problems(tmp_path / "in", b"".join(lines)) == [
        (3, "invalid_json_line", None),
        (4, "duplicate_custom_id", "custom_id"),
        (5, "invalid_url", "url"),
        (6, "mismatched_model", "body.model"),
        (7, "missing_required_parameter", "custom_id"),
        (7, "missing_required_parameter", "method"),
    ]


def test_the_first_use_of_a_duplicate_is_named(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(encode(record("a"), record("b"), record("b")))
    found: list[check.Problem] = []

    check.check_file(tmp_path / "in", division.Limits(), found.append)

    assert found[0].message == "The custom_id 'b' was already used on line 2."


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_a_file_without_requests_is_refused(tmp_path: Path, content: bytes) -> None:
    assert problems(tmp_path / "in", content) == [(None, "empty_file", None)]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_mark_line_ends_and_blank_lines_are_tolerated(tmp_path: Path, end: bytes) -> None:
    lines = [json.dumps(record(name)).encode() for name in "ab"]

    assert problems(tmp_path / "in", b"\xef\xbb\xbf" + b"\r\n\r\n".join(lines) + end) == []


def test_a_mark_in_the_middle_is_not_tolerated(tmp_path: Path) -> None:
    content = encode(record("a")) + b"\xef\xbb\xbf" + encode(record("b"))

    assert problems(tmp_path / "in", content) == [(2, "invalid_json_line", None)]


def test_a_line_over_the_limit_is_refused_and_the_next_one_is_read(tmp_path: Path) -> None:
    content = encode(record("a"), {"long": "x" * 3000}, record("a"))

    assert problems(tmp_path / "in", content, line_bytes=1000) == [
        (2, "line_too_long", None),
        (3, "duplicate_custom_id", "custom_id"),
    ]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_of_exactly_the_limit_passes(tmp_path: Path, end: bytes) -> None:
    line = json.dumps(record("a")).encode()

    assert problems(tmp_path / "in", line + end, line_bytes=len(line)) == []
    assert problems(tmp_path / "in", line + end, line_bytes=len(line) - 1) != []


def test_an_endless_line_is_never_held_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "in").open("wb") as out:
        for _ in range(40):
            out.write(b"x" * 1024 * 1024)

    tracemalloc.start()
    found: list[check.Problem] = []
    check.check_file(tmp_path / "in", division.Limits(line_bytes=1024 * 1024), found.append)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [problem.code for problem in found] == ["line_too_long"]
    assert peak < 8 * 1024 * 1024


def test_chunks_cover_the_file_within_the_limits(tmp_path: Path) -> None:
    content = encode(*(record(f"id-{number}") for number in range(25)))
    (tmp_path / "in").write_bytes(content)
    limits = division.Limits(batch_lines=10, batch_bytes=1500)

    verdict = check.check_file(tmp_path / "in", limits, lambda problem: None)

    spans = [(chunk.span.start, chunk.span.end) for chunk in verdict.chunks]
    assert sum(chunk.lines for chunk in verdict.chunks) == verdict.lines == 25
    assert all(chunk.lines <= 10 and chunk.bytes <= 1500 for chunk in verdict.chunks)
    assert [start for start, _ in spans[1:]] == [end for _, end in spans[:-1]]
    assert (spans[0][0], spans[-1][1]) == (0, len(content))


def test_text_of_the_file_cannot_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(encode(record("a", method="\x1b[2J" + "x" * 500)))
    found: list[check.Problem] = []

    check.check_file(tmp_path / "in", division.Limits(), found.append)

    assert found[0].message.isprintable()
    assert len(found[0].message) < 150


def follow_up(custom_id: str, previous: str | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "demo", "messages": [{}], "previous_response_id": previous}
    return record(custom_id, body=body)


def divide(path: Path, previous: dict[str, str], **limits: int) -> list[int]:
    """How many of the lines a to h each batch has; some follow on another one."""
    records = [follow_up(name, previous.get(name)) for name in "abcdefgh"]
    path.write_bytes(encode(*records))
    verdict = check.check_file(path, division.Limits(**limits), lambda _problem: None)
    spans = [chunk.span for chunk in verdict.chunks]
    assert [span.start for span in spans[1:]] == [span.end for span in spans[:-1]]
    assert spans[-1].end == path.stat().st_size
    return [] if verdict.problems else [chunk.lines for chunk in verdict.chunks]


@pytest.mark.parametrize(
    ("previous", "batches"),
    [
        ({}, [3, 3, 2]),
        ({"d": "custom_id:c"}, [2, 3, 3]),
        ({"d": "custom_id:b", "e": "resp_1"}, [1, 3, 3, 1]),
        ({"c": "custom_id:b", "d": "custom_id:c", "h": "custom_id:g"}, [1, 3, 2, 2]),
        ({"c": "custom_id:b", "b": "custom_id:a"}, [3, 3, 2]),
        ({"d": "custom_id:a"}, []),
        ({"c": "custom_id:a", "d": "custom_id:b"}, []),
        ({"a": "custom_id:h", "b": "custom_id:none"}, [3, 3, 2]),
    ],
)
def test_lines_that_follow_on_one_another_are_not_cut_apart(
    tmp_path: Path, previous: dict[str, str], batches: list[int]
) -> None:
    assert divide(tmp_path / "in", previous, batch_lines=3) == batches


def test_a_conversation_that_no_batch_takes_is_refused_by_its_first_line(tmp_path: Path) -> None:
    content = encode(record("z"), *(follow_up(n, "custom_id:a") for n in "abc"))

    found = problems(tmp_path / "in", content, batch_bytes=300)

    assert found == [(2, "conversation_too_long", "body.previous_response_id")]


def test_a_line_that_a_server_would_refuse_alone_is_told_in_its_words(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b'{"custom_id": NaN}')
    found: list[check.Problem] = []

    check.check_file(path, division.Limits(), found.append)

    assert found[0].message == "The JSON contains NaN, which is not a number that can be used."
