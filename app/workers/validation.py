"""JSON schema validation that ends. jsonschema's own matches patterns by `re`, which holds the whole
process for as long as a pattern likes, and looks at no clock while it finds out what was evaluated.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import attrs
import jsonschema
import referencing
from jsonschema import validators
from jsonschema.exceptions import ValidationError
from referencing.jsonschema import DRAFT202012, lookup_recursive_ref

from app.workers import patterns

_ANSWER_SECONDS = 1.0  # of CPU time

Check = Callable[..., Iterator[Any] | None]


def make(schema: Any) -> Any:
    """A validator of jsonschema's for one answer. References stay inside the schema; an answer or
    a pattern that takes too long is a TimeoutError: a few references can mean billions of checks."""
    kind = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    keywords = _Keywords(time.thread_time() + _ANSWER_SECONDS)
    checks = {name: keywords.bind(name, check) for name, check in kind.VALIDATORS.items()}
    made: Any = validators.extend(kind, checks)  # type: ignore[no-untyped-call]
    made.evolve = keywords.make_evolve()
    root = referencing.Resource.from_contents(schema, default_specification=DRAFT202012)
    uri = root.id() or ""
    registry: Any = referencing.Registry().with_resource(uri, root)
    return made(schema, _resolver=registry.crawl().resolver(uri))  # else each lookup would crawl


@dataclass(frozen=True)
class _Keywords:
    """The checks of keywords, until `until` in CPU seconds of this thread."""

    until: float

    def require_time(self) -> None:
        if time.thread_time() > self.until:
            raise TimeoutError

    def bind(self, name: str, check: Check) -> Check:
        """The check of a keyword, ours where there is one, as long as there is time."""
        check = partial(_OWN[name], self) if name in _OWN else check

        def run(*given: Any) -> Iterator[Any] | None:
            self.require_time()
            return check(*given)

        return run

    def make_evolve(self) -> Callable[..., Any]:
        """What makes the validator of a part of the schema. Also where that part names a
        metaschema of its own, which would have a validator without our bounds."""

        def evolve(validator: Any, **changes: Any) -> Any:
            self.require_time()
            fields = (field for field in attrs.fields(type(validator)) if field.init)
            kept = {field.alias: getattr(validator, field.name) for field in fields}
            return type(validator)(**(kept | changes))

        return evolve

    def search(self, pattern: str, text: str) -> bool:
        self.require_time()
        return patterns.search(pattern, text)

    def is_known(self, schema: Mapping[str, Any], name: str) -> bool:
        """Whether a schema says something of a property by name or pattern."""
        return name in schema.get("properties", {}) or any(
            self.search(pattern, name) for pattern in schema.get("patternProperties", {})
        )

    def check_pattern(self, _: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
        if isinstance(value, str) and not self.search(pattern, value):
            yield ValidationError(f"{value[:60]!r} does not match {pattern[:60]!r}")

    def check_patterns(
        self, validator: Any, inners: Mapping[str, Any], value: Any, schema: Any
    ) -> Iterator[Any]:
        if not isinstance(value, dict):
            return
        for pattern, inner in inners.items():
            for name, each in value.items():
                if self.search(pattern, name):
                    yield from validator.descend(each, inner, path=name, schema_path=pattern)

    def check_additional(
        self, validator: Any, inner: Any, value: Any, schema: Mapping[str, Any]
    ) -> Iterator[Any]:
        if not isinstance(value, dict):
            return
        extras = [name for name in value if not self.is_known(schema, name)]
        if isinstance(inner, dict):
            for name in extras:
                yield from validator.descend(value[name], inner, path=name)
        elif not inner and extras:
            yield _forbid("Additional properties", extras)

    def check_unevaluated(
        self, validator: Any, inner: Any, value: Any, schema: Any
    ) -> Iterator[Any]:
        if not isinstance(value, dict):
            return
        seen = self.find_names(validator, value, schema)
        extras = [name for name in value if name not in seen]
        if extras:
            yield _forbid("Unevaluated properties", extras)

    def find_names(self, validator: Any, value: Mapping[str, Any], schema: Any) -> set[str]:
        """The properties that a schema says something of, `schema` itself and those that it
        applies to the same object."""
        if not isinstance(schema, dict):
            return set()
        seen = {name for name in value if self.is_known(schema, name)}
        for inner in _pick(schema, "additionalProperties", "unevaluatedProperties"):
            fits = (name for name in value if _is_valid(validator.descend(value[name], inner)))
            seen.update(fits)
        for at, applied in _iterate_applied(validator, value, schema):
            self.require_time()
            seen |= self.find_names(at, value, applied)
        return seen

    def check_rest(self, validator: Any, inner: Any, value: Any, schema: Any) -> Iterator[Any]:
        if not isinstance(value, list):
            return
        seen = self.find_places(validator, value, schema)
        extras = [each for place, each in enumerate(value) if place not in seen]
        if extras:
            yield _forbid("Unevaluated items", extras)

    def find_places(self, validator: Any, value: Sequence[Any], schema: Any) -> set[int]:
        """The same of the items of an array."""
        if not isinstance(schema, dict):
            return set()
        seen = set(range(_count_items(schema, len(value))))
        for inner in _pick(schema, "contains", "unevaluatedItems"):
            items = enumerate(value)
            seen.update(at for at, each in items if _is_valid(validator.descend(each, inner)))
        for at, applied in _iterate_applied(validator, value, schema):
            self.require_time()
            seen |= self.find_places(at, value, applied)
        return seen

    def check_unique(self, _: Any, is_asked: bool, value: Any, schema: Any) -> Iterator[Any]:
        if is_asked and isinstance(value, list) and len(set(map(_freeze, value))) < len(value):
            yield ValidationError("an array has the same item twice")


_OWN: Mapping[str, Any] = {
    "pattern": _Keywords.check_pattern,
    "patternProperties": _Keywords.check_patterns,
    "additionalProperties": _Keywords.check_additional,
    "unevaluatedProperties": _Keywords.check_unevaluated,
    "unevaluatedItems": _Keywords.check_rest,
    "uniqueItems": _Keywords.check_unique,
}


def _freeze(value: Any) -> Any:
    """What is equal for what JSON calls equal: 1 and 1.0, but not true."""
    if isinstance(value, dict):
        return dict, frozenset((name, _freeze(each)) for name, each in value.items())
    if isinstance(value, list):
        return list, tuple(map(_freeze, value))
    return (bool, value) if isinstance(value, bool) else value


def _count_items(schema: Mapping[str, Any], length: int) -> int:
    """How many items `items` (a list of schemas up to draft 2019-09) and `prefixItems` speak of."""
    items = schema.get("items")
    if items is None:
        return len(schema.get("prefixItems", ()))
    is_list = isinstance(items, list) and "additionalItems" not in schema
    return len(items) if is_list else length


def _iterate_applied(
    validator: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[tuple[Any, Any]]:
    """The schemas that a schema applies to the same value, where that fits, each with a validator
    that knows where its references lead."""
    yield from _iterate_references(validator, schema)
    if isinstance(value, dict):
        dependent = schema.get("dependentSchemas", {})
        yield from ((validator, inner) for name, inner in dependent.items() if name in value)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for inner in schema.get(keyword, ()):
            if _is_valid(validator.descend(value, inner)):
                yield validator, inner
    if "if" in schema:
        does_hold = _is_valid(validator.descend(value, schema["if"]))
        names = ("if", "then") if does_hold else ("else",)
        yield from ((validator, inner) for inner in _pick(schema, *names))


def _iterate_references(validator: Any, schema: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
        if keyword not in schema or keyword not in validator.VALIDATORS:
            continue
        is_recursive = keyword == "$recursiveRef"
        resolver = validator._resolver
        found = lookup_recursive_ref(resolver) if is_recursive else resolver.lookup(schema[keyword])
        inner = validator.evolve(schema=found.contents, _resolver=found.resolver)
        yield inner, found.contents


def _pick(schema: Mapping[str, Any], *keywords: str) -> Iterator[Any]:
    return (schema[keyword] for keyword in keywords if keyword in schema)


def _is_valid(errors: Iterator[Any]) -> bool:
    return next(errors, None) is None


def _forbid(what: str, extras: Sequence[Any]) -> ValidationError:
    named = ", ".join(map(repr, extras))
    return ValidationError(
        f"{what} are not allowed ({named} {'was' if len(extras) == 1 else 'were'} unexpected)"
    )
