"""Writes docs/transcripts.md: code sessions as the shipped model really answers them.

python -m tools.sessions.transcripts
"""

import tempfile
from pathlib import Path

from app.wire.rows import Job
from tools.sessions.evaluate import Desk, read_code

PAGE = Path(__file__).parents[2] / "docs" / "transcripts.md"
SCOPE = "geometry"
TALKS = (
    (
        "English",
        (
            "Write a function called double that doubles a number.",
            "Rename it to twice.",
        ),
    ),
    (
        "Chinese",
        (
            "写一个函数 square_area(side)，返回正方形的面积。",
            "把它改名为 area。",
        ),
    ),
    (
        "Japanese",
        (
            "2つの数 a と b を足す関数 add(a, b) を書いて。",
            "add の名前を plus に変えて。",
        ),
    ),
)
SHARED = "Use double to write quadruple(x)."
_HEAD = """# Transcripts

Made by `make transcripts` with the shipped model, which is small and often wrong: these are its answers, not a selection. Each turn is a code job of one
session; below the code stands what the pipeline read from the instruction and what it used.
"""


def write(desk: Desk) -> str:
    """The whole page."""
    parts = [_HEAD]
    for language, turns in TALKS:
        session_id = desk.open_session()
        parts.append(f"## {language}\n")
        scope = SCOPE if language == "English" else None
        parts += [show(turn, desk.ask(turn, session_id, scope)) for turn in turns]
    parts.append(f"## Another session, through the scope `{SCOPE}`\n")
    parts.append(show(SHARED, desk.ask(SHARED, desk.open_session(), SCOPE)))
    return "\n".join(parts)


def show(turn: str, job: Job) -> str:
    """One turn: what was asked, answered, read and used."""
    assert job.result is not None
    coding = job.result.coding or {}
    tree, used = coding["instruction"], coding["context_used"]["symbols"]
    checks = ", ".join(f"{check['name']} {check['state']}" for check in coding["checks"]) or "none"
    names = {
        part: ", ".join(each["name"] for each in used[part]) or "-"
        for part in used
        if part != "resolved"
    }
    answer = read_code(job) or job.result.text
    return (
        f"> {turn}\n\n```python\n{answer}\n```\n\n"
        f"Read: {tree['intent']} {tree['target']}, name {tree['name']}, confidence {tree['confidence']}. "
        f"Checks: {checks}. Asked {coding['asked']} time(s), {coding['drawn']} answers drawn.\n"
        f"Symbols used: {names['used']}; in the turns: {names['visible']}; dropped: {names['dropped']}; "
        f"meant: {used['resolved'] or '-'}.\n"
    )


def main() -> None:
    """Writes the page."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        PAGE.write_text(write(desk), encoding="utf-8")
        desk.db.close()


if __name__ == "__main__":
    main()
