"""Finds the sources of the configuration and makes one checked Settings of them."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.errors import SettingsError
from app.settings import build, kinds, text, tree
from app.settings.environ import SETTINGS, read_snapshot, variables
from app.settings.schema import Model, Settings, Text, Verify
from app.settings.tree import Found, Place

_DEMO = Path(__file__).parent.parent / "demo"
_DEFAULT_FILE = Path("config.yaml")


def load(
    config: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """The configuration: `overrides` over the environment over a file over the defaults.

    `overrides` has dotted names or nested mappings; None there means not given. The file is
    `config`, else AUTOGLM_CONFIG, else ./config.yaml if it exists. Without `config`, the
    variable that `environment` makes stands for file and environment both.
    Raises SettingsError; with several problems its `problems` value holds one error for each.
    """
    environ = os.environ if environ is None else environ
    if config is None and environ.get(SETTINGS):
        source, base = read_snapshot(environ[SETTINGS])
        return replace(_build(base, overrides, []), source=source)
    problems: list[SettingsError] = []
    source = _find_file(config, environ)
    base = _merge_models(_from_file(source, problems), _from_environ(environ, problems))
    loaded = _build(base, overrides, problems)
    return replace(loaded, source=source, models=loaded.models or (_demo_model(),))


def _build(
    base: Found, overrides: Mapping[str, Any] | None, problems: list[SettingsError]
) -> Settings:
    """The settings of a tree with the overrides on top, or all that is wrong with them."""
    merged = tree.merge(base, _from_overrides(overrides or {}, problems))
    loaded: Settings = build.section(Settings, merged, (), problems)
    if problems:
        raise problems[0] if len(problems) == 1 else _all(problems)
    return loaded


def _all(problems: list[SettingsError]) -> SettingsError:
    """One error for many, in the order of their places."""
    order = sorted(
        problems, key=lambda error: (error.values["file"] or "", error.values["line"] or 0)
    )
    return SettingsError("settings_invalid", count=len(order), problems=tuple(order))


def _demo_model() -> Model:
    """The shipped model: what is served when nothing is configured."""
    verify = Verify(public_keys=(str(_DEMO / "public_key.txt"),))
    return Model(
        name="autoglm-demo",
        path=str(_DEMO / "model"),
        verify=verify,
        code_prompt="plain",
        code_draws=32,  # it is small: docs/coding.md, Draws, says what they are worth
    )


def _find_file(config: str | Path | None, environ: Mapping[str, str]) -> Path | None:
    named = config or environ.get("AUTOGLM_CONFIG")
    if named:
        return Path(named)
    return _DEFAULT_FILE if _DEFAULT_FILE.exists() else None


def _from_file(path: Path | None, problems: list[SettingsError]) -> Found:
    if path is None:
        return Found({}, Place("argv"))
    found = text.parse(_read(path), str(path), problems)
    if found.value is None:
        return replace(found, value={})
    if not isinstance(found.value, dict):
        actual = kinds.NAMES[type(found.value)]
        raise SettingsError("settings_file_not_map", file=str(path), actual=actual)
    return _expand(found, problems)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SettingsError("settings_file_missing", file=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", "?")
        raise SettingsError("settings_file_unreadable", file=str(path), reason=reason) from error


def _from_environ(environ: Mapping[str, str], problems: list[SettingsError]) -> Found:
    """The tree that the AUTOGLM_* variables describe; two underscores lead a level down."""
    trees = [
        tree.nest(name.lower().split("__"), Found(value, Place(f"AUTOGLM_{name}"), is_text=True))
        for name, value in sorted(variables(environ).items())
    ]
    return _expand(tree.join(trees, problems), problems)


def _from_overrides(overrides: Mapping[str, Any], problems: list[SettingsError]) -> Found:
    place = Place("argv")
    trees = [
        tree.nest(name.split("."), tree.from_plain(value, place))
        for name, value in overrides.items()
        if value is not None
    ]
    return _expand(tree.join(trees, problems), problems)


def _expand(found: Found, problems: list[SettingsError]) -> Found:
    """The source system's flat keys in their structured form."""
    entries = dict(found.value)
    flat = {name: entries.pop(name) for name in build.FLAT if name in entries}
    rest = Found(entries, found.place)
    for name, item in flat.items():
        other = _look_up(rest, build.FLAT[name].split("."))
        if other is not None and other.value:
            values = {"other": build.FLAT[name], "other_where": str(other.place)}
            problems.append(tree.problem("setting_conflict", name, item.place, **values))
        elif item.value is not None:
            rest = tree.merge(rest, _structured(name, item, problems))
    return rest


def _look_up(found: Found, path: list[str]) -> Found | None:
    for name in path:
        if not isinstance(found.value, dict) or name not in found.value:
            return None
        found = found.value[name]
    return found


def _structured(name: str, item: Found, problems: list[SettingsError]) -> Found:
    if name == "listen_port":
        return tree.nest(build.FLAT[name].split("."), item)
    try:
        path = kinds.typed(Text, item.value)
    except SettingsError as error:
        problems.append(tree.place_error(error, name, item.place))
        return Found({}, item.place)
    models = tree.nest((_model_name(path), "path"), item)
    return Found({"models": replace(models, replaces=True)}, item.place)


def _model_name(path: str) -> str:
    """The last component of a path, without what a model's name may not hold."""
    last = Path(os.path.abspath(path)).name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip("._-") or "model"


def _merge_models(base: Found, over: Found) -> Found:
    """The environment over the file, where MODELS__GLM_LARGE names the file's `glm-large`."""
    models, known = over.value.get("models"), base.value.get("models")
    if models and isinstance(models.value, dict) and known and isinstance(known.value, dict):
        spelled = {_variable_name(name): name for name in known.value}
        renamed = {spelled.get(_variable_name(n), n): item for n, item in models.value.items()}
        over = Found({**over.value, "models": replace(models, value=renamed)}, over.place)
    return tree.merge(base, over)


def _variable_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())
