"""Rules with one, two or three limits: words, prices, numbers or True and False by them."""

import re
from functools import cache
from itertools import pairwise
from random import Random

from tools.demo import tariff_results
from tools.demo import tariff_words as words
from tools.demo.tariff_scenes import Clause, Domain, Scene, domains, fill
from tools.demo.tariff_words import Draft, Form

_NAMES = {
    "w": ("label", "category", "classify", "level", "grade", "status", "describe", "kind", "group", "rate", "dengji", "leibie", "fenji", "hantei", "bunrui", "kubun"),
    "p": ("price", "fee", "fare", "charge", "ticket", "cost", "shipping", "rate", "piaojia", "feiyong", "jiage", "yunfei", "ryokin", "nedan", "souryou"),
    "n": ("value", "points", "stage", "score_for", "result", "code", "bonus", "step", "fenshu", "dengji", "tensu", "dankai"),
    "b": ("check", "is_ok", "allowed", "is_enough", "passes", "can_enter", "fits", "valid", "okay", "panduan", "keyi", "jiancha", "kahi"),
}  # fmt: skip
NAME = {"w": "label", "p": "price", "n": "value", "b": "check"}
_YEN = ["500", "1000", "1500", "2000", "3000", "3980", "5000", "8000", "10000"]
_RANGES = {
    "en": ("{a} to {b}", "{a} to {b}", "from {a} to {b}", "{a}-{b}", "{a} - {b}"),
    "zh": ("{a}到{b}", "{a}到{b}", "{a}至{b}", "{a}-{b}", "{a}~{b}"),
    "ja": ("{a}から{b}", "{a}〜{b}", "{a}から{b}まで", "{a}～{b}", "{a}-{b}"),
}
_JOINTS = {
    "en": (" and ", " but ", " and "),
    "zh": ("且", "并且", "、", "，", "而且"),
    "ja": ("で", "かつ", "、"),
}
_MENDED = {
    "en": ((r"\b(pay|cost|charge|return|give back|give|gives|ask|is charged) free\b", r"\1 0"),),
    "zh": (("(收|付|返回|只要|要交|只收|要付|要)免费", "免费"), ("(返回)免费", "返回0")),
    "ja": (("無料を返", "0を返"), ("無料の料金", "0の料金")),
}


def pick(language: str, rng: Random) -> Draft:
    """A rule of any kind."""
    domain = rng.choice((*domains()[:6], *domains()))
    kind = rng.choice(domain.fields["res"])
    scene = Scene(domain, language, domain.pick(f"{language} unit", rng))
    if kind == "b":
        return _truth(scene, rng)
    count = rng.choices((2, 3, 4), (10, 8, 1))[0]
    clauses = _draw_clauses(scene, count - 1, rng)
    results, said = tariff_results.draw(scene, kind, clauses, rng)
    while True:
        drawn = _say_rule(scene, kind, clauses, said, rng)
        if drawn is not None:
            break
    body = "".join(
        f"if {clause.test}:\n    return {result}\n"
        for clause, result in zip(clauses, results, strict=False)
    )
    signature = "n>s" if kind == "w" else "n>n"
    return _draft(domain, kind, drawn, f"{body}return {results[-1]}", signature)


def _draft(domain: Domain, kind: str, said: tuple[str, str], body: str, signature: str) -> Draft:
    identifiers = (tuple(domain.fields["ids"].split()),)
    topic, name = f"limit_{kind}", NAME[kind]
    return Draft(topic, said[0], said[1], body, name, _NAMES[kind], ("x",), identifiers, signature)


def _limits(domain: Domain, language: str) -> list[str]:
    if domain.id == "amount" and language == "ja":
        return _YEN
    return list(dict.fromkeys(domain.fields["lim"].split()))


def _draw_clauses(scene: Scene, count: int, rng: Random) -> list[Clause]:
    limits = sorted(rng.sample(_limits(scene.domain, scene.language), count), key=float)
    if count == 1:
        operator = rng.choices(("gt", "ge", "lt", "le"), (6, 6, 5, 3))[0]
        return [_clause(operator, limits[0], scene, rng)]
    rising = rng.random() < 0.5
    pair = ("lt", "lt", "le") if rising else ("ge", "ge", "gt")
    limits = limits if rising else limits[::-1]
    same = rng.choice(pair)
    mixed = rng.random() < 0.3
    drawn = [(rng.choice(pair) if mixed else same, limit) for limit in limits]
    clauses = [_clause(*each, scene, rng) for each in drawn]
    if rng.random() < 0.35 and all(limit.isdigit() for limit in limits):
        return _spans(clauses, scene, rng)
    return clauses


def _clause(operator: str, limit: str, scene: Scene, rng: Random) -> Clause:
    unit = scene.unit
    glued = unit[1:2] not in ("", " ") and scene.language == "en"
    spelled = unit[0] == "#" and not glued and "%" not in unit
    number = words.spell(limit, scene.language, rng) if spelled else limit
    return Clause(operator, limit, unit.replace("#", number))


def _spans(clauses: list[Clause], scene: Scene, rng: Random) -> list[Clause]:
    """The clauses after the first as ranges: 60 to 89."""
    done = [clauses[0]]
    shape = rng.choice(_RANGES[scene.language]).removesuffix("まで")
    for before, clause in pairwise(clauses):
        step = {"lt": 0, "le": 1, "ge": -1, "gt": 0}[done[-1].operator]
        low, high = sorted((int(before.limit) + step, int(clause.limit)))
        if low == high:
            return clauses
        span = scene.unit.replace("#", shape.format(a=low, b=high))
        operator = "le" if clause.operator[0] == "l" else "ge"
        done.append(Clause(operator, clause.limit, clause.shown, span))
    return done


def _say_rule(
    scene: Scene, kind: str, clauses: list[Clause], said: list[str], rng: Random
) -> tuple[str, str] | None:
    language = scene.language
    style = rng.choice(_styles("styles", language, kind))
    pattern, joint, last = words.expand(style[1], rng).split(";;")
    scene = scene.cast(rng)
    if not scene.allows(pattern) or (" pay " in pattern and not scene.is_about_people):
        return None
    parted = r"[\"'”」元块钱円]$" if len(clauses) > 1 else r"\D$"
    if joint.strip() == "_" and not all(re.search(parted, result) for result in said[:-1]):
        return None
    head, shape = pattern.replace("^", "").strip(), pattern.split("^")[-1].strip()
    texts = [fill(head, scene.slots(clauses[0], head, rng) | {"R": said[0]})]
    for clause, result in zip(clauses[1:], said[1:], strict=False):
        scene = scene.shorten(rng)
        texts.append(fill(shape, scene.slots(clause, shape, rng) | {"R": result}))
    tail = Clause(words.OPPOSITE[clauses[-1].operator], clauses[-1].limit, clauses[-1].shown)
    closing = fill(last.strip(), scene.slots(tail, last, rng) | {"R": said[-1]})
    text = _joint(joint, language).join([*texts, closing])
    for old, new in _MENDED[language] if kind == "p" else ():
        text = re.sub(old, new, text)
    return style[0], text.replace(", ,", ",")


def _joint(text: str, language: str) -> str:
    text = text.strip()
    if text == "_":
        return ""
    if language != "en":
        return text or "，"
    return f"{text} "


@cache
def _styles(file: str, language: str, kind: str) -> list[tuple[str, str]]:
    found = []
    for line in words.lines(file):
        word, *rest = line.split(" ", 3 if file == "styles" else 2)
        if word == language and (file == "truths" or kind in rest[0]):
            found.append((rest[-2], rest[-1]))
    return found


def _truth(scene: Scene, rng: Random) -> Draft:
    if rng.random() < 0.25:
        return _between(scene, rng)
    clause = _draw_clauses(scene, 1, rng)[0]
    return _say_truth(scene, clause, rng, f"return {clause.test}")


def _say_truth(
    scene: Scene, clause: Clause, rng: Random, body: str, both: dict[str, str] | None = None
) -> Draft:
    unfit = r"\{(W|AN|CQ)\}" if both else r"\{CQ\}" if clause.operator[0] == "l" else r"\{XX\}"
    while True:
        kind, pattern = rng.choice(_styles("truths", scene.language, "b"))
        pattern = words.expand(pattern, rng)
        scene = scene.cast(rng)
        if scene.allows(pattern) and not re.search(unfit, pattern):
            break
    slots = scene.slots(clause, pattern, rng) | (both or {})
    return _draft(scene.domain, "b", (kind, fill(pattern, slots)), body, "n>b")


def _between(scene: Scene, rng: Random) -> Draft:
    """Whether a value lies between two limits, each in or out."""
    language, unit = scene.language, scene.unit
    low, high = sorted(rng.sample(_limits(scene.domain, language), 2), key=float)
    start, end = rng.choice(("ge", "ge", "gt")), rng.choice(("le", "le", "lt"))
    said = _say_two((start, low), (end, unit.replace("#", high)), language, rng)
    if (start, end) == ("ge", "le") and rng.random() < 0.5:
        shape = rng.choice(_RANGES[language]).removesuffix("まで")
        span = unit.replace("#", shape.format(a=low, b=high))
        inside = {"en": span, "zh": f"在{span}之间", "ja": f"{span}の間"}[language]
        said = Form("n", inside)
    test = f"{low} {words.SIGNS['lt' if start == 'gt' else 'le']} $a {words.SIGNS[end]} {high}"
    both = {"C": said.text, "P": said.text, "A": said.text, "IF": words.say_if(said, rng)}
    return _say_truth(scene, Clause("ge", low, low), rng, f"return {test}", both)


def _say_two(low: tuple[str, str], high: tuple[str, str], language: str, rng: Random) -> Form:
    first = words.say(language, *low, rng, "plain")
    second = words.say(language, *high, rng, "free")
    joint = rng.choice(_JOINTS[language])
    if language == "ja" and low[0] == "gt":
        first, joint = Form("n", f"{low[1]}より大きく"), rng.choice(("", "、", "、かつ"))
    elif language == "ja" and second.kind != "v" and rng.random() < 0.6:
        joint = ""
    return Form(second.kind, first.text + joint + second.text)
