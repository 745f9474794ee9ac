"""Turns a merged tree into a checked section, collecting every problem on the way."""

import difflib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_origin

from app.errors import SettingsError
from app.settings import kinds, text
from app.settings.schema import Settings
from app.settings.tree import Found, Place, place_error, plain, problem

FLAT = {"model_path": "models", "listen_port": "server.port"}
LATER = frozenset(
    {"routes", "files"}
    | {f"models.*.{name}" for name in ("hub", "revision", "quantization", "device_map")}
    | {f"models.*.{name}" for name in ("load_in_8bit", "fallbacks")}
)
_HIDDEN = {"source"}

Path = tuple[str, ...]


def section(kind: type[Any], found: Found, path: Path, problems: list[SettingsError]) -> Any:
    """One section of the configuration; None after adding to `problems` what is wrong with it."""
    known_problems = len(problems)
    entries = _entries(found, path, problems)
    names = kinds.hints(kind).keys() - _HIDDEN
    unknown = [name for name in entries if name not in names]
    problems += [_unknown(kind, (*path, name), entries[name]) for name in unknown]
    values = {
        name: _value(kinds.hints(kind)[name], item, (*path, name), problems)
        for name, item in entries.items()
        if name in names
    }
    if len(problems) > known_problems:
        return None
    try:
        return kind(**values)
    except SettingsError as error:
        problems.append(_relocate(error, path, entries, found.place))
        return None


def all_keys(kind: type[Any] = Settings, path: Path = ()) -> Iterable[str]:
    """Every dotted key of the configuration; `*` stands for a model's name."""
    for field in fields(kind):
        inner, is_mapping = _inner(kinds.hints(kind)[field.name])
        name = ".".join((*path, field.name))
        if inner is None and field.name not in _HIDDEN | ({"name"} if path else set()):
            yield name
        elif inner is not None:
            yield from all_keys(inner, (*path, field.name, *(["*"] if is_mapping else [])))


def _inner(hint: Any) -> tuple[type[Any] | None, bool]:
    """The section a field holds, if any, and whether it holds one for each of many names."""
    bare, _ = kinds.unwrap(hint)
    is_mapping = get_origin(bare) is tuple
    kind = get_args(bare)[0] if is_mapping else bare
    return (kind, is_mapping) if is_dataclass(kind) and isinstance(kind, type) else (None, False)


def _entries(found: Found, path: Path, problems: list[SettingsError]) -> dict[str, Found]:
    """The keys of a mapping; null stands for an empty one."""
    if found.is_text:
        found = text.scalar(found.value, found.place)
    if found.value is None:
        return {}
    if not isinstance(found.value, dict):
        error = kinds.bad_type(dict, plain(found))
        problems.append(place_error(error, ".".join(path), found.place))
        return {}
    return found.value


def _value(hint: Any, found: Found, path: Path, problems: list[SettingsError]) -> Any:
    inner, is_mapping = _inner(hint)
    if inner is None:
        return _leaf(hint, found, path, problems)
    if not is_mapping:
        return section(inner, found, path, problems)
    return tuple(
        section(inner, _named(name, entry, problems, path), (*path, name), problems)
        for name, entry in _entries(found, path, problems).items()
    )


def _named(name: str, entry: Found, problems: list[SettingsError], path: Path) -> Found:
    """The entry with the name it stands under."""
    inside = _entries(entry, (*path, name), problems)
    if "name" in inside:
        key = ".".join((*path, name, "name"))
        problems.append(problem("setting_unknown", key, inside["name"].place))
    return replace(entry, value={**inside, "name": Found(name, entry.place)}, is_text=False)


def _leaf(hint: Any, found: Found, path: Path, problems: list[SettingsError]) -> Any:
    if found.is_text:
        found = _read(hint, found)
    key = ".".join(path)
    try:
        if isinstance(found.value, list) and kinds.type_name(hint) == "list":
            return kinds.typed(hint, [_element(hint, item, key) for item in found.value])
        return kinds.typed(hint, plain(found))
    except SettingsError as error:
        problems.append(error if error.param else place_error(error, key, found.place))
        return None


def _element(hint: Any, item: Found, key: str) -> Any:
    """One element of a list, checked at its own line."""
    try:
        return kinds.typed(get_args(kinds.unwrap(hint)[0])[0], plain(item))
    except SettingsError as error:
        raise place_error(error, key, item.place) from None


def _read(hint: Any, found: Found) -> Found:
    """An environment variable's text as its setting's type demands; strings are taken verbatim."""
    if not found.value and kinds.is_optional(hint):
        return replace(found, value=None, is_text=False)
    if kinds.type_name(hint) == "str":
        return found
    return text.scalar(found.value, found.place)


def _relocate(
    error: SettingsError, path: Path, entries: dict[str, Found], place: Place
) -> SettingsError:
    """An error of a section's own check, at the place of the key that it names."""
    name = error.param or ""
    return place_error(
        error, ".".join((*path, name)), entries[name].place if name in entries else place
    )


def _unknown(kind: type[Any], path: Path, found: Found) -> SettingsError:
    key = ".".join(path)
    if (f"models.*.{path[-1]}" if path[0] == "models" else key) in LATER:
        return problem("setting_not_available_yet", key, found.place, value="...")
    guess = _guess(kind, path)
    if guess is None:
        return problem("setting_unknown", key, found.place)
    return problem("setting_misspelt", key, found.place, suggestion=guess)


def _guess(kind: type[Any], path: Path) -> str | None:
    """The known key that was probably meant: a similar one here, or the same name elsewhere."""
    here = [*sorted(kinds.hints(kind).keys() - _HIDDEN), *(FLAT if len(path) == 1 else ())]
    close = difflib.get_close_matches(path[-1].lower().replace("-", "_"), here, n=1)
    if close:
        return ".".join((*path[:-1], close[0]))
    elsewhere = (key.split(".") for key in all_keys())
    found = next((key for key in elsewhere if path[-1] in key), None)
    return ".".join(found[: found.index(path[-1]) + 1]) if found else None
