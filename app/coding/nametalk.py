"""Instructions that speak of nothing but a function's name, and the name they want: "then its name should
be mean", "名字也改成 mean 吧", "名前は mean のほうがいいな".

What is left without the names must be words of such talk, all of them: whoever says more may want more.
"""

import re

from app.coding.instruction import headings

_NAME = re.compile(r"(?<![A-Za-z0-9_.])[A-Za-z_][A-Za-z0-9_]*(?![A-Za-z0-9_.]*[A-Za-z0-9_(])")
_IDENTIFIER = re.compile(r"\w*_\w+|\w*[a-z][A-Z]\w*|[a-z]+\d+\w*")  # cannot be an English word
_CALLED = re.compile(  # an English word that is said as a name
    r"(?i)(?:\b(?:call|name|rename|title) (?:it|that|this)(?: to)?|\brename(?: to|:| (?:the )?\w+ to)|\bname(?: should be| would be|:)|\bit be(?: called| named)?)"
    r" [`'\"]?([a-z][a-z0-9]+)(?![\w(])"
)
_NO_NAME = re.compile(
    rf"(?i)(?:{headings.VAGUE}|\w+ly|(?:snake|camel|upper|lower)_?case|after|again|always|any|appropriate|as|back|before|both|by|clear(?:er)?"
    r"|descriptive|different|directly|done|each|else|every(?:where)?|first|for|good|here|how|inside|it|last|later|like|maybe|meaningful|misleading|nice"
    r"|often|on|once|or|per|pretty|python|quits|recursive|right|short|so|somehow|sure|that|the|there|this|to|today|too|twice|unique|well|what|when"
    r"|whenever|which|while|with|within|wrong|yourself)"
)  # what stands where a name would, and is none
_AFTER_ALL = {
    "again", "back", "both", "first", "last", "later", "often", "quits", "right", "today", "twice", "unique", "wrong",
}  # fmt: skip
_RENAMING = re.compile(r"(?i)\brename\b|[\u3040-\u30ff\u4e00-\u9fff]")
_KANA, _HAN = re.compile(r"[\u3040-\u30ff]"), re.compile(r"[\u4e00-\u9fff]")
_GAP = r"[\s,.:;!?\uff0c\uff1a\uff01\uff1f\u3001\u3002`'\"“”「」-]+"
_ENGLISH_CUE = re.compile(r"(?i)\b(?:re)?name|\bcall|\btitle")
_ENGLISH = (
    r"the name no longer fits|no longer fits|doesn't fit(?: any ?(?:more|longer))?|isn't (?:the right|a fitting|a good) name(?: any ?more| now)?"
    r"|(?:is|was) (?:a )?(?:wrong|bad|silly|misleading)(?: name)?(?: now)?|call (?:it|this|that)|(?:change|make) (?:its|the)(?: function's| function)? name"
    r"|(?:could|can|would|will) you|i'd like it to be|the|a|an|it|its|it's|this|that|functions?|function's|rename|names?|named|called|title|to|as|for|then"
    r"|so|please|pls|now|actually|yes|nice|instead|better|good|nicer|clearer|fitting|right|suits|fits|is|be|would|should|must|has|have|let|let's|say"
    r"|me|us|ok|okay|well|oh|hmm|and|just|only|use|i'd|prefer|rather|thanks|thank you|new|proper|deserves|make|take"
)
_CHINESE_CUE = re.compile(r"[名叫]")
_CHINESE = (
    r"(?:其他|其余|别的|内容|功能)(?:不变|不动|一样)|不合适|不对劲?|对不上|不符|不副实|太[长短]|太啰嗦|更?合适|贴切|合理|才对|更?清楚|更好|函数|函數|方法"
    r"|名[字称儿]?|命名|这个|它|这样|的话|应该|應該|自然|跟着|比较|就行|就够|就好|麻烦|帮我|谢谢|一下|一点"
    r"|[那就也还再请把将该得要换改叫做作起重用为成是了吧呢啊好的个些短我]"
)
_JAPANESE_CUE = re.compile(r"名|呼|リネーム")
_JAPANESE = (
    r"じゃあ?|だったら|それなら|そしたら|やっぱり?|もう|では|あと|名前|関数名?|名称|呼び名|この|その|それ|これ|という|(?:と|って)呼(?:びたい|んで|ばせて|ぼう)|って"
    r"|改名|リネーム|変更|替え|変えて?|かえて?|直して?|縮めて?|短縮|しと?いて|しておいて|しようか?|してほしい|してくれる|したい|して|しましょう|おいて|ください|下さい"
    r"|くれますか|もらえますか|もらえる|お?願い(?:します)?|します|頼む|たのんだ|いいです|いい[なやねよ]?|です|ほう|方が|合う|合ってる|わかりやすい"
    r"|おかしい|合わない|合わなく|なった|長い|短い|変だ?|充分|十分|だ?[よなねや]|[はをもがのにへでと]"
)
_LINKED = r"(?i)\b(?:for|from|with|by|on|at|into|each)[ `'\"]+"  # before what is no new name
_RENAMED = re.compile(r"(?i)\brename (?:the )?(\w+) to\b")
_QUESTION = re.compile(r"(?i)(?:is|was|are|does|did|why|what|which|should|how)\b")
_JUDGING = re.compile(
    r"おかしい|合わな|長い|短い|変[だな。]|変$|不[合对符]|对不上|太[长短啰]|wrong|bad|silly|misleading|fit"
)
_ASKING = re.compile(
    r"(?<!しよう)(?<!ます)(?<!んです)か[?\uff1f\u3002]*$|でいいですか|がいいですか|[吗嗎][?\uff1f]*$"
)


def is_no_name(word: str) -> bool:
    """Whether a word that stands behind "call it" or "name it" is no name: an adverb, a style, a particle."""
    return _NO_NAME.fullmatch(word) is not None


def is_never_name(word: str) -> bool:
    """Whether it is none either behind "rename it to", where "twice" is one."""
    return word not in _AFTER_ALL and is_no_name(word)


def find(text: str, known: set[str]) -> str | None:
    """The one new name that is all an instruction wants; None where there is more to it, or in doubt.

    In English its form or a word such as "call it" must tell that it is a name. `known` are names that stay,
    such as the old one.
    """
    names = [name for name in _NAME.findall(text) if name not in known]
    renamed = set(_RENAMED.findall(text)) - {"it", "this", "that", "function"} - known
    if renamed or _ASKING.search(text.strip()) or _QUESTION.match(text.strip()):
        return None
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
    is_none = is_never_name if _RENAMING.search(text) else is_no_name
    if len(set(names)) != 1 or is_none(names[0]):
        return None
    if re.search(_LINKED + re.escape(names[0]), text):
        return None
    old = "|".join(map(re.escape, sorted(known, key=len, reverse=True))) or r"(?!)"
    name = rf"(?<![A-Za-z0-9_])(?:{re.escape(names[0])}|{old})(?![A-Za-z0-9_])"
    if not cue.search(re.sub(name, " ", text)) or _is_rejected(text, names[0], known):
        return None
    return names[0] if re.fullmatch(rf"(?>{name}|{words}|{_GAP})++", text) else None


def _is_rejected(text: str, name: str, known: set[str]) -> bool:
    """Whether a judgement that follows may be about the new name: no old one is said."""
    judged = [match.start() for match in _JUDGING.finditer(text)]
    is_old_said = bool(set(_NAME.findall(text)) & known)
    return bool(judged) and not is_old_said and text.rindex(name) < max(judged)
