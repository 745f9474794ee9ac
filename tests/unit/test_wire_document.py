"""JSON from outside: what is refused, and by which name."""

import pytest

from app.errors import BadRequest
from app.wire import document


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_json"),
        (b'{"a": 1', "invalid_json"),
        (b'{"a": 1} x', "invalid_json"),
        (b'"a\x00b"', "invalid_json"),
        (b"\xff\xfe", "invalid_utf8"),
        (b"[" * 100_000, "json_too_deep"),
        (b"[" * 100_000 + b"]" * 100_000, "json_too_deep"),
        (b'{"a": NaN}', "json_bad_number"),
        (b"-Infinity", "json_bad_number"),
        (b"1e999", "json_bad_number"),
        (b"1" * 5000, "json_bad_number"),
        (b'{"a": 1, "a": 2}', "json_duplicate_key"),
        (b'{"a": "\\ud800"}', "json_surrogate"),
        (b'{"\\udc00": 1}', "json_surrogate"),
        (b'["\\u0000"]', "nul_character"),
    ],
)
def test_a_text_that_cannot_be_stored_is_refused_by_name(content: bytes, code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        document.loads(content)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        (rb'"\\u0000"', "\\u0000"),
        ('{"名": ["前", 1.5, true, null]}'.encode(), {"名": ["前", 1.5, True, None]}),
    ],
)
def test_a_good_text_is_read_as_it_is(content: bytes, value: object) -> None:
    assert document.loads(content) == value


def test_the_place_of_a_mistake_is_named() -> None:
    with pytest.raises(BadRequest) as caught:
        document.loads(b'{"a": 1,\n "b" 2}')

    assert caught.value.values == {"line": 2, "column": 6}
