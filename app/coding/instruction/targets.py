"""What an instruction is about: a function, class, script, query or configuration."""

import re
from collections.abc import Iterator

from app.coding.instruction import heads, vocabulary
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
_INTERFACED = frozenset({"typescript", "java", "csharp", "go", "php", "kotlin", "swift", None})
_ROUTE = re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE)\b|接口(?:别|不|返回|地址|文档|超时|请求)")
_METHOD = re.compile(
    r"(?i)\b(?:an?|one|another|two|more|new|some|second)\s+(?:[\w`]+\s+){0,2}methods?\b(?! (?:of|in|from)\b)"
    r"|(?:新增|增加|添加|加上?|补)[^，。,]{0,14}方法|メソッド\S{0,24}を?(?:追加|足し|加え|増や|生やし)|メソッドも?[^、。]{0,5}(?:欲し|ほし)"
)
_NEEDY = re.compile(
    r"\W*(?!It|This|That|We|You)[A-Z]\w+ (?:needs|gets|wants|should (?:get|have))\b"
)
_COLUMN = re.compile(
    r"(?i)\b(?:column|index|rows?|primary key|foreign key)\b[^.?!]* (?:the |our |my )?[`\w]+ table\b"
    r"|(?<!\w)\w+ ?(?:テーブル|表)\S{0,4}\w* ?(?:列|カラム|字段)"
)
_SHELL_FUNCTION = re.compile(r"^\s*(?:function\s+\w+|\w+ ?\(\))", re.MULTILINE)
_VALUES = ("None", "True", "False", "NaN", "Null")


def choose(evidence: Evidence, language: str | None, intent: Intent) -> tuple[Target, float]:
    """The target, and how sure it is."""
    options = (*_read_target(evidence, language, intent), *_infer_target(evidence, language))
    return next(iter(options), None) or _guess_by_name(evidence, language, intent)


def _read_target(
    evidence: Evidence, language: str | None, intent: Intent
) -> Iterator[tuple[Target, float]]:
    """What is said: by the language, the name of a file, a noun."""
    nouns = list(_name_kinds(evidence, language)) + _pointed_kinds(evidence)
    is_code = "FUNCTION" in nouns or "CLASS" in nouns
    if language == "sql" or (language is None and not is_code and _COLUMN.search(evidence.prose)):
        yield Target.QUERY, 1.0
    if intent == Intent.CHANGE and _gains_method(evidence, nouns):
        yield Target.CLASS, 1.0
    if intent == Intent.CONVERT and language in CONFIGURED:
        yield Target.CONFIGURATION, 1.0
    if not is_code and any(map(_CONFIG_FILE.match, evidence.files[:1])):
        yield Target.CONFIGURATION, 1.0
    yield from ((_TARGETS[kind], 1.0) for kind in nouns if kind != "QUERY" or language is None)


def _name_kinds(evidence: Evidence, language: str | None) -> Iterator[str]:
    """The kinds of the nouns; 接口 is an address of a service where no type can be meant."""
    for token in heads.find(evidence.tokens, evidence.prose):
        is_address = language not in _INTERFACED or _ROUTE.search(evidence.prose)
        yield "FUNCTION" if token == "接口" and is_address else token.type


def _gains_method(evidence: Evidence, nouns: list[str]) -> bool:
    """A new method is a change of its class."""
    is_class = "CLASS" in nouns or _shown_target(evidence) == Target.CLASS
    is_class = is_class or any(_is_capital(name) for name in _list_names(evidence))
    is_class = is_class or bool(_NEEDY.match(evidence.prose))
    return is_class and bool(_METHOD.search(evidence.prose))


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


def _guess_by_name(
    evidence: Evidence, language: str | None, intent: Intent
) -> tuple[Target, float]:
    """Classes are spelled with a capital everywhere, functions in few languages."""
    names = _list_names(evidence)
    if not names and (evidence.files or evidence.has("FILE")):
        return Target.SCRIPT, 0.9
    if any(each.parameters for each in evidence.signatures):
        return Target.FUNCTION, 0.6
    is_library = intent == Intent.EXPLAIN and language is not None and not evidence.blocks
    if names and _is_capital(names[0]) and language != "go" and not is_library:
        return Target.CLASS, 0.5
    return Target.FUNCTION, 0.6


def _list_names(evidence: Evidence) -> list[str]:
    """The names in prose, without errors and values."""
    names = [str(token) for token in evidence.tokens if token.type == "NAME" and len(token) > 1]
    return [each for each in names if not each.endswith(("Error", "Exception", *_VALUES))]


def _is_capital(name: str) -> bool:
    """ "Playlist", as classes are spelled."""
    return name[0].isupper() and not name.isupper() and not set(name) & {"_", "."}


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
        if block.language in SHELLS and not _SHELL_FUNCTION.search(block.code.text):
            return Target.SCRIPT
    return None
