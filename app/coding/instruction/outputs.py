"""What programs print when they fail, shown as if it were code: whose language it betrays."""

import re

_MARKS = (
    (
        "python",
        r"^Traceback \(most|^[ \t]+File \"[^\"\n]*\", line \d|^(?:ZeroDivision|Key|Value|Index|Attribute|Name|Import"
        r"|ModuleNotFound|UnicodeDecode|Indentation|FileNotFound|Recursion)Error\b",
    ),
    ("go", r"^panic: |^goroutine \d+ \["),
    (
        "java",
        r"^Exception in thread|^[ \t]+at [\w.$]+\([\w]+\.java:\d+\)|^(?:java|org|com)\.[\w.]+Exception",
    ),
    ("javascript", r"^[ \t]+at [^\n]{0,200}(?:node:|\.m?js:\d)|^Uncaught "),
    ("rust", r"^error\[E\d+\]|^thread '.*' panicked"),
    ("cpp", r"\.(?:cpp|cc|hpp):\d+(?::\d+)?: (?:fatal )?error"),
)
_PATTERNS = tuple((name, re.compile(pattern, re.MULTILINE)) for name, pattern in _MARKS)
_PLAIN = re.compile(
    r"^[\w./-]+: (?:command not found|no such file|permission denied|.*error)", re.I
)


def find_language(text: str) -> str | None:
    """The language of the program that failed; None if the text betrays none."""
    return next((name for name, pattern in _PATTERNS if pattern.search(text)), None)


def is_plain(text: str) -> bool:
    """Whether a text is a complaint of a program that no language owns."""
    return bool(_PLAIN.match(text.strip()))
