"""Symbols of a piece of code: what it defines and imports.

Only the outermost level counts: a method belongs to its class, a local variable to its function.
"""

from app.coding import foreign, languages, native
from app.coding.found import Found

__all__ = ["Found", "extract"]


def extract(code: str, language: str) -> list[Found]:
    """The symbols in order, the last of each name; none of code that cannot be read."""
    if language == "python":
        found = list(native.read(code))
    elif language in languages.PARSED:
        found = list(foreign.read(code, language))
    else:
        found = []
    return list({symbol.name: symbol for symbol in found}.values())
