"""Small disturbances: missing words, typing slips, punctuation and spacing habits."""

import re
from random import Random

_SMALL_WORDS = re.compile(
    r"(?<![$\w])(the|a|an|of|that|which|to|please|for|and|is|its|me|you|in|from|some|given|any) "
)
_CJK = r"[\u3040-\u30ff\u4e00-\u9fff]"


def disturb(text: str, language: str, rng: Random) -> str:
    """`text` with `$` slots still in it, slightly changed as people write."""
    return _disturb_english(text, rng) if language == "en" else _disturb_asian(text, language, rng)


def space(text: str, language: str, rng: Random) -> str:
    """Chinese and Japanese: at times a space between their script and Latin letters."""
    if language == "en" or rng.random() < 0.6:
        return text
    text = re.sub(rf"({_CJK})([A-Za-z0-9_])", r"\1 \2", text)
    return re.sub(rf"([A-Za-z0-9_)])({_CJK})", r"\1 \2", text)


def _disturb_english(text: str, rng: Random) -> str:
    if rng.random() < 0.1:
        text = _SMALL_WORDS.sub(lambda match: match[0] if rng.random() < 0.4 else "", text)
    if rng.random() < 0.08:
        text = re.sub(r"(?<!\$)\b(the|a|an|of) ", "", text, count=rng.randrange(1, 4))
    if rng.random() < 0.06:
        text = _slip(text, rng)
    if rng.random() < 0.75 and text[0].isalpha() and not text.startswith("$"):
        text = (text[0].lower() if rng.random() < 0.35 else text[0].upper()) + text[1:]
    if text[-1] not in "?.!" and rng.random() < 0.5:
        text += rng.choice(("..", ".", ".", ".", "!", " please.", ", please.", " Thanks!"))
    return text.replace("..", ".")


def _slip(text: str, rng: Random) -> str:
    words = list(re.finditer(r"(?<![$\w`\"])[a-z]{5,}", text))
    if not words:
        return text
    at = rng.choice(words).start() + rng.randrange(1, 4)
    if rng.random() < 0.5:
        return text[:at] + text[at + 1 :]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _disturb_asian(text: str, language: str, rng: Random) -> str:
    comma, dot = ("\uff0c", "\u3002") if language == "zh" else ("\u3001", "\u3002")
    if rng.random() < 0.7:
        text = re.sub(rf"({_CJK}|\)),", rf"\1{comma}", text)
    if rng.random() < 0.05:
        text = text.replace("的" if language == "zh" else "を", "", 1)
    if text[-1] not in "?\uff1f\u3002.!\uff01" and rng.random() < 0.45:
        text += rng.choice((dot, dot, dot, "\uff01", "."))
    return text
