"""Writes docs/api: a page for each endpoint, made from the OpenAPI description, and their index.

Run by `make pages`; tests/unit/test_pages.py notices a page older than the code. What a page says
from "## Example" on is written by hand and kept.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app import queue, settings
from app.api import docs, factory
from app.models.database import Database

FOLDER = Path(__file__).parent.parent / "docs" / "api"
INDEX = "README.md"
EXAMPLE = "## Example\n"
_NOTE = "<!-- `make pages` makes this page from the code, up to the example. -->"
_ERROR = "#/components/schemas/ErrorBody"
_LIMITS = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "minLength": "at least {} characters",
    "maxLength": "up to {} characters",
    "minItems": "at least {}",
    "maxItems": "up to {}",
    "maxProperties": "up to {} entries",
}
Schemas = Mapping[str, Any]


def describe() -> dict[str, Any]:
    """The description that an API serves at /openapi.json; nothing is started for it."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{folder}/unused.db")
        publisher = queue.Publisher(queue.make_app("redis://127.0.0.1:1/0"))
        app = factory.create_app(settings.Settings(), db, publisher, ping=lambda: None)
        with app.app_context():
            return docs.describe(app)


def name_page(method: str, path: str) -> str:
    """The file of an endpoint's page: get-v1-jobs-job_id.md."""
    return f"{method}{re.sub(r'[{}]', '', path).replace('/', '-')}.md"


def make_pages(found: Mapping[str, Any]) -> dict[str, str]:
    """The made part of every page, and the index, by file name."""
    schemas = found["components"]["schemas"]
    pages = {
        name_page(method, path): _make_page(method, path, operation, schemas)
        for method, path, operation in _list_endpoints(found)
    }
    return pages | {INDEX: _make_index(found)}


def _list_endpoints(found: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            yield method, path, operation


def _make_index(found: Mapping[str, Any]) -> str:
    groups: dict[str, list[str]] = {}
    for method, path, operation in _list_endpoints(found):
        name = f"[`{method.upper()} {path}`]({name_page(method, path)})"
        groups.setdefault(operation["tags"][0], []).append(f"| {name} | {_say(operation)} |")
    parts = [
        "# Endpoints\n",
        _NOTE,
        "\nThe guide to all of them, with every error code: [../api.md](../api.md).",
    ]
    for tag, rows in groups.items():
        parts.append(
            "\n".join([f"\n## {tag.capitalize()}\n", "| endpoint | |", "| --- | --- |", *rows])
        )
    return "\n".join(parts) + "\n"


def _say(operation: Mapping[str, Any]) -> str:
    """The docstring of the route, on one line."""
    said = [operation.get("summary"), operation.get("description")]
    return " ".join(part.replace("\n", " ") for part in said if part)


def _make_page(method: str, path: str, operation: Mapping[str, Any], schemas: Schemas) -> str:
    parts = [f"# `{method.upper()} {path}`\n\n{_NOTE}\n\n{_say(operation)}\n"]
    parts += _list_parameters(operation)
    parts += _list_fields(operation, schemas)
    parts += _list_answers(operation, schemas)
    return "\n".join(parts) + "\n"


def _list_parameters(operation: Mapping[str, Any]) -> list[str]:
    given = operation.get("parameters", [])
    if not given:
        return []
    rows = [
        f"| `{each['name']}` | {each['in']} | {_show(each['schema'])} | {_need(each['required'], each['schema'])} |"
        for each in given
    ]
    return ["## Parameters\n", "| name | in | type | |", "| --- | --- | --- | --- |", *rows, ""]


def _need(is_required: bool, schema: Mapping[str, Any]) -> str:
    if is_required:
        return "required"
    default = schema.get("default")
    return "" if default is None else f"default `{default}`"


def _list_fields(operation: Mapping[str, Any], schemas: Schemas) -> list[str]:
    body = operation.get("requestBody")
    if body is None:
        return []
    ((kind, content),) = body["content"].items()
    schema = _resolve(content["schema"], schemas)
    return [f"## Body (`{kind}`)\n", *_tabulate(schema), "", *_list_parts(schema, schemas)]


def _list_parts(schema: Mapping[str, Any], schemas: Schemas) -> list[str]:
    """A table for each model that fields of this one refer to, and that those refer to."""
    parts, seen, open_refs = [], set(), _find_refs(schema)
    while open_refs:
        name = open_refs.pop(0)
        if name not in seen:
            seen.add(name)
            parts += [f"`{name}`: {_one_line(schemas[name])}\n", *_tabulate(schemas[name]), ""]
            open_refs += _find_refs(schemas[name])
    return parts


def _one_line(schema: Mapping[str, Any]) -> str:
    return " ".join(str(schema.get("description", "")).split())


def _find_refs(schema: Mapping[str, Any]) -> list[str]:
    fields = schema.get("properties", {})
    return re.findall(r"#/components/schemas/(\w+)", json.dumps(fields))


def _tabulate(schema: Mapping[str, Any]) -> list[str]:
    needed = set(schema.get("required", []))
    rows = [
        f"| `{name}` | {_show(field)} | {_need(name in needed, field)} |"
        for name, field in schema.get("properties", {}).items()
    ]
    return ["| field | type | |", "| --- | --- | --- |", *rows]


def _resolve(schema: Mapping[str, Any], schemas: Schemas) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = schemas[name] if name else schema
    return found


def _show(schema: Mapping[str, Any]) -> str:
    """A type as a reader wants it: `integer, >= 1, <= 100`."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if choices := schema.get("anyOf"):
        shown = [_show(each) for each in choices if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(shown))
    kind = schema.get("type", "any")
    if kind == "array":
        kind = f"array of {_show(schema.get('items', {}))}"
    limits = [text.format(_trim(schema[name])) for name, text in _LIMITS.items() if name in schema]
    return ", ".join([kind, *limits])


def _trim(number: float) -> float:
    return int(number) if number == int(number) else number


def _list_answers(operation: Mapping[str, Any], schemas: Schemas) -> list[str]:
    answers = operation["responses"]
    errors = [status for status, each in answers.items() if _is_error(each)]
    parts = ["## Answers\n"]
    for status, each in answers.items():
        if status not in errors:
            parts += _describe_answer(status, each.get("content", {}), schemas)
    if errors:
        codes = ", ".join(sorted(errors))
        parts.append(f"Errors ([codes and their meaning](../api.md#errors)): {codes}.\n")
    return parts


def _is_error(answer: Mapping[str, Any]) -> bool:
    shown = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return bool(shown.get("$ref") == _ERROR)


def _describe_answer(status: str, content: Mapping[str, Any], schemas: Schemas) -> list[str]:
    kinds = ", ".join(f"`{kind}`" for kind in content) or "`application/json`"
    parts = [f"{status}: {kinds}\n"]
    schema = _resolve(content.get("application/json", {}).get("schema", {}), schemas)
    if schema.get("properties"):
        rows = [f"| `{name}` | {_show(field)} |" for name, field in schema["properties"].items()]
        parts += ["| field | type |", "| --- | --- |", *rows, "", *_list_parts(schema, schemas)]
    return parts


def merge(made: str, old: str) -> str:
    """The made part, and from the example on what was there."""
    kept = old.partition(EXAMPLE)[2]
    return f"{made}{EXAMPLE}{kept}"


def main() -> None:
    """Writes the pages; those of endpoints that are gone are deleted."""
    FOLDER.mkdir(exist_ok=True)
    pages = make_pages(describe())
    for path in FOLDER.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, made in pages.items():
        path = FOLDER / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(made if name == INDEX else merge(made, old), encoding="utf-8")


if __name__ == "__main__":
    main()
