"""The new names that an instruction gives to what is renamed."""

import re
from collections.abc import Iterator

from app.coding.instruction import naming
from app.coding.instruction.evidence import Evidence
from app.coding.instruction.reading import Findings
from app.coding.instruction.tree import Heading, Intent


def find(evidence: Evidence, findings: Findings, intent: Intent) -> Iterator[Heading]:
    """The name that a change gives to a function. Code that is shown has names of its own."""
    is_about_others = _OTHER_NAMES.search(evidence.prose) or _NEGATED.search(evidence.prose)
    if intent == Intent.CHANGE and not evidence.blocks and not is_about_others:
        yield from _find_renamed(evidence, findings)


def _find_renamed(evidence: Evidence, findings: Findings) -> Iterator[Heading]:
    """The one name that a function is to have, with the other names of the sentence."""
    named = findings.renamed or findings.named or next(naming.find_brought(evidence.tokens), None)
    spoken = _NAMED.search(evidence.prose)
    new = named.text if named else next(filter(None, spoken.groups()), None) if spoken else None
    if new is not None:
        names = [str(token) for token in evidence.tokens if token.type == "NAME"]
        names += [word for word in _RENAMES.findall(evidence.prose) if word not in _THINGS]
        yield Heading(new, tuple(name for name in names if name != new))


VAGUE = (  # words that are no name, whatever stands before them
    "something|anything|whatever|whichever|sth|nothing|none|english|german|french|chinese|japanese|lower(?:case)?"
    "|upper(?:case)?|caps|capitals?|title|snake(?:_?case)?|kebab|camel(?:_?case)?|pascal(?:_?case)?|pep8|singular|plural"
    "|fit|suit|match|clarify|taste|default|normal|better|shorter|longer|nicer|clearer|simpler|same|you|me|us|them|it|this|that|one|more"
)
_NEGATED = re.compile(
    r"(?i)\b(?:n't|don't|do not|never|not|was renamed|were renamed|would it be)\b|不要|别|不用|しないで|不必"
)
_NAMED = re.compile(
    r"(?i:\b(?:its|the) name(?: of (?:it|this|that|the function))? (?:to|should be|must be)) [`'\"]?([A-Za-z_]\w*)"
    rf"|(?i:\brename (?:it|this|that|the function|[a-z_]\w*) to) [`'\"]?(?!(?i:{VAGUE})\b)([A-Za-z_]\w*)[`'\"]?"
    r"(?=\s*(?:$|[.!?,;]|(?i:please|pls|instead|now|thanks|thx|and)\b))"
    r"|(?:函数名|方法名|名字|名称)(?:改成|改为|换成|变成|应该是|就叫|叫) ?[`“\"']?([A-Za-z_]\w*)"
    r"|(?:改名|改个名字?|换个名字?)[，,：:叫成为作]* ?[`“\"']?([A-Za-z_]\w*)"
    r"|(?:関数名|呼び名|名前)[をは] ?[`「\"']?([A-Za-z_]\w*)[`」\"']? ?(?:に|が|で)",
    re.ASCII,
)
_RENAMES = re.compile(r"(?i)\brename (?:the )?([A-Za-z_]\w*)", re.ASCII)
_THINGS = frozenset({"it", "this", "that", "function", "method", "to"})
_OTHER_NAMES = re.compile(
    r"(?i)\b(?:param(?:eter)?s?|args?|arguments?|variables?|constants?|attributes?|propert(?:y|ies)|columns?|keys?|files?|fields?|results?"
    r"|saves?|stores?|prints?|returns?|reads?|writes?|logs?|shows?)\b"
    r"|参数|变量|常量|入参|形参|属性|字段|文件|键|引数|変数|定数|パラメータ|ファイル|キー|カラム|列|返回|输出|打印|保存|返す|返し|出力|表示"
)
