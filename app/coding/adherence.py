"""Whether code does what its instruction says about known functions: use this one, change that one.

Only what an instruction says in so many words, and only where the code plainly does not do it.
"""

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.coding import lint, memory, native
from app.coding.instruction import Intent, Tree
from app.coding.lint import Flaw, Known

_ENGLISH = (
    r"(?:it(?= (?:to|for|in|inside|here|there|twice|again)\b|[.,;:!?]|$)|them both|(?:that|this|these|those)(?=[.,;:!?]|$)"
    r"|(?:that|this|the|your|these|those)(?: \w+){0,3}? (?:one|ones|functions?|two|helper)(?:(?= )|[.,;:!?]|$))"
)
_USE = re.compile(
    r"(?i)(?<!to )(?<!can )(?<!could )(?<!will )(?<!would )(?<!\bI )(?<!we )(?<!they )(?<!you )(?<!without )(?<!not )(?<!n't )(?<!users )"
    rf"\b(?:us(?:e|es|ing)|calls|calling|reus(?:e|es|ing)|via|relies on|rely(?:ing)? on|based on|built? (?:up)?on|with the help of) {_ENGLISH}"
    r"|\bcall (?:the|your) (?:(?:previous|first|last|above|earlier|other|older|existing|new|same) )(?:one|function)(?![\w(])"
    r"|(?:用|借助|调用|基于|利用|借用|依靠|靠|根据)(?:到|一下)?(?:上面|刚才|刚刚|前面|前述|之前|那个|这个|上一个)[^\uff0c。、\uff1b]{0,8}(?:函数|方法)"
    r"|(?:用|借助|调用|基于|利用|借用)(?:到|一下)?(?:它|上面那个|上面的|刚才那个|刚才的|前面那个|上一个)(?=[\uff0c。、\uff1b\uff01!,.]|来|再|写|算|实现|计算|$)"
    r"|(?:上|前|先|さっき|先ほど|さきほど|今|いま|その|この)[^。、\uff0c,]{0,8}関数[^。、\uff0c,]{0,6}?(?:使って|使い|使う|呼んで|呼び出|利用|流用|もとに|元に|任せ)"
    r"|(?:それ|これ|(?:さっき|先ほど|さきほど|上|前|今|いま)の(?:もの|やつ)?)を(?:内部?で|中で)?(?:使って|使い|使う|呼んで|呼び出|利用|流用|もとに)"
)
_AGAIN = re.compile(
    r"(?i)\b(?:show|print|repeat|again|once more|display)\b|再发|再给|列出|显示|看看|もう一度|見せ|再度"
)
_BOTH = re.compile(
    r"(?i)\b(?:us(?:e|es|ing)|call(?:s|ing)?|with|from|combin\w+) (?:both|the two|these two|those two|them both)(?: of them| functions)?\b|[用调](?:前面|上面|这|那|刚才)的?[两2二]个(?:函数)?"
    r"|(?:2つ|二つ|両方|ふたつ)(?:とも|の?(?:関数)?を)(?:使|呼|利用|組み合わせ)"
)
_NAMED = (
    r"(?i)\b(?:us(?:e|es|ing)|call(?:s|ing)?|reus(?:e|es|ing)|via|relies on|based on|built? (?:up)?on|with the help of)"
    r"(?: (?:the|my|your|our|function|existing|helper)){0,3} [`'\"]?NAME(?![A-Za-z0-9_])"
    r"|(?:用|借助|调用|基于|利用|借用|依靠|靠)(?:函数|一下)? ?[`'\"]?NAME(?![A-Za-z0-9_])|把 ?NAME ?用"
    r"|(?<![A-Za-z0-9_])NAME[`'\"]? ?(?:関数)?(?:を?(?:内部?で|中で)?(?:使って|使い|使う|呼んで|呼び|利用|流用)|をもと|をベース|に任せ)"
)


@dataclass(frozen=True)
class Said:
    """An instruction, parsed and as it is."""

    tree: Tree
    text: str


def find(code: str, module: ast.Module, said: Said, known: Known) -> Iterator[Flaw]:
    """What the functions of some code do not do of what the instruction says."""
    tree, text = said.tree, said.text
    made, before = lint.list_functions(module), known.functions
    if not made or not before:
        return
    lines = native.split(code)  # a comment is a change, too
    is_same = all(before.get(each.name) == native.cut(each, lines) for each in made)
    if is_same and not _AGAIN.search(text) and tree.intent != Intent.TEST:
        yield Flaw("instruction", "unchanged", values={"name": made[0].name})
    used = {each.id for each in ast.walk(module) if isinstance(each, ast.Name)}
    used |= {each.name for each in made}
    yield from _find_unused(text, memory.list_words(tree, text) & set(before), used)
    if not used & set(before) and _USE.search(text):
        yield Flaw("instruction", "not_used", values={"name": next(iter(before))})
    if len(before) > 1 and _BOTH.search(text) and len(used & set(before)) < 2:
        missing = next(each for each in before if each not in used)
        yield Flaw("instruction", "not_used", values={"name": missing})


def _find_unused(text: str, said: set[str], used: set[str]) -> Iterator[Flaw]:
    """The known functions that are to be used by their names, and are not."""
    for name in sorted(said - used - set(dir(builtins))):
        if re.search(_NAMED.replace("NAME", re.escape(name)), text):
            yield Flaw("instruction", "not_used", values={"name": name})
