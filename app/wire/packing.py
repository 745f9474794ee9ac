"""JSON objects as lines that are one line for every reader."""

from collections.abc import Mapping
from typing import Any

import orjson

_ENDS = {f"{char}".encode(): b"\\u%04x" % ord(char) for char in "\x85\u2028\u2029"}


def pack_line(line: Mapping[str, Any]) -> bytes:
    """A line of a file or a stream as bytes. The characters that some readers of lines take for an
    end of line (Python's `splitlines` does) are escaped."""
    packed = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    for char, escaped in _ENDS.items():
        packed = packed.replace(char, escaped)
    return packed
