"""What an instruction is about: a function, class, script, query or configuration."""

import re
from collections.abc import Iterator

from app.coding.instruction import vocabulary
from app.coding.instruction.evidence import Evidence
from app.coding.instruction.spoken import CONFIGURED, SHELLS
from app.coding.instruction.tree import Intent, Target

_TARGETS = {
    "FUNCTION": Target.FUNCTION,
    "CLASS": Target.CLASS,
    "SCRIPT": Target.SCRIPT,
    "QUERY": Target.QUERY,
    "CONFIGURATION": Target.CONFIGURATION,
}
_CONFIG_FILE = re.compile(
    r"(?i)(?:.*\.(?:ya?ml|toml|ini|cfg|conf|json|xml|gradle|properties|tf|mk)|.*file|\..*|cmakelists\.txt)$"
)


def choose(evidence: Evidence, language: str | None, intent: Intent) -> tuple[Target, float]:
    """The target, and how sure it is."""
    options = (*_read_target(evidence, language, intent), *_infer_target(evidence, language))
    return next(iter(options), None) or _guess_by_name(evidence, language)


def _read_target(
    evidence: Evidence, language: str | None, intent: Intent
) -> Iterator[tuple[Target, float]]:
    """What is said: by the language, the name of a file, a noun."""
    nouns = [token.type for token in evidence.tokens if token.type in _TARGETS]
    nouns += _pointed_kinds(evidence)
    is_code = "FUNCTION" in nouns or "CLASS" in nouns
    if language == "sql":
        yield Target.QUERY, 1.0
    if intent == Intent.CONVERT and language in CONFIGURED:
        yield Target.CONFIGURATION, 1.0
    if not is_code and any(map(_CONFIG_FILE.match, evidence.files[:1])):
        yield Target.CONFIGURATION, 1.0
    yield from ((_TARGETS[kind], 1.0) for kind in nouns if kind != "QUERY" or language is None)


def _infer_target(evidence: Evidence, language: str | None) -> Iterator[tuple[Target, float]]:
    """What follows from the code that is shown, and from what is left unsaid."""
    shown = _shown_target(evidence)
    if language in CONFIGURED:
        yield Target.CONFIGURATION, 0.9
    if shown is not None:
        yield shown, 0.9
    if evidence.files and not any(t.type == "NAME" and len(t) > 1 for t in evidence.tokens):
        yield Target.SCRIPT, 0.9
    if language in SHELLS:
        yield Target.SCRIPT, 0.9


def _guess_by_name(evidence: Evidence, language: str | None) -> tuple[Target, float]:
    """Classes are spelled with a capital everywhere, functions in few languages."""
    named = [str(token) for token in evidence.tokens if token.type == "NAME" and len(token) > 1]
    names = [name for name in named if not name.endswith(("Error", "Exception"))]
    if not names and (evidence.files or evidence.has("FILE")):
        return Target.SCRIPT, 0.9
    if any(each.parameters for each in evidence.signatures):
        return Target.FUNCTION, 0.6
    is_class = bool(names) and names[0][0].isupper() and "_" not in names[0] and "." not in names[0]
    if is_class and language != "go" and not names[0].isupper():
        return Target.CLASS, 0.5
    return Target.FUNCTION, 0.6


def _pointed_kinds(evidence: Evidence) -> list[str]:
    """The kinds of thing that pointing phrases name: "the class above"."""
    kinds = vocabulary.load().kinds
    found = []
    for token in evidence.tokens:
        if token.type == "PRONOUN":
            text = str(token).lower()
            found += [
                kind
                for word, kind in kinds.items()
                if kind in _TARGETS
                and (word in text.split() if word.isascii() else text.endswith(word))
            ]
    return found


def _shown_target(evidence: Evidence) -> Target | None:
    """What the first shown code is."""
    for block in evidence.blocks:
        if block.language in CONFIGURED:
            return Target.CONFIGURATION
        if block.language == "sql":
            return Target.QUERY
        if re.match(
            r"\s*(?:template ?<.*>\s*)?(?:@\w.*\n\s*)*(?:(?:public|final|abstract|export|data|pub|static) )*(?:class|struct|record|interface|enum|type|trait)\b",
            block.code.text,
        ):
            return Target.CLASS
        if block.language in SHELLS and not block.defines:
            return Target.SCRIPT
    return None
