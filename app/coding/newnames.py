"""The name of a function to be written, where an instruction leaves no doubt that it is one.

Measured on 27,000 first and 32,000 later requests of people (tools/demo/written): the only name with its
parameters in parentheses is the function's in 99.6 of 100, one behind "called" or at the end of the
sentence in 95 to 98; in Chinese and Japanese any other is a parameter in nine cases of ten.
"""

import re
from collections.abc import Sequence
from itertools import takewhile

from app.coding import nametalk
from app.coding.instruction import Tree

_BEFORE = re.compile(
    r"(?i:\b(?:call(?:ed)?(?: it| this| that)?|name(?:d)?(?: it| is|:)?|(?:functions?|fn|method)(?: name(?: is)?|:)?|rename it to)) "
    r"|(?i:\bname: ?|\bfunction: ?)"
    r"|(?:函数名[字是为叫用]?|方法名|函数叫做?|名叫|名字[是叫用]|名为|取名|起名|命名为?|函数|函數名?|(?<![数量表別别例])叫做?)[:\uff1a ]?"
    r"|(?:関数名?[はを]?|名前[はを]|関数の名前[はを]?|呼び名は)[:\uff1a ]?"
)
_THING = re.compile(  # is called so, and no function
    r"(?i:\b(?:lists?|strings?|texts?|numbers?|variables?|dict(?:ionary|ionaries)?s?|parameters?|arguments?|constants?|modules?|loops?|keys?|class(?:es)?|columns?|files?|values?|results?|fields?)"
    r"(?: (?:is|are|be|should be|must be|to be))? *)$|(?:返回值|字典|键名?|列表名?|参数|变量|常量|库|列名?|分别|数组|字段|文件|学生)的?(?:名字)?$|(?:戻り値|引数|変数|辞書|列|リスト|配列)の?$"
)
_STARTING = re.compile(  # what stands before a signature in English, if anything does
    r"(?i)(?:^|[^\w\s`'\"*/%@$+]|\b(?:add|also|and|as|build|called|create|def|define|finally|fn|func|function|gimme|give|implement|just|let|make|me|name|named"
    r"|need|needs|now|plus|provide|so|then|want|wants|write))[ `'\"]*$"
)
_USED = re.compile(
    r"(?i)\b(?:have|existing|already|assume|given|there is|there's|like|use|using|call|with|by)(?: the| a| an| my| our)?(?: helper)? function[ `]*$"
    r"|(?:[像用不别非按照与将把类当]|借助|基于|根据|通过|已有的?|现有的?|保留|删除|测试|异常|如果|抛出|打印|回调|参数|求函数|已知|クラス|引数|入力)[ `]*$"
)
_USED_AFTER = re.compile(
    r"(?i)[`'\"”」]? ?(?:[*/%+]|(?:is|are) (?:fine|slow|correct|wrong|broken|ok|okay)\b|already|raises|takes \d|fails|crashes|throws"
    r"|那样|一样|为什么|是[干做]什么|报错|没问题|有问题|太慢|的?结果传|为真|返回假|装饰|的零点|的积分|的格式|不动|排序$"
    r"|を使|のよう|を呼|は何|って何|がおかしい|が遅い|が None|という関数が|のテスト|をテスト|はそのまま|を?利用|を?用い|で判定|でソート|なら|に似|の逆|の代わり"
    r"|を削除|を改名|を ?\w+ ?に改名|に渡|を投げ|を適用|を付け|の零点|と表示|の形|を積分|の最大値|じゃな|でな|ではな)"
)
_UNWANTED = re.compile(r"(?i)\b(?:not|never|n't|don't|avoid)\b|[不别非]$|使わない|避け")
_AFTER = re.compile(
    r"[`'\"”」]? ?(?:という|って)(?:(?:名前の)?関数|名前で(?:作|書|お願い|定義|頼))|[`'\"”」]? ?(?:関数|函数|函數)"
)
_LAST = re.compile(r"[`'\"”」]?[\s.!\u3002\uff01]*$")
_LINKED = re.compile(r"(?i)\b(?:from|with|by|to|of|in|on|for|the|at|into)[ `'\"]*$")
_USED_BY_NAME = re.compile(
    r"(?i)\b(?:use|call|with|using|by|apply)(?: the)? (?:function|method)[ `'\"]*$"
)
_FILLERS = frozenset(
    {"to", "in", "of", "and", "takes", "needed", "returning", "called", "named", "returns"}
)
_TYPES = frozenset({"int", "str", "float", "string", "bool", "dict", "tuple"})
_SIGNATURE = re.compile(
    r"(?<![A-Za-z0-9_.\u00c0-\u024f])([A-Za-z_]\w*)[`'\"”」]?[(\uff08]([^()\uff08\uff09]*)[)\uff09]",
    re.ASCII,
)
_CUED = re.compile(rf"(?:{_BEFORE.pattern})[`'\"“「]?([A-Za-z_]\w*)(?![\w(])", re.ASCII)
_UNITS = {
    "c", "cm", "f", "g", "h", "kb", "kcal", "kg", "km", "kmh", "l", "lb", "m", "m2", "m3", "mb", "mg", "min", "ml",
    "mm", "mph", "s",
}  # fmt: skip
_LETTERS = {"c", "f", "g", "h", "m", "s"}  # units, but usual parameters, too


def read_signature(text: str, known: set[str]) -> tuple[str, list[str]] | None:
    """The one `name(parameters)` whose name is not `known`, with its parameters up to the first with a
    default; None where there are several, where the text gives another name, and in doubt."""
    found = [match for match in _SIGNATURE.finditer(text) if match[1] not in known]
    if len(found) != 1 or _is_used(found[0], text) or found[0][1][0].isupper():
        return None
    cued = {name for name in _CUED.findall(text) if name not in known and not _is_filler(name)}
    if cued - {found[0][1]}:
        return None
    listed = _split(found[0][2])
    return None if listed is None else (found[0][1], listed)


def read(tree: Tree, text: str) -> tuple[str, list[str]] | None:
    """A name without parentheses, and the parameters up to the first with a default."""
    if tree.name is None or _SIGNATURE.search(text):
        return None
    start, end = tree.name.span
    before = text[max(0, start - 40) : start].rstrip("`'\"“「")
    cue = next((each for each in _BEFORE.finditer(before) if each.end() == len(before)), None)
    ahead = before[: cue.start()] if cue else before
    if _THING.search(ahead) or _UNWANTED.search(ahead[-12:]) or _USED_AFTER.match(text, end):
        return None
    is_last = _LAST.match(text, end) and not _LINKED.search(before)
    is_founded = (cue and not _USED_BY_NAME.search(before)) or _AFTER.match(text, end) or is_last
    name = tree.name.text
    if not is_founded or name.lower() in _UNITS or nametalk.is_no_name(name):
        return None
    parameters = takewhile(lambda each: not each.default, tree.parameters)
    return name, [each.name for each in parameters]


def _is_used(signature: re.Match[str], text: str) -> bool:
    """Whether it is what the function is like, or calls."""
    near = text[max(0, signature.start() - 40) : signature.start()]
    is_started = near.strip() == "" or not near[-12:].isascii() or _STARTING.search(near)
    return bool(not is_started or _USED.search(near) or _USED_AFTER.match(text, signature.end()))


def _is_filler(word: str) -> bool:
    """Whether a word behind "function" or "called" is part of the sentence."""
    return nametalk.is_no_name(word) or word in _FILLERS


def _split(text: str) -> list[str] | None:
    """The names of a list in parentheses, up to the first that is more than a name; None where the
    parentheses hold something else."""
    parts: Sequence[str] = [part.strip() for part in re.split(r"[,\uff0c\u3001]", text)]
    if parts == [""]:
        return []
    names = list(takewhile(lambda part: re.fullmatch(r"[A-Za-z_]\w*", part, re.ASCII), parts))
    more = parts[len(names) : len(names) + 1]
    is_list = all(re.match(r"[A-Za-z_*]\w* ?[=:]|\*", part) for part in more)
    is_unit = bool(names) and set(names) <= (_UNITS - _LETTERS) | _TYPES
    is_clear = is_list and not is_unit and len(set(names)) == len(names)
    return names if is_clear else None
