"""docs/transcripts.md shows the sessions that the tool runs; what the model says may differ."""

import re

from tools.sessions import transcripts

PAGE = transcripts.PAGE.read_text(encoding="utf-8")


def test_every_turn_of_the_tool_stands_in_the_page_in_order():
    asked = [turn for _, turns in transcripts.TALKS for turn in turns]

    assert re.findall(r"^> (.+)$", PAGE, re.MULTILINE) == [*asked, transcripts.SHARED]


def test_every_turn_shows_code_what_was_read_and_what_was_used():
    number = PAGE.count("\n> ")

    for part in (r"```python\n.+?\n```", r"^Read: \w+ \w+, name ", r"^Symbols used: "):
        assert len(re.findall(part, PAGE, re.MULTILINE | re.DOTALL)) == number


def test_the_last_session_uses_what_the_first_one_shared():
    assert "Symbols used: double" in PAGE.rsplit("## ", 1)[1]
