"""What click itself says, in the language of the terminal: "Usage:", "Try ... for help."

click asks gettext, which wants compiled catalogues on disk. Ours are the `click` sections of the
message files: the English one holds click's own words, by which the others are found.
"""

import importlib
from functools import cache

from app import locales

_MODULES = ("core", "decorators", "exceptions", "formatting", "parser", "types")
_SECTION = "click."


def install() -> None:
    """Lets click's modules ask here instead of gettext. Harmless if done twice."""
    for name in _MODULES:
        module = importlib.import_module(f"click.{name}")
        for asked, ours in (("_", translate), ("ngettext", translate_count)):
            if hasattr(module, asked):
                setattr(module, asked, ours)


def translate(text: str) -> str:
    """click's `text` in the terminal's language, with the same placeholders; as it is if unknown."""
    key = _keys().get(text, "")
    return locales.texts(locales.system()).get(key, text)


def translate_count(one: str, many: str, number: int) -> str:
    """The form that goes with `number`."""
    return translate(one if number == 1 else many)


@cache
def _keys() -> dict[str, str]:
    """The key of each of click's texts."""
    english = locales.texts(locales.FALLBACK)
    return {text: key for key, text in english.items() if key.startswith(_SECTION)}
