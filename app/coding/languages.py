"""Programming languages: their names, and the tree-sitter parser of those that have one."""

import importlib
import json
import re
import threading
from functools import cache

from tree_sitter import Language, Parser, Tree

_ALIASES = {
    "python": ("py", "python3", "python2", "cpython", "ipynb"),
    "javascript": ("js", "ecmascript", "jsx", "mjs"),
    "typescript": ("ts", "tsx"),
    "java": (),
    "go": ("golang",),
    "bash": ("sh", "shell", "zsh", "shellscript"),
    "sql": ("plsql", "pgsql"),
    "c": (),
    "cpp": ("c++", "cplusplus", "cxx", "cc", "hpp", "c++17", "c++20", "c++11"),
    "rust": ("rs",),
    "csharp": ("c#", "cs"),
    "ruby": ("rb",),
    "php": (),
    "kotlin": ("kt",),
    "swift": (),
    "r": (),
    "scala": (),
    "perl": ("pl",),
    "lua": (),
    "haskell": ("hs",),
    "julia": (),
    "dart": (),
    "elixir": (),
    "matlab": (),
    "powershell": ("pwsh", "ps1"),
    "batch": ("bat",),
    "yaml": ("yml",),
    "json": (),
    "toml": (),
    "ini": (),
    "html": (),
    "css": (),
    "xml": (),
    "dockerfile": (),
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
    "cpp": ("tree_sitter_cpp", "language"),
    "rust": ("tree_sitter_rust", "language"),
}
PARSED = frozenset(_PARSERS)
"""Languages that have a parser."""

_lock = threading.Lock()  # a Parser must not be used by two threads at once
_GUESSED = ("python", "javascript", "typescript", "java", "go", "rust", "c", "cpp", "sql", "bash")
_LOOKS = tuple(
    (name, re.compile(pattern, re.MULTILINE))
    for name, pattern in (
        (
            "python",
            r"^\s*(?:def \w+\(.*|class \w+.*|for .+|if .+|elif .+|with .+|try):\s*$|^from [\w.]+ import |^import \w+$|^\s*(?:async )?def \w+\(",
        ),
        (
            "sql",
            r"(?i)^\s*(?:select\b.+\bfrom\b|insert into|create (?:or replace )?(?:table|view|index|function)|update \w+ set|delete from|with \w+ as \()",
        ),
        ("cpp", r"std::|#include <\w+>|\bnullptr\b|\btemplate ?<|cout ?<<"),
        ("c", r"#include ?<\w+\.h>|\bprintf\(|\bmalloc\("),
        (
            "java",
            r"\bpublic (?:static |final )*(?:class|void|int|String)|System\.out\.|@Override|\bnew \w+<>\(",
        ),
        ("csharp", r"\busing System|\bnamespace \w+|Console\.Write|\{ get; set; \}"),
        ("rust", r"\bfn \w+.*\{|\blet mut\b|\bimpl\b|println!|&mut |::<"),
        ("go", r"\bfunc \w*\(|^package \w+|:= |\bfmt\.|chan "),
        ("typescript", r"\binterface \w+ \{|: (?:string|number|boolean)\b|\bas const\b|\w+\?: "),
        (
            "javascript",
            r"\b(?:const|let|var) \w+ =|=> |\bfunction \w*\(|console\.log|require\(|document\.",
        ),
        ("kotlin", r"\bfun \w+\(|\bval \w+ ="),
        ("php", r"<\?php|\$\w+ ?=|\$this->"),
        ("ruby", r"^\s*def \w+[^:]*$|\bputs |\bend$"),
        ("dockerfile", r"^FROM \S+|^ENTRYPOINT |^RUN "),
        (
            "bash",
            r"^#!.*sh$|\bfi$|\bdone$|\$\{?\w+\}?|^\s*(?:echo|grep|awk|sed|cat|ls|cd|mv|cp|rm) ",
        ),
        ("yaml", r"^\s*[\w-]+:(?: .*)?$"),
        ("toml", r"^\[[\w.]+\]$"),
    )
)


@cache
def _load(language: str) -> Parser:
    module, function = _PARSERS[language]
    return Parser(Language(getattr(importlib.import_module(module), function)()))


def parse(code: str, language: str) -> Tree:
    """The concrete syntax tree, with ERROR nodes where the code is wrong; `language` in PARSED."""
    with _lock:
        return _load(language).parse(code.encode(errors="replace"))


def looks(text: str) -> bool:
    """Whether a text has the look of code: something of one language that prose has not."""
    return any(pattern.search(text) for name, pattern in _LOOKS if name not in ("yaml", "toml"))


def fits(code: str, language: str) -> bool:
    """Whether the language's own parser reads the whole code."""
    return language in PARSED and not _has_error(code, language)


def guess(code: str) -> str | None:
    """The language whose parser reads the whole code without an error, the likeliest first."""
    if not code.strip():
        return None
    if _is_json(code):
        return "json"
    looks = [name for name, pattern in _LOOKS if pattern.search(code)]
    fitting = (name for name in [*looks, *_GUESSED] if not _has_error(code, name))
    return next(fitting, None) or next(iter(looks), None)


def _has_error(code: str, language: str) -> bool:
    return language not in PARSED or parse(code, language).root_node.has_error


def _is_json(code: str) -> bool:
    if code.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(code)
    except (ValueError, RecursionError):
        return False
    return True
