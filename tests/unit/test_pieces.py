"""What a stream shows: no gap, no repetition, one attempt."""

from dataclasses import replace

import pytest

from app.api.pieces import Piece, Pieces
from app.errors import Unavailable
from app.wire.rows import Chunk
from tests.unit.test_wire_render import JOB


def chunk(start: int, text: str, attempt: int = 1) -> Chunk:
    return Chunk(JOB.id, attempt, 0, start, text)


def test_chunks_are_shown_once_and_the_result_adds_the_rest() -> None:
    pieces = Pieces()

    shown = list(pieces.accept([chunk(0, "he"), chunk(0, "he"), chunk(2, "l")]))

    assert shown == [Piece(0, "he"), Piece(0, "l")]
    assert list(pieces.rest(JOB)) == [Piece(0, "lo")]


def test_after_a_gap_nothing_is_shown_until_the_result_closes_it() -> None:
    pieces = Pieces()

    shown = list(pieces.accept([chunk(0, "h"), chunk(2, "l"), chunk(3, "l")]))

    assert shown == [Piece(0, "h")]
    assert list(pieces.rest(JOB)) == [Piece(0, "ello")]


def test_another_attempt_ends_a_stream_that_has_begun() -> None:
    pieces = Pieces()
    list(pieces.accept([chunk(0, "he")]))

    with pytest.raises(Unavailable, match="stream_broken"):
        list(pieces.accept([chunk(0, "he", attempt=2)]))
    with pytest.raises(Unavailable, match="stream_broken"):
        list(pieces.rest(replace(JOB, attempt=2)))


def test_who_comes_late_is_shown_the_newest_attempt_alone() -> None:
    """So a call that is repeated under its key after `stream_broken` gets an answer."""
    pieces = Pieces()

    shown = list(pieces.accept([chunk(0, "ha"), chunk(0, "he", 2), chunk(2, "l", 2)]))

    assert shown == [Piece(0, "he"), Piece(0, "l")]
    assert list(pieces.rest(replace(JOB, attempt=2))) == [Piece(0, "lo")]


def test_a_patient_reader_goes_on_with_another_attempt_that_says_the_same() -> None:
    pieces = Pieces(is_patient=True)

    shown = list(pieces.accept([chunk(0, "he"), chunk(0, "h", attempt=2), chunk(1, "ell", 2)]))

    assert shown == [Piece(0, "he"), Piece(0, "ll")]
    assert list(pieces.rest(replace(JOB, attempt=3))) == [Piece(0, "o")]


def test_a_patient_reader_is_told_of_an_attempt_that_says_something_else() -> None:
    pieces = Pieces(is_patient=True)

    with pytest.raises(Unavailable, match="stream_broken"):
        list(pieces.accept([chunk(0, "he"), chunk(0, "ha", attempt=2)]))


def test_each_piece_has_the_scores_of_its_tokens_and_the_result_those_of_the_rest() -> None:
    scores = [{"token": letter} for letter in "hello"]
    assert JOB.result
    result = replace(JOB.result, details={"logprobs": scores})
    pieces = Pieces()

    shown = list(pieces.accept([Chunk(JOB.id, 1, 0, 0, "he", logprobs=scores[:2])]))

    assert shown == [Piece(0, "he", scores[:2])]
    assert list(pieces.rest(replace(JOB, result=result))) == [Piece(0, "llo", scores[2:])]


def test_another_attempt_before_any_text_is_no_matter() -> None:
    assert list(Pieces().accept([chunk(0, "he", attempt=2)])) == [Piece(0, "he")]
    assert list(Pieces().rest(replace(JOB, attempt=3))) == [Piece(0, "hello")]


def test_a_result_that_is_not_what_was_shown_breaks_the_stream() -> None:
    pieces = Pieces()
    list(pieces.accept([chunk(0, "ha")]))

    with pytest.raises(Unavailable, match="stream_broken"):
        list(pieces.rest(JOB))
