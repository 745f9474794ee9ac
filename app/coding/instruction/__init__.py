"""From a natural-language instruction to its syntax tree: `parse(text)`.

The prose is cut into words by what they mean in English, Chinese or Japanese (`vocabulary`,
`lexing`), islands of meaning are found by the grammar (`grammar.lark`, `islands`), code is read by
real parsers (`fences`), and `naming`, `deciding` and `clauses` make one tree of it. No text is
refused: what no part can place stays free text, and the confidence falls.
"""

import re

from app.coding.instruction import clauses, deciding, fences, islands, lexing, naming, reading
from app.coding.instruction.tree import Block, Intent, Parameter, Piece, Scope, Target, Tree

__all__ = ["Block", "Intent", "Parameter", "Piece", "Scope", "Target", "Tree", "parse"]

MOST_TEXT = 50_000  # characters that are read at all; what follows is free text
MOST_PROSE = 8_000  # of them without code
_KANA = re.compile(r"[぀-ヿ]")
_HAN = re.compile(r"[㐀-鿿]")


def parse(text: str) -> Tree:
    """The tree of any text, in time linear in its length (about 10 ms for three sentences)."""
    blocks, prose = fences.find(text[:MOST_TEXT])
    tokens = lexing.cut(prose[:MOST_PROSE])
    found = islands.find(tokens)
    findings = reading.read(found, text)
    intent, intent_sure = deciding.choose_intent(tokens, blocks)
    language = deciding.choose_language(tokens, blocks, intent)
    target, target_sure = deciding.choose_target(tokens, language, blocks)
    named = naming.decide(tokens, findings, blocks, intent)
    pieces = clauses.split(prose, text)
    examples = [*clauses.select(pieces, tokens, "EXAMPLE"), *findings.examples]
    return Tree(
        intent=intent,
        target=target,
        locale=detect_locale(prose or text),
        language=language,
        name=named.name,
        parameters=tuple(findings.parameters),
        returns=findings.returns,
        constraints=tuple(clauses.select(pieces, tokens, "MUST")),
        examples=tuple(examples),
        references=named.references,
        scope=deciding.choose_scope(tokens),
        confidence=intent_sure * target_sure * _cover(tokens),
        text=(*pieces, *_rest(text)),
        code=tuple(blocks),
    )


def detect_locale(text: str) -> str:
    """The language a text is written in: kana are Japanese, Han alone Chinese, the rest English."""
    if _KANA.search(text):
        return "ja"
    return "zh" if _HAN.search(text) else "en"


def _cover(tokens: list[lexing.Token]) -> float:
    """The share of the prose that the vocabulary knows, from 0.5 up: strange words are no doubt of
    what the others say."""
    if not tokens:
        return 0.2
    known = sum(token.type not in ("WORD", "OTHER") for token in tokens)
    return 0.5 + 0.5 * known / len(tokens)


def _rest(text: str) -> tuple[Piece, ...]:
    beyond = text[MOST_TEXT:]
    return (Piece(beyond, MOST_TEXT, len(text)),) if beyond else ()
