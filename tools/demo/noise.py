"""Small disturbances: a missing article, a typing slip, punctuation and spacing habits.

None of them takes away or changes what is asked for.
"""

import re
from random import Random

_CJK = r"[\u3040-\u30ff\u4e00-\u9fff]"
_SLIPS = {
    "function": ("fucntion", "funtion", "functon"), "return": ("retrun", "reutrn"),
    "returns": ("retuns", "returs"), "number": ("numer", "nubmer"), "numbers": ("numbres",),
    "please": ("plese", "pleae"), "write": ("wirte",), "string": ("strng",),
    "whether": ("wether", "wheter"), "calculate": ("calcualte", "calulate"),
    "should": ("shoud",), "which": ("wich",), "python": ("pyhton",), "given": ("givn",),
}  # fmt: skip
_SLIP = re.compile(rf"(?<![$\w`\"])({'|'.join(_SLIPS)})(?![\w`\"(])")
_THANKED = re.compile(r"(thanks|thank you|thx|cheers|please|pls|plz|grateful|lot|appreciated)\W*$")
_APART = re.compile(r"(?<=[A-Za-z0-9])(\$[a-d](?![a-z]))")  # a name needs a space to stand alone
_BEFORE_NUMBER = re.compile(r"(\$[a-d])(?=\$[kjmorqt]|\d)")
_ENDS = "?.!\uff1f\u3002\uff01"


def disturb(text: str, language: str, rng: Random) -> str:
    """`text` with `$` slots still in it, slightly changed as people write."""
    text = _APART.sub(r" \1", text)
    text = _BEFORE_NUMBER.sub(r"\1 ", text)
    return _disturb_english(text, rng) if language == "en" else _disturb_asian(text, language, rng)


def space(text: str, language: str, rng: Random) -> str:
    """Chinese and Japanese: at times a space between their script and Latin letters."""
    if language == "en" or rng.random() < 0.6:
        return text
    text = re.sub(rf"({_CJK})([A-Za-z0-9_])", r"\1 \2", text)
    return re.sub(rf"([A-Za-z0-9_)])({_CJK})", r"\1 \2", text)


def _disturb_english(text: str, rng: Random) -> str:
    if rng.random() < 0.05:
        text = re.sub(r"(?<![$\w])(the|a|an) (?=[a-z$])", "", text, count=rng.randrange(1, 3))
    if rng.random() < 0.03:
        text = _SLIP.sub(lambda match: rng.choice(_SLIPS[match[1]]), text, count=1)
    if rng.random() < 0.75 and re.match(r"[A-Za-z][a-z]*[ ,:;!?]", text):
        text = (text[0].lower() if rng.random() < 0.35 else text[0].upper()) + text[1:]
    text = text.replace("I 'd", "I'd").replace("Python Python", "Python")
    text = text.replace(" the the ", " the ")
    text = re.sub(r"(?<=[\w)\"]) +(,(?= )|[?.]$)", r"\1", text)
    return _end(text, rng)


def _end(text: str, rng: Random) -> str:
    if text[-1] in _ENDS or rng.random() < 0.5:
        return text
    if _THANKED.search(text.lower()):
        return text + rng.choice(".!")
    return text + rng.choice((".", ".", ".", ".", "!", ", please.", ". Thanks!"))


def _disturb_asian(text: str, language: str, rng: Random) -> str:
    comma, dot = ("\uff0c", "\u3002") if language == "zh" else ("\u3001", "\u3002")
    text = re.sub(r"^[,\u3001\u3002\uff0c ]+", "", text).replace("をを", "を").replace("もを", "も")
    text = text.replace("函数函数", "函数,函数")
    text = re.sub(r"([?!\uff1f\uff01\u3002])[,\uff0c\u3001\u3002]+", r"\1", text)
    if rng.random() < 0.7:
        text = re.sub(rf"({_CJK}|\)),", rf"\1{comma}", text)
    if text[-1] not in _ENDS and rng.random() < 0.45:
        text += rng.choice((dot, dot, dot, dot, "\uff01"))
    return text
