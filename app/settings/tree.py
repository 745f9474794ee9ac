"""What the sources say before it is checked: plain values, each with the place it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import SettingsError
from app.settings.kinds import locate


@dataclass(frozen=True)
class Place:
    """A file and line, an environment variable, or `argv` for the command line."""

    name: str
    line: int | None = None

    def __str__(self) -> str:
        return self.name if self.line is None else f"{self.name}:{self.line}"


@dataclass(frozen=True)
class Found:
    """A value at its place: a scalar, a list of Found, or a dict of Found.

    `is_text`: an environment variable's string, to be read as its setting's type demands.
    `replaces`: it takes the place of a lower source's value instead of being merged into it.
    """

    value: Any
    place: Place
    is_text: bool = False
    replaces: bool = False


def problem(code: str, key: str, place: Place, **values: Any) -> SettingsError:
    """An error about one key at one place."""
    return place_error(SettingsError(code, **values), key, place)


def place_error(error: SettingsError, key: str, place: Place) -> SettingsError:
    """The error with its key and place filled in."""
    file = place.name if place.line is not None else None
    return locate(error, key, str(place), file=file, line=place.line)


def from_plain(value: Any, place: Place) -> Found:
    """A tree made of plain Python values that all come from one place."""
    if isinstance(value, Mapping):
        return Found({str(key): from_plain(item, place) for key, item in value.items()}, place)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Found([from_plain(item, place) for item in value], place)
    return Found(str(value) if isinstance(value, Path) else value, place)


def plain(found: Found) -> Any:
    """The values alone, without their places."""
    if isinstance(found.value, dict):
        return {key: plain(item) for key, item in found.value.items()}
    if isinstance(found.value, list):
        return [plain(item) for item in found.value]
    return found.value


def nest(path: Sequence[str], leaf: Found) -> Found:
    """The leaf under the mappings that its path names."""
    for name in reversed(path):
        leaf = Found({name: leaf}, leaf.place)
    return leaf


def merge(base: Found, over: Found) -> Found:
    """Both trees in one; where they differ, `over` wins."""
    if over.replaces or not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    merged = dict(base.value)
    for key, item in over.value.items():
        merged[key] = merge(merged[key], item) if key in merged else item
    return Found(merged, over.place if not base.value else base.place, replaces=base.replaces)


def join(trees: Sequence[Found], problems: list[SettingsError]) -> Found:
    """The trees of one source in one; the same key given twice is a problem."""
    joined = Found({}, Place("argv"))
    for tree in trees:
        clash = _clash(joined, tree, ())
        if clash is None:
            joined = merge(joined, tree)
        else:
            problems.append(clash)
    return joined


def _clash(base: Found, over: Found, path: tuple[str, ...]) -> SettingsError | None:
    """The first key at which both trees hold a value, as an error."""
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        values = {"other": ".".join(path), "other_where": str(base.place)}
        return problem("setting_conflict", ".".join(path), over.place, **values)
    both = (key for key in over.value if key in base.value)
    clashes = (_clash(base.value[key], over.value[key], (*path, key)) for key in both)
    return next((clash for clash in clashes if clash), None)
