"""Code that a program of the service runs before its own: it dies, or is in a hurry, where we want."""

from collections.abc import Sequence
from pathlib import Path

STATUS = 9  # of those that die
_MAIN = "from app.cli import main; main()"


def as_script(code: str) -> Sequence[str]:
    """What Python runs as `autoglm`: this code first. Children that are spawned do not run it."""
    return ("-c", f"{code}\n{_MAIN}")


def as_environ(code: str, folder: Path) -> dict[str, str]:
    """Variables with which a program and all its children run this code as they start."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}
