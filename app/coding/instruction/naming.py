"""Whose name is whose: the name of the thing asked for, and the names it refers to."""

from collections.abc import Sequence
from dataclasses import dataclass

from lark import Token

from app.coding.instruction.reading import Findings, piece_of
from app.coding.instruction.tree import Block, Intent, Piece


@dataclass(frozen=True)
class Named:
    """The name of the target and the references to other things, in order."""

    name: Piece | None
    references: tuple[Piece, ...]


def decide(
    tokens: Sequence[Token], findings: Findings, blocks: Sequence[Block], intent: Intent
) -> Named:
    """Sorts the names by what is done: what is created has a new name, all else an old one."""
    name = findings.name or findings.called
    if intent == Intent.CREATE:
        used = _find_used(tokens)
        if name is not None and name.text in {piece.text for piece in used}:
            name = findings.name
        references = [*_find_pronouns(tokens), *used]
    else:
        name = findings.renamed or name or _first_name(tokens, findings)
        references = [*_find_pronouns(tokens), *_other_names(tokens, findings)]
    taken = {name.text} if name and intent == Intent.CREATE else set()
    return Named(name, _unique([piece for piece in references if piece.text not in taken]))


def _find_pronouns(tokens: Sequence[Token]) -> list[Piece]:
    return [piece_of(token) for token in tokens if token.type == "PRONOUN"]


def _find_used(tokens: Sequence[Token]) -> list[Piece]:
    """Names right after "using", "call", and right before their Japanese likes."""
    used = []
    for place, token in enumerate(tokens):
        around = [*tokens[max(0, place - 2) : place], *tokens[place + 1 : place + 3]]
        if token.type == "NAME" and any(each.type == "USE" for each in around):
            used.append(piece_of(token))
    return used


def _other_names(tokens: Sequence[Token], findings: Findings) -> list[Piece]:
    parameters = {parameter.name for parameter in findings.parameters}
    named = [piece_of(token) for token in tokens if token.type == "NAME"]
    return [piece for piece in named if piece.text not in parameters]


def _first_name(tokens: Sequence[Token], findings: Findings) -> Piece | None:
    return next(iter(_other_names(tokens, findings)), None)


def _unique(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    ordered = sorted(pieces, key=lambda piece: piece.start)
    return tuple({piece.text: piece for piece in reversed(ordered)}.values())[::-1]
