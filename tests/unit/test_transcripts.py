"""Text from tokens: whole characters only, cut at stop strings wherever they fall."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.inference import decoding, randoms, spelling
from app.inference.transcripts import Transcript

TOKENIZER = randoms.build_tokenizer()
SPELLING = spelling.read(TOKENIZER)


def _decode(tokens):
    return TOKENIZER.decode(list(tokens), skip_special_tokens=True)


def _pieces():
    return decoding.Pieces(SPELLING, strips=True)


def _windows():
    return decoding.Windows(_decode)


DECODERS = pytest.mark.parametrize("start", [_pieces, _windows])


def _read_singly(data, stops=(), start=_pieces):
    transcript = Transcript(start(), stops)
    shown = []
    for byte in data:
        transcript.read([byte])
        shown.append(transcript.text)
    transcript.finish(list(data))
    return transcript, shown


@DECODERS
def test_a_character_of_several_tokens_appears_when_it_is_whole(start):
    _, shown = _read_singly("a你🙂b".encode(), start=start)

    assert shown == ["a", "a", "a", "a你", "a你", "a你", "a你", "a你🙂", "a你🙂b"]


@DECODERS
def test_a_character_that_was_never_finished_is_left_out(start):
    transcript, _ = _read_singly("好吗".encode()[:-1], start=start)

    assert transcript.text == "好"


@DECODERS
def test_bytes_that_are_no_text_are_shown_as_replaced(start):
    transcript, _ = _read_singly(b"a\xffb", start=start)

    assert transcript.text == "a\ufffdb"


@DECODERS
@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_comes_through_token_by_token_and_at_once(start, text):
    data = text.rstrip("\ufffd").encode()
    singly, shown = _read_singly(data, start=start)
    at_once = Transcript(start(), ())
    at_once.finish(list(data))

    assert singly.text == at_once.text == data.decode()
    assert all(data.decode().startswith(each) for each in shown)


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("one END two", ("END",), "one "),
        ("one EN", ("END",), "one EN"),
        ("ENDless", ("END",), ""),
        ("a||b##c", ("##", "||"), "a"),
        ("前文終わり後文", ("終わり",), "前文"),
        ("x\n\ny", ("\n\n",), "x"),
        ("aaab", ("aab",), "a"),
        ("nothing", (), "nothing"),
    ],
)
def test_text_ends_before_the_first_stop_string(text, stops, expected):
    transcript, _ = _read_singly(text.encode(), stops)

    assert transcript.text == expected
    assert transcript.is_stopped == (text != expected)


def test_the_first_stop_string_wins_when_one_token_brings_two():
    whole = decoding.Windows(lambda tokens: "one STOP two END"[: 16 * len(tokens)])
    transcript = Transcript(whole, ("END", "STOP"))

    transcript.read([0])

    assert transcript.text == "one "


@given(st.text(alphabet="ab", max_size=30), st.text(alphabet="ab", min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_stopping_agrees_with_a_search_in_the_whole_text(text, stop):
    transcript, _ = _read_singly(text.encode(), (stop,))

    assert transcript.text == text.partition(stop)[0]


@given(
    st.text(alphabet="ab你", max_size=30),
    st.lists(st.text(alphabet="ab你", min_size=1, max_size=4), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_what_was_taken_is_never_taken_back_and_nothing_certain_is_kept(text, stops):
    transcript, taken = Transcript(_pieces(), stops), ""
    for byte in text.encode():
        transcript.read([byte])
        taken += transcript.take()
        held = transcript.text[len(taken) :]
        assert not held or any(stop.startswith(held) for stop in stops)
        if transcript.is_stopped:
            break
    transcript.finish([])
    taken += transcript.take()

    ends = [text.index(stop) for stop in stops if stop in text]
    assert taken == transcript.text
    assert len(stops) > 1 or taken == text[: min(ends, default=None)]
