"""From a natural-language instruction to its syntax tree: `parse(text)`.

Code in the text is read by real parsers (`fences`), signatures by their brackets (`signatures`).
The rest is cut into words by what they mean in English, Chinese or Japanese (`vocabulary`,
`lexing`), islands of meaning are found by the grammar (`grammar.lark`, `islands`, `reading`), and
`deciding`, `naming` and `clauses` make one tree of it. No text is refused: what no part can place
stays free text, and the confidence falls.
"""

import re

from lark import Token

from app.coding.instruction import (
    clauses,
    fences,
    headings,
    islands,
    lexing,
    naming,
    parameters,
    reach,
    reading,
    signatures,
    spoken,
    targets,
    weighing,
)
from app.coding.instruction.evidence import Evidence
from app.coding.instruction.tree import (
    Block,
    Heading,
    Intent,
    Parameter,
    Piece,
    Scope,
    Target,
    Tree,
)

__all__ = ["Block", "Heading", "Intent", "Parameter", "Piece", "Scope", "Target", "Tree", "parse"]

MOST_TEXT = 50_000  # characters that are read at all; what follows is free text
MOST_PROSE = 8_000  # of them without code
_KANA = re.compile(r"[぀-ヿ]")
_HAN = re.compile(r"[㐀-鿿]")


def parse(text: str) -> Tree:
    """The tree of any text, in time linear in its length (about 10 ms for three sentences)."""
    blocks, prose = fences.find(text[:MOST_TEXT])
    prose = prose[:MOST_PROSE]
    shown = signatures.find(prose)
    tokens = lexing.cut(signatures.blank_inner(prose, shown))
    evidence = Evidence(tokens, blocks, shown, prose)
    intent, intent_sure = weighing.choose(evidence, prose)
    language = spoken.choose(evidence, intent)
    shown = signatures.find(prose, language=language)
    target, target_sure = targets.choose(evidence, language, intent)
    findings = reading.read(islands.find(tokens), text, language)
    named = naming.decide(evidence, findings, shown, intent, target)
    what = parameters.Thing(intent, target, named.name, prose)
    pieces = clauses.split(prose, text)
    calls = [Piece(text[s.start : s.end], s.start, s.end) for s in shown if s.is_call]
    return Tree(
        intent=intent,
        target=target,
        locale=detect_locale(prose or text),
        language=language,
        name=named.name,
        parameters=parameters.choose(what, evidence, findings, shown),
        returns=parameters.choose_return(findings, shown, intent),
        constraints=tuple(clauses.select(pieces, tokens, "MUST")),
        examples=(*clauses.select(pieces, tokens, "EXAMPLE"), *calls),
        references=named.references,
        scope=reach.choose(evidence),
        confidence=intent_sure * target_sure * _cover(tokens),
        text=(*pieces, *_rest(text)),
        code=tuple(blocks),
        headings=tuple(headings.find(evidence, findings, intent)),
    )


def detect_locale(text: str) -> str:
    """The language a text is written in, whatever it quotes: kana are Japanese, Han alone Chinese,
    the rest English."""
    text = lexing.unquote(text)
    if _KANA.search(text):
        return "ja"
    return "zh" if _HAN.search(text) else "en"


def _cover(tokens: list[Token]) -> float:
    """The share of the prose that the vocabulary knows, from 0.5 up: strange words are no doubt of
    what the others say."""
    if not tokens:
        return 0.2
    known = sum(token.type not in ("WORD", "OTHER") for token in tokens)
    return 0.5 + 0.5 * known / len(tokens)


def _rest(text: str) -> tuple[Piece, ...]:
    beyond = text[MOST_TEXT:]
    return (Piece(beyond, MOST_TEXT, len(text)),) if beyond else ()
