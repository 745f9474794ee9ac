"""The state of a submission on disk."""

from pathlib import Path

import pytest

from app import errors
from app.cli.submit import division, lines, state


def make_state() -> state.State:
    chunks = [
        division.Chunk(lines.Span(1, 0, 90), 3, 90),
        division.Chunk(lines.Span(4, 90, 120), 1, 30),
    ]
    parts = (state.Part(chunks[0], "file-1", "batch_1"), state.Part(chunks[1]))
    return state.State("ab" * 32, "http://127.0.0.1:1", "/v1/completions", "run", parts)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    state.save_state(tmp_path / "state", make_state())

    assert state.load_state(tmp_path / "state") == make_state()
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_without_a_file_there_is_no_state(tmp_path: Path) -> None:
    assert state.load_state(tmp_path / "state") is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"version": 99, "parts": []}', b'{"version": 1}']
)
def test_a_file_that_is_no_state_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)

    with pytest.raises(errors.InputError) as caught:
        state.load_state(path)

    assert caught.value.code == "unreadable_state"
    assert caught.value.values["path"] == str(path)


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")

    with pytest.raises(UnicodeEncodeError), state.replacing(path) as target:
        target.write_text("half \ud800")

    assert path.read_text() == "old"


def test_the_same_results_cannot_be_locked_twice(tmp_path: Path) -> None:
    with (
        state.locked(tmp_path / "out"),
        pytest.raises(errors.InputError, match="submission_running"),
        state.locked(tmp_path / "out"),
    ):
        pass

    with state.locked(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []
