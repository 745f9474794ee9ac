"""Instructions that speak of nothing but a function's name, and the name they want: "then its name should
be mean", "名字也改成 mean 吧", "名前は mean のほうがいいな".

What is left without the names must be words of such talk, all of them: whoever says more may want more.
"""

import re

from app.coding.instruction import headings

_NAME = re.compile(r"(?<![A-Za-z0-9_.])[A-Za-z_][A-Za-z0-9_]*(?![A-Za-z0-9_.]*[A-Za-z0-9_(])")
_IDENTIFIER = re.compile(r"\w*_\w+|\w*[a-z][A-Z]\w*|[a-z]+\d+\w*")  # cannot be an English word
_CALLED = re.compile(  # an English word that is said as a name
    r"(?i)(?:\b(?:call|name|rename|title) (?:it|that|this)(?: to)?|\brename(?: to|:)|\bname(?: should be| would be|:)|\bit be(?: called| named)?)"
    r" [`'\"]?(?!(?:after|as|back|better|by|differently|else|for|like|once|to|when|with|\w+ly)\b)([a-z][a-z0-9]+)(?![\w(])"
)
_NO_NAME = re.compile(
    rf"(?i)(?:{headings.VAGUE}|again|any|both|differently|each|every|later|often|once|pretty|right|short|sure|today|twice|wrong|back|what|python)"
)
_KANA, _HAN = re.compile(r"[\u3040-\u30ff]"), re.compile(r"[\u4e00-\u9fff]")
_GAP = r"[\s,.:;!?\uff0c\uff1a\uff01\uff1f\u3001\u3002`'\"“”「」-]+"
_ENGLISH_CUE = re.compile(r"(?i)\b(?:re)?name|\bcall|\btitle")
_ENGLISH = (
    r"the name no longer fits|no longer fits|doesn't fit(?: any ?(?:more|longer))?|isn't (?:the right|a fitting|a good) name(?: any ?more| now)?"
    r"|(?:is|was) (?:a )?(?:wrong|bad|silly|misleading)(?: name)?(?: now)?|the|a|an|it|its|it's|this|that|function|functions|function's|rename"
    r"|names?|named|call|called|title|to|as|for|then|so|please|pls|now|instead|better|good|nicer|clearer|fitting|right|suits|fits|is|be"
    r"|would|should|must|has|have|let|let's|say|me|us|ok|okay|well|oh|hmm|and|just|only|use|i'd|prefer|rather|thanks|thank you|new|proper"
    r"|deserves|make|take|more"
)
_CHINESE_CUE = re.compile(r"[名叫]")
_CHINESE = (
    r"不合适|不对劲?|对不上|不符|不变|不动|不副实|太[长短]|太啰嗦|更?合适|贴切|合理|才对|清楚|函数|函數|方法|名[字称儿]?|命名|这个|它|这样|的话"
    r"|应该|應該|自然|跟着|跟功能|随内容|其他|其余|别的|内容|功能|一样|比较|就行|就够|就好|麻烦|帮我|一下|一点"
    r"|[那就也还再请把将该得要换改叫做作起用为成是才了吧呢啊好的个些短旧我]"
)
_JAPANESE_CUE = re.compile(r"名|呼|リネーム")
_JAPANESE = (
    r"じゃあ?|だったら|それなら|そしたら|やっぱり?|もう|では|あと|名前|関数名?|名称|呼び名|この|その|それ|これ|という|って|改名|リネーム|変更|替え|変えて?"
    r"|かえて?|直して?|縮めて?|短縮|しと?いて|しておいて|しよう?か?|して|しましょう|おいて|ください|下さい|くれますか|もらえますか|もらえる|お?願い(?:します)?|します"
    r"|頼む|たのんだ|いいです|いい[なやねよ]?|です|ほう|方が|合う|合ってる|呼びたい|呼んで|呼ばせて|呼ぼう|おかしい|合わない|合わなく|なった|わかりやすい"
    r"|長い|短い|変だ?|充分|十分|だ?[よなねや]|[はをもがのにへでとか]"
)


def find(text: str, known: set[str]) -> str | None:
    """The one new name that is all an instruction wants; None where there is more to it, or in doubt.

    In English its form or a word such as "call it" must tell that it is a name: `known` are names that stay, such as the old one.
    """
    names = [name for name in _NAME.findall(text) if name not in known]
    if _KANA.search(text):
        return _find(text, names, known, _JAPANESE_CUE, _JAPANESE)
    if _HAN.search(text):
        return _find(text, names, known, _CHINESE_CUE, _CHINESE)
    shaped = [name for name in names if _IDENTIFIER.fullmatch(name)]
    called = [name for name in _CALLED.findall(text) if not re.fullmatch(_ENGLISH, name)]
    return _find(text, shaped or called, known, _ENGLISH_CUE, rf"(?i:\b(?:{_ENGLISH})\b)")


def _find(
    text: str, names: list[str], known: set[str], cue: re.Pattern[str], words: str
) -> str | None:
    if len(set(names)) != 1 or _NO_NAME.fullmatch(names[0]) or not cue.search(text):
        return None
    old = "|".join(map(re.escape, sorted(known, key=len, reverse=True))) or r"(?!)"
    name = rf"(?<![A-Za-z0-9_])(?:{re.escape(names[0])}|{old})(?![A-Za-z0-9_])"
    return names[0] if re.fullmatch(rf"(?>{name}|{words}|{_GAP})++", text) else None
