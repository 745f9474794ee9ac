"""Other numbers and other returned words in a conversation, where its sense does not hang on them."""

import re
from random import Random

from tools.demo import names
from tools.demo.other_names import Pair

_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.]*\d|[A-Za-z_])", re.ASCII)
_KNOWN = {  # numbers of the world, which do not vary
    "5", "7", "9", "12", "24", "30", "32", "52", "60", "180", "273", "360", "365", "366", "400",
    "1000", "1440", "3600",
}  # fmt: skip
_IDIOMS = {"0", "1", "2", "10", "100"}  # digits, halves, percent: need not be said, do not vary
_PART = re.compile(
    r"\d[A-Za-z_]|[A-Za-z_]\d|\d[.:/-]+\d", re.ASCII
)  # of a name, a date, a decimal, a range
_BOUND = re.compile(r"[折割時时点點]|o'clock|\b[ap]m\b|\b(19|20)\d\d\b")  # what numbers belong to
_STEPS = re.compile(
    r"\bwhile\b|\"\[|\w\[\w+ [%+-]|\.index\(|\]\[|\d\.\d"
)  # loops and places that may not end or be there, decimals
_COUNTED = re.compile(
    r"\d|(two|three|four|five|six|seven|eight|nine|ten|teen|ties|twenty|fifty|dozen|hundred|half)(_|$)"
)
_QUOTED = re.compile(
    r"\"([^\"\n]*)\"|'([^'\n]*)'|\u201c([^\u201d]*)\u201d|\u300c([^\u300d]*)\u300d|`([^`]*)`"
)
_AROUND = ('"{}"', "'{}'", "\u201c{}\u201d", "\u300c{}\u300d", "`{}`")
_RESULT = re.compile(r"return (?:\"([^\"\n]{2,})\"|.* else \"([^\"\n]{2,})\")$", re.M)
_LISTED = (  # among words with nothing beside them that says what each is for
    r"WORD[\"'`\u201d\u300d]\s*(?:,|、|/|or|and|或|か|和)\s*[\"'`\u201c\u300c]"
    r"|[\"'`\u201d\u300d]\s*(?:,|、|/|or|and|或|か|和)\s*[\"'`\u201c\u300c]WORD"
)
_HEAD = re.compile(r"def (\w+)")


def renumber(pairs: list[Pair], rng: Random) -> list[Pair]:
    """Other numbers in the same order, where the requests say exactly those that the code holds."""
    requests, codes = "\n".join(one for one, _ in pairs), "\n".join(one for _, one in pairs)
    said, held = set(_NUMBER.findall(requests)), _numbers(codes)
    if not said or said - held or held - said - _IDIOMS or said & _KNOWN:
        return pairs
    if _PART.search(requests) or _BOUND.search(requests) or _STEPS.search(codes):
        return pairs
    if any(_calls_itself(code) for _, code in pairs) or not _are_in_time(pairs):
        return pairs
    if any(_COUNTED.search(name) for name in _HEAD.findall(codes)):
        return pairs
    table = _scale(sorted(said - _IDIOMS, key=int), rng)
    return [(_swap_numbers(request, table), _swap_numbers(code, table)) for request, code in pairs]


def _numbers(code: str) -> set[str]:
    return set(_NUMBER.findall(re.sub(r"\"[^\"\n]*\"", '""', code)))


def _calls_itself(code: str) -> bool:
    return any(code.count(f"{name}(") > 1 for name in _HEAD.findall(code))


def _are_in_time(pairs: list[Pair]) -> bool:
    """Whether each answer's numbers are said before it."""
    said: set[str] = set()
    for request, code in pairs:
        said |= set(_NUMBER.findall(request))
        if _numbers(code) - said - _IDIOMS:
            return False
    return True


def _swap_numbers(text: str, table: dict[str, str]) -> str:
    return _NUMBER.sub(lambda match: table.get(match[0], match[0]), text)


def _scale(rising: list[str], rng: Random) -> dict[str, str]:
    """New numbers, rising as well; none where one would come to the other side of 100."""
    table, last, factor = {}, 2, rng.choice((0.5, 0.7, 0.8, 1.2, 1.4, 1.7, 2))
    for old in rising:
        step = 1
        if int(old) >= 20:
            step = 10 if old.endswith("0") else 5 if old.endswith("5") else 1
        new = step * max(1, round(int(old) * factor * rng.uniform(0.9, 1.1) / step))
        new += step * max(0, (last - new) // step + 1) if new <= last else 0
        if (int(old) < 100) != (new < 100) or str(new) in _IDIOMS:
            return {}
        table[old], last = str(new), new
    return table


def reword(pairs: list[Pair], language: str, rng: Random) -> list[Pair]:
    """Other words that are returned, where requests and code have the same ones between quotes and
    nothing else resembles them."""
    said = "\n".join(request for request, _ in pairs)
    codes = "\n".join(code for _, code in pairs)
    held = {first or second for first, second in _RESULT.findall(codes)}
    quoted = {next(filter(None, m.groups()), "") for m in _QUOTED.finditer(said)}
    table: dict[str, str] = {}
    for word in filter(str.isalpha, sorted(held & quoted)):
        new = names.pick_word(language, rng)
        is_free = new not in said and new not in table.values()
        if is_free and _stands_alone(word, said, codes) and _is_in_time(word, pairs):
            table[word] = new
    return [(_swap_quoted(request, table), _swap_quoted(code, table)) for request, code in pairs]


def _is_in_time(word: str, pairs: list[Pair]) -> bool:
    """Whether a request says the word before the first answer that holds it, or in that turn."""
    for request, code in pairs:
        if word in request:
            return True
        if f'"{word}"' in code:
            return False
    return False


def _stands_alone(word: str, said: str, codes: str) -> bool:
    """Whether a word is only said between quotes, beside what it is returned for, and is no part of
    another word that is returned or of a name."""
    quoted = sum(said.count(around.format(word)) for around in _AROUND)
    if said.lower().count(word.lower()) != quoted or word.lower() in " ".join(_HEAD.findall(codes)):
        return False
    others = {*re.findall(r"\"([^\"\n]*)\"", codes)} - {word}
    if any(word in other or (other and other in word) for other in others):
        return False
    listed = _LISTED.replace("WORD", re.escape(word))
    return not re.search(listed, said)


def _swap_quoted(text: str, table: dict[str, str]) -> str:
    for old, new in table.items():
        for around in _AROUND:
            text = text.replace(around.format(old), around.format("\0".join(new)))
    return text.replace("\0", "")
