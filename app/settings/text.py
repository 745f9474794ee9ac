"""Reads YAML 1.2 or JSON text into a tree whose values know their lines."""

import json
import re
from dataclasses import replace
from typing import Any

import yaml

from app.errors import SettingsError
from app.settings.tree import Found, Place, from_plain, plain, problem

_TAG = "tag:yaml.org,2002:"
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_NULL = re.compile(r"~|null|Null|NULL|")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_READERS: dict[str, Any] = {
    f"{_TAG}bool": lambda text: text.lower() == "true",
    f"{_TAG}null": lambda _: None,
    f"{_TAG}int": int,
    f"{_TAG}float": lambda text: float(text.replace(".inf", "inf").replace(".nan", "nan")),
    f"{_TAG}str": lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
}


class _Loader(yaml.SafeLoader):
    """YAML with the 1.2 core schema: `no` is a word, 010 is ten. Aliases are refused."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's own interface

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise problem("setting_alias", "*", Place(str(self.name), mark.line + 1))
        return super().compose_node(parent, index)


for _name, _pattern in (("bool", _BOOLEAN), ("null", _NULL), ("int", _INTEGER), ("float", _FLOAT)):
    _whole = re.compile(rf"(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(_TAG + _name, _whole, None)


def parse(text: str, name: str, problems: list[SettingsError]) -> Found:
    """The tree of one document; duplicate keys are added to `problems`, broken text raises."""
    if name.endswith(".json"):
        text = _check_json(text, name)
    node = _compose(text, name)
    if node is None:
        return Found(None, Place(name, 1))
    return _convert(node, name, problems)


def scalar(text: str, place: Place) -> Found:
    """The value of an environment variable, read as YAML; text that is no YAML stays text."""
    try:
        node = _compose(text, place.name)
        value = None if node is None else plain(_convert(node, place.name, []))
    except SettingsError:
        value = text
    return from_plain(value, place)


def _check_json(text: str, name: str) -> str:
    """JSON that YAML can read: tabs between its tokens become spaces."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise _broken(name, error.lineno, error.msg) from None
    except RecursionError:
        raise _broken(name, 1, "too many brackets inside each other") from None
    return text.replace("\t", " ")


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        loader.name = name
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:  # `from None`: its text quotes the file, secrets included
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _broken(name, line, error.problem or "?") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _broken(name, line, error.reason) from None
    except RecursionError:
        raise _broken(name, 1, "too many brackets inside each other") from None


def _broken(name: str, line: int, reason: str) -> SettingsError:
    where = f"{name}:{line}"
    return SettingsError("settings_file_syntax", reason=reason, where=where, file=name, line=line)


def _convert(node: yaml.Node, name: str, problems: list[SettingsError]) -> Found:
    place = Place(name, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return Found(_convert_pairs(node, name, problems), place)
    if isinstance(node, yaml.SequenceNode):
        return Found([_convert(item, name, problems) for item in node.value], place)
    try:
        return Found(_READERS[node.tag](node.value), place)
    except (KeyError, ValueError):
        raise _broken(name, node.start_mark.line + 1, node.tag) from None


def _convert_pairs(
    node: yaml.MappingNode, name: str, problems: list[SettingsError]
) -> dict[str, Found]:
    """The entries of a mapping; each stands at the line of its key."""
    entries: dict[str, Found] = {}
    for key, value in node.value:
        place = Place(name, key.start_mark.line + 1)
        if str(key.value) in entries:
            first = str(entries[str(key.value)].place)
            problems.append(problem("setting_duplicate", str(key.value), place, first=first))
        entries[str(key.value)] = replace(_convert(value, name, problems), place=place)
    return entries
