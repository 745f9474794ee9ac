"""Lines that lax JSON parsers take and that then break something: each must fail alone.

The list follows section "JSON" of the security list: depth, numbers, surrogates, NUL, duplicates, types.
"""

from collections.abc import Callable

from tests.integration.inputs import make_line


def _bad(name: str, old: bytes, new: bytes) -> bytes:
    return make_line(name).strip().replace(old, new)


def _structured(name: str, options: dict[str, object]) -> bytes:
    return make_line(name, body_structured_outputs=options).strip()


def _formatted(name: str, more: dict[str, object]) -> bytes:
    return make_line(name, body_response_format={"type": "json_object", **more}).strip()


def _content(name: str) -> bytes:
    return f'"hi {name}"'.encode()


LINES: list[tuple[bytes, str | None, str]] = [  # line, custom_id as far as it is known, code
    (b"[" * 100_000, None, "json_too_deep"),
    (b'{"custom_id": "deep", "body": ' + b'{"a":' * 50_000, "deep", "json_too_deep"),
    (_bad("int", _content("int"), b"9" * 5000), "cint", "json_bad_number"),
    (_bad("nan", _content("nan"), b"NaN"), "cnan", "json_bad_number"),
    (_bad("inf", _content("inf"), b"-Infinity"), "cinf", "json_bad_number"),
    (_bad("huge", _content("huge"), b"1e999"), "chuge", "json_bad_number"),
    (_bad("half", _content("half"), b'"\\ud800"'), "chalf", "json_surrogate"),
    (_bad("nul", _content("nul"), b'"\\u0000"'), "cnul", "nul_character"),
    (_bad("id", b'"cid"', b'"\\ud800"'), None, "json_surrogate"),
    (_bad("twice", b'"method"', b'"custom_id"'), "ctwice", "json_duplicate_key"),
    (_bad("again", b'"role"', b'"content"'), "cagain", "json_duplicate_key"),
    (make_line("true", body_max_tokens=True).strip(), "ctrue", "invalid_type"),
    (make_line("n", body_n=16_385).strip(), "cn", "out_of_range"),
    (make_line("stop", body_stop=["x"] * 5).strip(), "cstop", "too_long"),
    (make_line("k", body_top_k=10**12).strip(), "ck", "out_of_range"),
    (make_line("seed", body_seed=2**64).strip(), "cseed", "out_of_range"),
    (make_line("json", body_guided_json="").strip(), "cjson", "invalid_schema"),
    (make_line("re", body_guided_regex="foo(?").strip(), "cre", "grammar_failed"),
    (_structured("object", {"json_object": False}), "cobject", "unknown_parameter"),
    (_structured("text", {"json": ""}), "ctext", "unknown_parameter"),
    (_formatted("false", {"json_object": False}), "cfalse", "unknown_parameter"),
]
_BOM = b"\xef\xbb\xbf"


def _harm(number: int, line: bytes) -> bytes:
    """A good line that others choke on: one begins with a byte order mark, as where files were
    joined, one has a pattern that ended an engine elsewhere."""
    if number == 1:
        return _BOM + line
    if number == 2:
        return line.replace(b'"model"', b'"guided_regex": "foo**", "model"', 1)
    return line


def mix(make_good: Callable[[int], bytes]) -> bytes:
    """Every hostile line between two good ones; those are numbered."""
    pieces = [make_good(0)]
    for number, (line, _, _) in enumerate(LINES, start=1):
        pieces += [line + b"\n", _harm(number, make_good(number))]
    return b"".join(pieces)


def expected() -> dict[int, tuple[str | None, str]]:
    """What must be told of them, by their line in the mix, counted from 1."""
    return {2 * n: (name, code) for n, (_, name, code) in enumerate(LINES, start=1)}
