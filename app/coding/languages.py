"""Programming languages: their names, and the tree-sitter parser of those that have one."""

import importlib
import json
import threading
from functools import cache

from tree_sitter import Language, Parser, Tree

_ALIASES = {
    "python": ("py", "python3", "python2", "cpython"),
    "javascript": ("js", "node", "nodejs", "node.js", "ecmascript", "jsx"),
    "typescript": ("ts", "tsx"),
    "java": (),
    "go": ("golang",),
    "bash": ("sh", "shell", "zsh", "shellscript"),
    "sql": ("postgresql", "postgres", "mysql", "sqlite", "plsql", "pgsql"),
    "c": (),
    "c++": ("cpp", "cplusplus", "cxx", "cc"),
    "rust": ("rs",),
    "c#": ("csharp", "cs"),
    "ruby": ("rb",),
    "php": (),
    "kotlin": ("kt",),
    "swift": (),
    "r": (),
    "scala": (),
    "perl": (),
    "lua": (),
    "haskell": ("hs",),
    "julia": (),
    "dart": (),
    "elixir": (),
    "matlab": (),
    "powershell": ("pwsh", "ps1"),
    "yaml": ("yml",),
    "json": (),
    "toml": (),
    "ini": (),
    "html": (),
    "css": (),
    "xml": (),
    "dockerfile": ("docker",),
    "nginx": (),
    "makefile": (),
}
NAMES = {alias: name for name, known in _ALIASES.items() for alias in (name, *known)}
"""The canonical name of a language by every name it has, in lower case."""

_PARSERS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "java": ("tree_sitter_java", "language"),
    "go": ("tree_sitter_go", "language"),
    "bash": ("tree_sitter_bash", "language"),
    "sql": ("tree_sitter_sql", "language"),
    "c": ("tree_sitter_c", "language"),
    "c++": ("tree_sitter_cpp", "language"),
    "rust": ("tree_sitter_rust", "language"),
}
PARSED = frozenset(_PARSERS)
"""Languages that have a parser."""

_GUESSED = ("python", "javascript", "typescript", "java", "go", "rust", "c", "c++", "sql", "bash")
_lock = threading.Lock()  # a Parser must not be used by two threads at once


@cache
def _load(language: str) -> Parser:
    module, function = _PARSERS[language]
    return Parser(Language(getattr(importlib.import_module(module), function)()))


def parse(code: str, language: str) -> Tree:
    """The concrete syntax tree, with ERROR nodes where the code is wrong; `language` in PARSED."""
    with _lock:
        return _load(language).parse(code.encode(errors="replace"))


def guess(code: str) -> str | None:
    """The language whose parser reads the whole code without an error, the likeliest first."""
    if not code.strip():
        return None
    if _is_json(code):
        return "json"
    fitting = (name for name in _GUESSED if not parse(code, name).root_node.has_error)
    return next(fitting, None)


def _is_json(code: str) -> bool:
    if code.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(code)
    except (ValueError, RecursionError):
        return False
    return True
