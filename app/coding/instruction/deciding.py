"""What an instruction wants, decided from its words: intent, target, language, scope."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from lark import Token

from app.coding import languages
from app.coding.instruction import vocabulary
from app.coding.instruction.tree import Block, Intent, Scope, Target

_TARGETS = {
    "FUNCTION": Target.FUNCTION,
    "CLASS": Target.CLASS,
    "SCRIPT": Target.SCRIPT,
    "QUERY": Target.QUERY,
    "CONFIGURATION": Target.CONFIGURATION,
}
CONFIGURED = frozenset({"yaml", "json", "toml", "ini", "dockerfile", "nginx", "makefile", "xml"})
_CONFIG_FILE = re.compile(
    r"(?i)(?:.*\.(?:ya?ml|toml|ini|cfg|conf|json|xml|gradle|properties|tf|mk)|.*file|\..*|cmakelists\.txt)$"
)
_KANA = re.compile(r"[\u3040-\u30ff]")
_SHELLS = frozenset({"bash", "powershell", "batch"})
_STUB = re.compile(
    r"pass\b|\.\.\.|unimplemented!|todo!|TODO|NotImplemented|panic\(|throw new|// *\.\.\.|^\s*$"
)
_DECLARATION = re.compile(
    r"^(?!.*\b(?:select|from|where|return)\b)\s*(?:[\w<>\[\],:&*?.]+\s+)+\w+(?:<[^>]*>)? ?\(.*\)"
    r"[^=+*/]*(?:[;:{]|\{ ?\}|\.\.\.)?$",
    re.IGNORECASE,
)
_STUB_LINES = 6
_NEAR = 6  # tokens between two languages
_TESTERS = frozenset(
    {"pytest", "unittest", "jest", "junit", "junit5", "junit 5", "vitest", "gtest", "googletest"}
    | {"xunit", "nunit", "rspec", "bats", "pgtap", "mocha", "mockito"}
)


@dataclass(frozen=True)
class Evidence:
    """What decisions are made from."""

    tokens: Sequence[Token]
    blocks: Sequence[Block]

    def has(self, *kinds: str) -> bool:
        """Whether a token of any of these kinds is there."""
        return not self._kinds.isdisjoint(kinds)

    @cached_property
    def _kinds(self) -> frozenset[str]:
        return frozenset(token.type for token in self.tokens)

    @cached_property
    def files(self) -> list[str]:
        """The files that prose names."""
        return [str(token) for token in self.tokens if token.type == "FILENAME"]

    @cached_property
    def code(self) -> list[Block]:
        """Blocks with something in them: not a stub to be filled in."""
        return [block for block in self.blocks if not is_stub(block)]

    @property
    def has_object(self) -> bool:
        """Whether something exists that the instruction can be about."""
        return bool(self.code) or self.has("PRONOUN", "SESSION", "NAME", "FILENAME", "RENAMED")


def is_stub(block: Block) -> bool:
    """Whether a block is one signature with an empty body."""
    lines = [line for line in block.code.text.strip().splitlines() if line.strip()]
    if len(lines) == 1:
        return bool(_DECLARATION.search(lines[0])) and "=" not in lines[0].partition("(")[0]
    body = "\n".join(lines[1:]).replace("return NotImplemented", "")
    return len(lines) <= _STUB_LINES and bool(_STUB.search(body)) and "return" not in body


def choose_intent(evidence: Evidence) -> tuple[Intent, float]:
    """The intent, and how sure it is: 1 for a plain word of the vocabulary, less for a guess."""
    if _is_conversion(evidence):
        return Intent.CONVERT, 1.0
    if evidence.has("FIX"):
        return Intent.FIX, 1.0
    judged = (_judge(evidence, place) for place in _order(evidence.tokens))
    said = next(filter(None, judged), None)
    return (said, 1.0) if said else _guess_intent(evidence)


def _order(tokens: Sequence[Token]) -> list[int]:
    """The places of the tokens as requests are read: sentence by sentence, and in Japanese each
    from its end, where the verb is."""
    if not any(_KANA.search(str(token)) for token in tokens):
        return list(range(len(tokens)))
    order: list[int] = []
    sentence: list[int] = []
    for place, token in enumerate(tokens):
        sentence.append(place)
        if token.type == "END":
            order += reversed(sentence)
            sentence = []
    return [*order, *reversed(sentence)]


def _guess_intent(evidence: Evidence) -> tuple[Intent, float]:
    if evidence.has("CALLED", "AKA") and not evidence.blocks:
        return Intent.CREATE, 0.8
    if evidence.has("EXPLAIN"):
        return Intent.EXPLAIN, 1.0
    if evidence.code or (evidence.has("COMPLAINT") and evidence.has_object):
        return Intent.FIX, 0.5
    return Intent.CREATE, 0.8 if evidence.has("CREATE", "ASK") else 0.6


def _judge(evidence: Evidence, place: int) -> Intent | None:
    """What one word says; None for one that decides nothing where it stands."""
    token = evidence.tokens[place]
    if token.type == "TEST" or (token.type == "HINT" and str(token).lower() in _TESTERS):
        return Intent.TEST
    if token.type == "CREATE" and not _is_for_tests(evidence, place):
        return Intent.CREATE
    if token.type == "RENAMED":
        return Intent.CHANGE
    return _judge_wish(evidence, place) if evidence.has_object else None


def _judge_wish(evidence: Evidence, place: int) -> Intent | None:
    """A word for a change or for a fault, where there is something that it can be about."""
    kind, is_asked = evidence.tokens[place].type, _is_asked(evidence.tokens[:place])
    is_old = bool(evidence.code) or evidence.has("PRONOUN", "SESSION", "FILENAME")
    if kind in ("CHANGE", "CONVERT") and (is_old or (kind == "CHANGE" and not is_asked)):
        return Intent.CHANGE
    if kind == "COMPLAINT" and not is_asked and not _is_question(evidence):
        return Intent.FIX
    return None


def _is_for_tests(evidence: Evidence, place: int) -> bool:
    """ "write unit tests": the verb belongs to the noun."""
    rest = evidence.tokens[place + 1 : place + 9]
    return any(t.type == "TEST" or str(t).lower() in _TESTERS for t in rest)


def _is_asked(tokens: Sequence[Token]) -> bool:
    """Whether something new is asked for: then an error is a thing it must deal with."""
    return any(token.type == "ASK" for token in tokens)


def _is_question(evidence: Evidence) -> bool:
    first = next((t.type for t in evidence.tokens if t.type in ("EXPLAIN", "COMPLAINT")), "")
    return first == "EXPLAIN"


def _is_conversion(evidence: Evidence) -> bool:
    """Code in one language and another one named for it; or one language that leads to another."""
    named = _named_languages(evidence, "LANGUAGE")
    shown = {block.language for block in evidence.code if block.language}
    if evidence.has("EXPLAIN", "TEST") and not evidence.has("CONVERT"):
        return False
    if shown and set(named) - shown:
        return True
    makes = evidence.has("FUNCTION", "CLASS", "CREATE") and not evidence.code
    if len(set(named)) > 1 and _leads(evidence.tokens) and not makes:
        return True
    return _is_near(evidence.tokens) and not makes and evidence.has_object


def _is_near(tokens: Sequence[Token]) -> bool:
    """Whether a word for conversion stands near a language."""
    kinds = [token.type for token in tokens]
    return any(
        kind == "CONVERT" and "LANGUAGE" in kinds[max(0, place - _NEAR) : place + _NEAR]
        for place, kind in enumerate(kinds)
    )


def _leads(tokens: Sequence[Token]) -> bool:
    """Whether two languages stand near each other with a word between that leads to the second."""
    places = [place for place, token in enumerate(tokens) if token.type in ("LANGUAGE", "HINT")]
    for first, second in itertools.pairwise(places):
        between = tokens[first + 1 : second]
        leads = any(
            t.type in ("INTO", "CONVERT", "ARROW") or t in ("转", "から", "を", "→")
            for t in between
        )
        if len(between) <= _NEAR and (leads or any(t.type == "CONVERT" for t in tokens)):
            return True
    return False


def choose_language(evidence: Evidence, intent: Intent) -> str | None:
    """The programming language of the answer: what a conversion ends in, what is named, or the
    language of the code that is shown."""
    named = _named_languages(evidence, "LANGUAGE")
    shown = [block.language for block in evidence.blocks if block.language]
    if intent == Intent.CONVERT:
        others = [each for each in named + _named_languages(evidence, "HINT") if each not in shown]
        wanted = others or named
        return wanted[-1] if wanted else None
    spoken = [each for each in named if not (each in CONFIGURED and len(set(named)) > 1)]
    hinted = _named_languages(evidence, "HINT")
    endings = [_ending_language(str(t)) for t in evidence.tokens if t.type == "FILENAME"]
    found = [*spoken, *shown, *filter(None, endings), *hinted]
    return found[0] if found else None


def _named_languages(evidence: Evidence, kind: str) -> list[str]:
    return [vocabulary.find_value(str(token)) for token in evidence.tokens if token.type == kind]


def _ending_language(name: str) -> str | None:
    lower = name.rsplit("/", 1)[-1].lower()
    if lower in ("dockerfile", "makefile"):
        return lower
    ending = lower.rsplit(".", 1)[-1]
    if "nginx" in lower:
        return "nginx"
    return languages.NAMES.get({"h": "c", "mk": "makefile"}.get(ending, ending))


def choose_target(evidence: Evidence, language: str | None, intent: Intent) -> tuple[Target, float]:
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
    if not is_code and any(_CONFIG_FILE.match(name) for name in evidence.files):
        yield Target.CONFIGURATION, 1.0
    yield from ((_TARGETS[kind], 1.0) for kind in nouns if kind != "QUERY" or language is None)


def _infer_target(evidence: Evidence, language: str | None) -> Iterator[tuple[Target, float]]:
    """What follows from the code that is shown, and from what is left unsaid."""
    shown = _shown_target(evidence)
    if language in CONFIGURED:
        yield Target.CONFIGURATION, 0.9
    if shown is not None:
        yield shown, 0.9
    if evidence.files and not evidence.has("NAME"):
        yield Target.SCRIPT, 0.9
    if language in _SHELLS:
        yield Target.SCRIPT, 0.9


def _guess_by_name(evidence: Evidence, language: str | None) -> tuple[Target, float]:
    """Classes are spelled with a capital everywhere, functions in few languages."""
    named = [str(token) for token in evidence.tokens if token.type == "NAME"]
    names = [name for name in named if not name.endswith(("Error", "Exception"))]
    if evidence.files and not names:
        return Target.SCRIPT, 0.9
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
            r"\s*(?:@\w.*\n\s*)*(?:(?:public|final|abstract|export|data|pub|static) )*(?:class|struct|record|interface|enum|type|trait)\b",
            block.code.text,
        ):
            return Target.CLASS
        if block.language in _SHELLS and not block.defines:
            return Target.SCRIPT
    return None


def choose_scope(evidence: Evidence) -> Scope | None:
    """How far the instruction reaches, if it says so. With code in the message, "above" is that."""
    if evidence.has("FILENAME", "FILE"):
        return Scope.FILE
    if evidence.has("MODULE"):
        return Scope.MODULE
    spoken = [str(token).lower() for token in evidence.tokens if token.type == "PRONOUN"]
    before = any(word in each for each in spoken for word in _BEFORE)
    is_earlier = evidence.has("SESSION") or before
    return Scope.SESSION if is_earlier and not evidence.blocks else None


_BEFORE = ("earlier", "last", "previous", "before", "刚", "之前", "前面", "上一", "さっき", "先ほど", "先程", "前回", "上記", "直前", "上の", "上面", "上述")  # fmt: skip
