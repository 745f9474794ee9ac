"""How limits are said in three languages: over, at least, 以上, 未満; and the files they stand in."""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

FOLDER = Path(__file__).parent / "tariffs"
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
OPPOSITE = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt"}
_IF = {
    "n": ("なら", "なら", "の場合は", "のときは", "だったら", "であれば"),
    "v": ("場合は", "なら", "ときは"),
}
_SPELLED = {
    "en": (
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    "zh": tuple("零一两三四五六七八九十"),
    "ja": tuple("零一二三四五六七八九十"),
}


@dataclass(frozen=True)
class Draft:
    """A task with `text` to be put into a sentence; $a.. are its parameters, $f its name.

    `kind` is s (a whole sentence) or v (a verb phrase); `values` are what a test needs to know.
    """

    topic: str
    kind: str
    text: str
    body: str
    name: str
    names: tuple[str, ...]
    canonical: tuple[str, ...]
    identifiers: tuple[tuple[str, ...], ...]
    signature: str
    defaults: dict[int, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Form:
    """One way to say a limit; `kind` is how it may stand in a sentence, `when` its "if" forms."""

    kind: str
    text: str
    when: tuple[str, ...] = ()

    def put(self, number: str) -> "Form":
        when = tuple(text.replace("#", number) for text in self.when)
        return Form(self.kind, self.text.replace("#", number), when)

    @property
    def is_free(self) -> bool:
        """Whether it may follow "is"."""
        return "*" not in self.text and self.kind != "b"


@cache
def lines(name: str) -> tuple[str, ...]:
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and line[0] != "#")


@cache
def forms(language: str, operator: str) -> tuple[Form, ...]:
    """All general ways to say a limit."""
    found: list[Form] = []
    for line in lines("forms"):
        word, sign, kind, text = line.split(" ", 3)
        if (word, sign) == (language, operator):
            found += [_parse_form(kind, option) for option in text.split("|")]
    return tuple(found)


@cache
def parse_own(text: str, language: str) -> tuple[Form, ...]:
    """The ways of one domain: "older than #"."""
    kinds = {"en": "d", "zh": "n", "ja": "v"}
    found = []
    for option in text.split("|"):
        verbal = language == "ja" and "~" in option
        found.append(
            _parse_form("n" if language == "ja" and not verbal else kinds[language], option)
        )
    return tuple(found)


def _parse_form(kind: str, text: str) -> Form:
    first, *when = text.split("~")
    return Form(kind, first, tuple(when))


@cache
def _suited(forms: tuple[Form, ...], use: str) -> tuple[Form, ...]:
    """The forms for one use: bare (standing alone), free (after "is"), plain (both), noun, preposition."""
    return tuple(
        form
        for form in forms
        if (use not in {"free", "plain"} or form.is_free)
        and (use not in {"bare", "plain"} or form.kind != "v")
        and (use != "noun" or form.kind != "b")
        and (use != "preposition" or form.kind == "p")
    )


def say(
    language: str, operator: str, number: str, rng: Random, use: str, own: tuple[Form, ...] = ()
) -> Form:
    """A random way to say a limit, among them the domain's own."""
    options = _suited(forms(language, operator), use)
    special = _suited(own, use)
    form = rng.choice(special if special and rng.random() < 0.35 else options)
    if form.text == "#+" and not number.isdigit():
        form = Form("b", "# and up")
    return form.put(number)


def say_if(form: Form, rng: Random) -> str:
    """Japanese: 60以上なら, 60を超えたら."""
    if form.when and rng.random() < 0.6:
        return rng.choice(form.when)
    return form.text + rng.choice(_IF["v" if form.kind == "v" else "n"])


def say_attribute(form: Form, noun: str, of: str, language: str) -> str:
    """ "scores of at least 60", 超过60的分数, 60以上の人."""
    text = form.text.replace("*", "")
    if language == "en":
        return f"{noun} {of} {text}" if form.kind == "q" else f"{noun} {text}"
    if language == "zh":
        return f"{text}的{noun}"
    return text + noun if form.kind == "v" else f"{text}の{noun}"


def spell(number: str, language: str, rng: Random, chance: float = 0.06) -> str:
    """A small number as a word, at times."""
    words = _SPELLED[language]
    if number.isdigit() and 1 < int(number) < len(words) and rng.random() < chance:
        return words[int(number)]
    return number


_LINKED = re.compile(r"<([^<>]*\|[^<>]*)>")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")


def expand(text: str, rng: Random) -> str:
    """The choices in `[a|b]`, with {SLOTS} left alone; those in `<a|b>` go together."""
    for group in dict.fromkeys(_LINKED.findall(text)) if "<" in text else ():
        count = group.count("|") + 1
        at = rng.randrange(count)
        linked = re.compile(rf"<([^<>|]*(?:\|[^<>|]*){{{count - 1}}})>")
        text = linked.sub(lambda match: match[1].split("|")[at], text)  # noqa: B023
    while "[" in text:
        text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text, count=1)
    return text.replace("  ", " ").strip()
