"""Code inside an instruction: fenced, or set off by looking like nothing else. Read by real parsers."""

import itertools
import re
from collections.abc import Iterator

from app.coding import languages, symbols, syntax
from app.coding.instruction import outputs
from app.coding.instruction.tree import Block, Piece

_FENCE = re.compile(
    r"^[ \t]*(?P<mark>`{3,}|~{3,})[ \t]*(?P<label>[^\s`]*)[^\n]*\n(?P<code>.*?)(?:^[ \t]*(?P=mark)[`~]*|\Z)",
    re.DOTALL | re.MULTILINE,
)
_INLINE_FENCE = re.compile(r"```(?P<code>[^`\n]+)```")
_OPENING = re.compile(
    r"(?:^|(?<=[:：。\s]))(?:"
    r"(?:async )?def \w+ ?\(|class [A-Z]\w*\s*[(:{]|from [\w.]+ import |import [\w.]+(?: as \w+)?$|@\w+(?:\(.*\))?$"
    r"|(?:export |async )*function\*? ?\w* ?\(|(?:const|let|var) [\w{\[][^=\n]* ?=[^=]|#include ?[<\"]|#!/"
    r"|(?:public|private|static|protected) [\w<>\[\] ]+[({]|func (?:\(.*?\) ?)?\w+\(|(?:pub )?fn \w+[(<]|package \w+;?$"
    r"|SELECT\b.{1,300}?\bFROM\b|(?<=\n)select\b.{1,300}?\bfrom\b.*|INSERT INTO\b|UPDATE \w+ SET\b|DELETE FROM\b|CREATE (?:OR REPLACE )?(?:TABLE|VIEW|INDEX|FUNCTION)(?: IF NOT EXISTS)? [\w.\"]+ ?(?:\(|AS\b|ON\b)|WITH \w+ AS \("
    r"|(?:int|void|double|float|char|long|bool|String) \w+\([^)]*\) ?\{|for \(.*\) ?\{"
    r"|\w+ = lambda\b|lambda \w+(?:, ?\w+)*:)"
    r"|^[ \t]*(?:for|while|if|elif|with|try)\b[^\n]*:$|^[ \t]*(?:(?:return|raise) |print ?\()[\w(\"'].*$(?<![.。!?])",
    re.MULTILINE,
)
_GOES_ON = re.compile(
    r"[ \t]+\S|[)}\]]|else\b|elif\b|except\b|finally\b|return\b|end\b|fi\b|done\b|@\w+$|#|//|--"
)
_STATEMENT = re.compile(r"[\w.\[\]\"', ]+ ?[-+*/|&]?= ?\S.*$|[\w.]+\(.*\);?$|.*[;{]$|>>> ")
_SIGNATURE = re.compile(
    r"(?:public|private|protected|static|async|export|function|func|fn|def|pub|class|int|void|double|float|char"
    r"|long|bool|String)\b[^{\n]*\([^{\n]*[^{:;\n]"
)  # without a body it is a part of the sentence
_TRACEBACK = re.compile(r"^(?P<frames>Traceback \(.*\n(?:[ \t]+\S.*\n?)*)", re.MULTILINE)
_DEFINITION = re.compile(
    r"^(?:(?:public|private|internal|static|final|abstract|sealed|data|open|override|async|export) )*"
    r"(?:class|struct|record|interface|enum|fun|func|function|def|module) (?:<[^>]*> )?(?:[\w<>]+\.)?(\w+)",
    re.MULTILINE,
)  # of languages that have no parser here
_MOST_BLOCKS = 50
_MOST_CODE = 20_000  # characters of one block that are parsed


def find(text: str) -> tuple[list[Block], str]:
    """Every piece of code in order, with its language, what it defines and its first fault; and
    the text without them, in which every other character keeps its place."""
    blocks: list[Block] = []
    source = text
    text = _blank(text, [each.span("frames") for each in _TRACEBACK.finditer(text)])
    for pattern in (_FENCE, _INLINE_FENCE):
        found = list(itertools.islice(pattern.finditer(text), _MOST_BLOCKS))
        blocks += [_read_fence(each, source) for each in found]
        text = _blank(text, [each.span() for each in found])
    bare = list(itertools.islice(_find_bare(text, source), _MOST_BLOCKS))
    text = _blank(text, [block.code.span for block in bare])
    return sorted([*blocks, *bare], key=lambda block: block.code.start), text


def _blank(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with these parts, which are in order, spaced out."""
    pieces, last = [], 0
    for start, end in spans:
        lines = text[start:end].split("\n")
        pieces += [text[last:start], "\n".join(" " * len(line) for line in lines)]
        last = end
    return "".join([*pieces, text[last:]])


def _read_fence(found: re.Match[str], source: str) -> Block:
    label = found.groupdict().get("label") or ""
    named = languages.NAMES.get(label.lower())
    code = found["code"]
    failed = (
        None if label else outputs.find_language(source[slice(*found.span("code"))][:_MOST_CODE])
    )
    if failed or (not label and outputs.is_plain(code)):
        start, end = found.span("code")
        return Block(Piece(code, start, end), failed)
    return _make(code, found.start("code"), named or languages.guess(code[:_MOST_CODE]))


def _find_bare(text: str, source: str) -> Iterator[Block]:
    """Code without a fence: from a line that only code begins with, as far as code goes on.
    `text` is `source` with its fences spaced out."""
    end = 0
    for found in _OPENING.finditer(text):
        start = found.start()
        if start < end:
            continue
        end = _find_end(text, start)
        code = source[start:end].rstrip()
        if _SIGNATURE.fullmatch(code):
            continue
        yield _make(code, start, languages.guess(code[:_MOST_CODE]))


def _find_end(text: str, start: int) -> int:
    end = _line_end(text, start)
    while end < len(text):
        following = _line_end(text, end)
        line = text[end:following]
        goes_on = _GOES_ON.match(line) or _OPENING.match(line) or _STATEMENT.match(line.strip())
        if line.strip() and not goes_on:
            break
        end = following
    return end


def _line_end(text: str, start: int) -> int:
    found = text.find("\n", start)
    return len(text) if found < 0 else found + 1


def _make(code: str, start: int, language: str | None) -> Block:
    piece = Piece(code, start, start + len(code))
    if language is None or len(code) > _MOST_CODE:
        return Block(piece, language)
    fault = syntax.find_fault(code, language)
    found = symbols.extract(code, language)
    defines = tuple(symbol.name for symbol in found if symbol.is_defined)
    if language not in languages.PARSED:
        defines = tuple(dict.fromkeys(_DEFINITION.findall(code)))
    return Block(piece, language, defines, fault.line if fault else None)
