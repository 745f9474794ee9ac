"""Where the references of a schema lead: to nothing, or back to themselves without end."""

import graphlib
from collections.abc import Iterator
from typing import Any

import referencing
from referencing.jsonschema import DRAFT202012

_REFERENCES = ("$ref", "$dynamicRef")
_STORES = ("$defs", "definitions")
_LONGEST = 300
_MALFORMED = (
    ValueError,
    TypeError,
    AttributeError,
)  # as the library stumbles over what is no schema


def find_dangling(schema: Any) -> str:
    """A reference that leads out of the schema, to nothing or to what is no schema, or a base that
    is no URL; "" for none. No answer could be judged by it."""
    try:
        for resolver, resource in _iterate_all(*_open(schema)):
            for name in _list_names(resource.contents):
                if _follow(resolver, name) is None:
                    return f"$ref: {name}"[:_LONGEST]
    except ValueError as error:
        return f"$id: {error}"[:_LONGEST]
    return ""


def find_endless(schema: Any) -> str:
    """A reference that leads back to itself before anything of a value is looked at, as that of
    `{"$ref": "#"}`; "" for none. JSON Schema leaves open what such a schema means, and no answer
    could be judged by it. Those of a tree lead to a part of the value, and so come to an end."""
    names: dict[int, str] = {}
    asked: dict[int, list[int]] = {}
    for resolver, resource in _iterate_used(*_open(schema)):
        here = id(resource.contents)
        asked[here] = [id(part) for part in _list_parts(resource.contents)]
        for name in _list_names(resource.contents):
            names.setdefault(here, name)
            if (found := _follow(resolver, name)) is not None:
                asked[here].append(id(found.contents))
    return _find_circle(asked, names)[:_LONGEST]


def _find_circle(asked: dict[int, list[int]], names: dict[int, str]) -> str:
    """The first reference of a circle."""
    try:
        graphlib.TopologicalSorter(asked).prepare()
    except graphlib.CycleError as error:
        return next(names[part] for part in error.args[1] if part in names)
    return ""


def iterate_used(schema: Any) -> Iterator[dict[str, Any]]:
    """The parts of a schema that values are asked about: not what is defined and never named."""
    for _, resource in _iterate_used(*_open(schema)):
        yield resource.contents


def _open(schema: Any) -> tuple[Any, Any]:
    """What looks references up from the root of a schema, and the root. It is read once: else each
    look at an anchor would read all of it. ValueError for a base that is no URL."""
    root = referencing.Resource.from_contents(schema, default_specification=DRAFT202012)
    uri = root.id() or ""
    whole: Any = referencing.Registry().with_resource(uri, root)
    return whole.crawl().resolver(uri), root


def _iterate_all(resolver: Any, resource: Any) -> Iterator[tuple[Any, Any]]:
    yield resolver, resource
    for inner in resource.subresources():
        yield from _iterate_all(resolver.in_subresource(inner), inner)


def _iterate_used(resolver: Any, root: Any) -> Iterator[tuple[Any, Any]]:
    """Each object once, whoever names it."""
    seen: set[int] = set()
    left = [(resolver, root)]
    while left:
        at, resource = left.pop()
        contents = resource.contents
        if not isinstance(contents, dict) or id(contents) in seen:
            continue
        seen.add(id(contents))
        yield at, resource
        left += _list_inner(at, resource)
        left += _list_targets(at, contents)


def _list_inner(resolver: Any, resource: Any) -> list[tuple[Any, Any]]:
    """The parts right inside of a part; of one in a place that no metaschema knows, which a
    reference leads to, there may be none: it can look like anything."""
    stored = _list_stored(resource.contents)
    try:
        inner = [each for each in resource.subresources() if id(each.contents) not in stored]
        return [(resolver.in_subresource(each), each) for each in inner]
    except _MALFORMED:
        return []


def _list_stored(contents: dict[str, Any]) -> set[int]:
    stores = (contents.get(name) for name in _STORES)
    return {id(each) for store in stores if isinstance(store, dict) for each in store.values()}


def _list_targets(resolver: Any, contents: dict[str, Any]) -> list[tuple[Any, Any]]:
    """What the references of a part lead to."""
    found = (_follow(resolver, name) for name in _list_names(contents))
    make = DRAFT202012.create_resource
    return [(each.resolver, make(each.contents)) for each in found if each is not None]


def _list_names(contents: Any) -> list[str]:
    """The references of one part of a schema."""
    named = [contents.get(name) for name in _REFERENCES] if isinstance(contents, dict) else []
    return [name for name in named if isinstance(name, str)]


def _list_parts(contents: dict[str, Any]) -> list[Any]:
    """The parts of a part that are asked about every value that it is asked about. Of `anyOf` it is
    the first alone: the others are asked where that says no."""
    every = _list_schemas(contents, "allOf", "oneOf") + _list_schemas(contents, "anyOf")[:1]
    return every + [contents[name] for name in ("not", "if") if name in contents]


def _list_schemas(contents: dict[str, Any], *names: str) -> list[Any]:
    found = (contents.get(name) for name in names)
    return [each for listed in found if isinstance(listed, list) for each in listed]


def _follow(resolver: Any, name: str) -> Any:
    """What a reference leads to, if that may be a schema, else None."""
    try:
        found = resolver.lookup(name)
    except (referencing.exceptions.Unresolvable, *_MALFORMED):
        return None  # of the latter: no URL, a name inside a list, a step into a number
    return found if isinstance(found.contents, dict | bool) else None
