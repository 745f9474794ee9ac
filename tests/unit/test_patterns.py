"""Patterns of schemas: what fits, and what must not cost all the time or memory there is."""

import pytest

from app.workers import patterns

UUID = "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"


@pytest.mark.parametrize(
    ("pattern", "text", "is_found"),
    [
        ("^a+$", "aaa", True),
        ("^a+$", "aab", False),
        (UUID, "01234567-89ab-cdef-0123-456789abcdef", True),
        ("^(?:\\p{L}{2})+$", "äöüß", True),
        ("^(?i)ab$", "AB", True),
        ("(?<=a)b(?!c)", "abd", True),
        ("^[)(\\]]{3}$", ")](", True),
        ("^[]]{2}$", "]]", True),
        ("^.{0,100000}$", "a", True),
    ],
)
def test_a_pattern_is_searched(pattern: str, text: str, is_found: bool) -> None:
    assert patterns.search(pattern, text) is is_found


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        ("abc", 3),
        ("a{10}", 10 + 4),
        ("(?:ab){10}", 10 * 6 + 4),
        ("a{10}{10}", 10 * (10 + 4) + 4),
        ("[abc]{10}", 10 * 5 + 4),
        ("\\p{L}{10}", 4 + 10 + 4),
        ("(a{10}){10,}", 10 * (1 + 10 + 4 + 1) + 5),
        ("a{0,99}", 1 + 6),
        ("(a{0}){10}", 10 * (1 + 1 + 3 + 1) + 4),
        ("a{000000000000000000010}", 10 + 23),
        ("[)]{2}(a[(]){2}", 3 * 2 + 3 + 6 * 2 + 3),
        ("[](]{2}", 4 * 2 + 3),
        ("\\({2}", 2 * 2 + 3),
    ],
)
def test_a_pattern_is_measured_with_its_repeats_written_out(pattern: str, size: int) -> None:
    assert patterns.measure(pattern) == size


BOMB = "((((a?){99}){99}){99}){99}"


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        "[",
        "^(a|a)*$",
        BOMB,
        f"(?:{BOMB}|b)",
        "(a{99999}){99999}",
        "a{99999999999}",
        "(?x)(a{99}#)\n){99}",
        "(?V1)[[(]a]",
        "(?i-x:a)",
        "(?ix)a",
        "(?#()a",
        "(a)(?1)",
        "[[:alpha:](]a",
    ],
)
def test_a_pattern_that_costs_too_much_or_hides_its_cost_is_not_applied(pattern: str) -> None:
    with pytest.raises(TimeoutError):
        patterns.search(pattern, "a" * 200 + "b")
