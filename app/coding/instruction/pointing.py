"""Phrases that point to something existing, with their noun: "these settings", 上面的 SQL, 次の設定."""

import functools
import re

from lark import Token

from app.coding.instruction import vocabulary
from app.coding.instruction.evidence import Evidence
from app.coding.instruction.listing import piece_of
from app.coding.instruction.tree import Piece

_KINDS = ("FUNCTION", "CLASS", "SCRIPT", "QUERY", "CONFIGURATION")
_MORE = {
    "en": [
        "snippet",
        "loop",
        "template",
        "settings",
        "batch",
        "hook",
        "test",
        "tests",
        "line",
        "expression",
        "regex",
        "handler",
        "step",
    ],
    "zh": [
        "SQL",
        "struct",
        "goroutine",
        "hook",
        "JSON",
        "XML",
        "YAML",
        "正则",
        "表达式",
        "批处理",
        "循环",
        "模板",
        "测试",
        "表",
        "一句",
        "语句",
        "片段",
        "服务",
    ],
    "ja": [
        "シェルスクリプト",
        "SQL",
        "struct",
        "シェル",
        "処理",
        "正規表現",
        "ループ",
        "テンプレート",
        "テスト",
        "式",
        "ファイル",
        "JSON",
        "XML",
        "YAML",
        "一文",
        "行",
        "コード",
    ],
}  # nouns that say nothing of the target


def find(prose: str) -> list[Piece]:
    """The pointing phrases, whole, in the order of the text."""
    return [Piece(found[0], *found.span()) for found in _make_pattern().finditer(prose)]


def _end(token: Token) -> Piece:
    """The "it" of "make it"."""
    end = int(token.end_pos or 0)
    return Piece(str(token)[-2:], end - 2, end)


def is_used(pointer: Piece, prose: str) -> bool:
    """ "use it": something older, where "it" alone is what is to be made."""
    before, after = prose[: pointer.start], prose[pointer.start + len(pointer.text) :]
    return bool(_USES.search(before) or _IS_USED.match(after))


_USES = re.compile(
    r"(?:\b(?:uses?|using|calls?|calling|reus(?:e|ing)|based on|by means of|with the help of|on top of) |[用调叫]|调用|使用|利用|基于)$",
    re.IGNORECASE,
)
_IS_USED = re.compile(r" ?を(?:使|用|呼|利用|活用|もとに|元に|基に)")


def find_all(evidence: Evidence) -> list[Piece]:
    """The pointing words, each as long as it goes, in the order of the text."""
    words = [piece_of(token) for token in evidence.tokens if token.type == "PRONOUN"]
    changes = [token for token in evidence.tokens if token.type == "CHANGE"]
    words += [_end(token) for token in changes if str(token).lower().endswith(" it")]
    found = [*find(evidence.prose), *words]
    return sorted(found, key=lambda piece: (piece.start, -piece.end))


def find_tables(prose: str) -> list[Piece]:
    """The tables that a sentence lists: "tables are a and b", 表是 users."""
    found = (match for match in _TABLES.finditer(prose))
    return [Piece(each[n], *each.span(n)) for each in found for n in (1, 2) if each[n]]


_TABLES = re.compile(
    r"(?:\b[Tt]ables?(?: is| are|:)|表(?:是|为|叫|：)|テーブルは)\s*`?([A-Za-z_]\w*)`?"
    r"(?:\s*\([^()\n]*\))?(?:(?:,? and |,|、| ?[和与と] ?)\s*`?([A-Za-z_]\w*)`?)?",
    re.ASCII,
)


def _join(words: list[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


@functools.cache  # not at import: each start of a worker would wait for it
def _make_pattern() -> re.Pattern[str]:
    known = [word for word, kind in vocabulary.load().kinds.items() if kind in _KINDS]
    english = _join([*(word for word in known if word.isascii()), *_MORE["en"]])
    others = [word for word in known if not word.isascii()]
    chinese, japanese = _join([*others, *_MORE["zh"]]), _join([*others, *_MORE["ja"]])
    return re.compile(
        rf"\b(?:this|that|these|those) (?:\w+ )?(?:{english})\b"
        rf"|\bthe (?:\w+ )?(?:{english}) (?:above|below)\b"
        rf"|(?:(?:下面|上面|前面|刚才|之前|上次)(?:的|这个|那个|这段|那段|这条|那条|这份|那份)"
        rf"|[这那](?:一?[个段条份张]| ?))\s?(?:[A-Za-z]+ ?)?(?:{chinese})"
        rf"|(?:この|その|あの|次の|以下の|下の|上の|上記の|さっきの|先ほどの|前の) ?(?:[A-Za-z]+ ?)?(?:{japanese})",
        re.IGNORECASE,
    )
