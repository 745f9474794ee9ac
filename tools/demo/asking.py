"""The sentence around a task whose wording and code are made already: names, parameters, rounding."""

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

from tools.demo import expressions, grammar, names, noise, phrases, symbols
from tools.demo.expressions import Node
from tools.demo.prompts import Function, Turn

FOLDER = Path(__file__).parent / "formulas"
_NAMED = 0.55
_LISTED = 0.12  # of the requests without a name list their parameters
_ROUNDED = 0.22  # of the values that may be rounded
_SHUFFLED = 0.2  # of the lists of parameters are in another order
_NAME, _PARAMETERS = "\5", "\6"  # where the name and the list of parameters go
_MARK = "\u00aa"  # a letter before a name, so that noise leaves it alone
_CJK = r"\u3040-\u30ff\u4e00-\u9fff"


@dataclass(frozen=True)
class Task:
    """What is asked for: `kind` of phrase (n, v, w, q, or x for whole sentences), and the answer.

    In `text` every name has a $ before it. `lines` is the body; the last one holds the value.
    """

    kind: str
    text: str
    parameters: tuple[str, ...]
    lines: tuple[str, ...]
    usual: tuple[str, ...]
    signature: str
    topic: str
    rounds: bool = False
    name: str = ""  # said already
    listed: bool = False  # the request must list the parameters
    ordered: bool = False  # in their own order


@cache
def wording(language: str) -> phrases.Phrases:
    """The sentences of one language."""
    text = (FOLDER / f"{language}.txt").read_text(encoding="utf-8")
    text = re.sub(r"\\(\d)", lambda match: chr(int(match[1])), text)
    text = re.sub(r"\$f(?![A-Za-z_])", _NAME, text)
    return phrases.parse(re.sub(r"\$p(?![A-Za-z_])", _PARAMETERS, text))


def compose(task: Task, language: str, rng: Random) -> Turn:
    """A request for `task` and the function that answers it."""
    later = ""
    if task.rounds and rng.random() < _ROUNDED:
        task, later = _round(task, language, rng)
    text, named = _frame(task, language, rng)
    text = _join(text, later)
    body = "\n".join(f"    {line}" for line in task.lines)
    name = task.name or task.usual[0]
    if named:
        known = wording(language).sections["name"][0].split()
        usual = (rng.choice(task.usual), rng.choice(known), rng.choice(known))
        name = names.pick_function(usual, f"{body} {' '.join(task.parameters)}", rng)
    parameters = list(task.parameters)
    if _PARAMETERS in text and not task.ordered and rng.random() < _SHUFFLED:
        rng.shuffle(parameters)
    text = _list(text.replace(_NAME, f"${name}"), parameters, language, rng)
    request = _write(text, language, rng)
    code = f"def {name}({', '.join(parameters)}):\n{body}"
    topics = ("formulas", task.topic)
    return Turn(request, code, Function(name, tuple(parameters), code, task.signature, topics))


def value_task(kind: str, text: str, node: Node, *, rounds: bool = True) -> Task:
    """The task of one expression, whose parameters are its variables."""
    parameters = tuple(expressions.variables(node))
    signature = ",".join("n" for _ in parameters) + ">n"
    line = f"return {expressions.code(node)}"
    rounds = rounds and node.kind not in ("round", "roundk", "int")
    rounds = rounds and ("/" in line or "." in line)
    return Task(kind, text, parameters, (line,), ("calculate",), signature, "spelled", rounds)


def _frame(task: Task, language: str, rng: Random) -> tuple[str, bool]:
    """The sentence, with $f and $p in it, and whether it names the function."""
    named, inline = not task.name and rng.random() < _NAMED, rng.random() < 0.5
    lines = wording(language)
    inline = inline and f"{task.kind}!" in lines.sections
    if named and (inline or (task.listed and f"{task.kind}!" in lines.sections)):
        return _insert(rng.choice(lines.sections[f"{task.kind}!"]), task, language, rng), True
    sections = lines.sections.get(task.kind, ("\1",))
    text = _insert(rng.choice(sections), task, language, rng)
    clauses = "TTB" if named else "A" if rng.random() < _LISTED and not task.name else ""
    if task.listed:
        clauses = "B" if named else "A"
    if clauses and not (clauses == "A" and _PARAMETERS in text):
        clause = grammar.expand(
            "\2" + rng.choice(lines.sections[rng.choice(clauses)]), lines.macros, rng
        )
        text = _join(text, clause[1:])
    return text, named


def _insert(line: str, task: Task, language: str, rng: Random) -> str:
    text = grammar.expand(line, wording(language).macros, rng)
    phrase = task.text
    if language == "en" and not text.startswith("\1") and re.match("[A-Z][a-z]", phrase):
        phrase = phrase if task.kind == "x" else phrase[0].lower() + phrase[1:]
    if language == "zh" and re.search("如果|True|吗", line):
        phrase = re.sub("是否能|能不能", "能", phrase)
        phrase = phrase.replace("是否为", "是").replace("是不是", "是").replace("是否相等", "相等")
        phrase = phrase.replace("是", "", 1) if "是大于" in phrase else phrase.replace("是否", "")
        phrase = re.sub("是(?=[大小等不超正])", "", phrase)
    return text.replace("\1", phrase)


def _join(text: str, clause: str) -> str:
    """`clause` at the end, without two signs of punctuation in a row."""
    if not clause:
        return text
    if text[-1] in "?.。？！!" and clause[0] in ".,。、":
        clause = clause[1:] if clause[0] in "。、" else " " + clause[1:].lstrip().capitalize()
        clause = re.sub(r"\$\w", lambda match: match[0].lower(), clause)
    return text + clause


def _round(task: Task, language: str, rng: Random) -> tuple[Task, str]:
    """The value rounded or cut, and the words for it."""
    kind, digits = rng.choice(("R0", "RK", "RK", "RI")), rng.choice("112223")
    *before, last = task.lines
    value = last.removeprefix("return ")
    code = {"R0": f"round({value})", "RK": f"round({value}, {digits})", "RI": f"int({value})"}[kind]
    lines = wording(language)
    said = grammar.expand("\2" + rng.choice(lines.sections[kind]), lines.macros, rng)[1:]
    if language == "zh" and digits == "2" and rng.random() < 0.6:
        said = said.replace("$n", "两")
    if language == "en" and rng.random() < 0.3:
        digits = {"1": "one", "2": "two", "3": "three"}[digits]
    said = said.replace("$n", digits)
    task = replace(task, lines=(*before, f"return {code}"), rounds=False)
    if said[0] in ".。":
        return task, said
    return replace(task, text=_join(task.text, said)), ""


def _list(text: str, parameters: list[str], language: str, rng: Random) -> str:
    marked = [f"${name}" for name in parameters]
    text = text.replace(f"({_PARAMETERS})", f"({', '.join(marked)})")
    joint = {"en": " and ", "zh": rng.choice(("和", "、")), "ja": rng.choice(("と", "、"))}[
        language
    ]
    listed = ", ".join(marked)
    if rng.random() < 0.5:
        listed = (", " if language == "en" else "、").join(marked[:-1])
        listed += (joint if listed else "") + marked[-1]
    return text.replace(_PARAMETERS, listed)


def _write(text: str, language: str, rng: Random) -> str:
    """The last touches: slips, signs as they are typed, no marks before names."""
    text = re.sub(r"\$(?=[A-Za-z_])", _MARK, text)
    text = noise.disturb(text, language, rng)
    if language != "en" and rng.random() < 0.6:
        comma = "，" if language == "zh" else "、"
        text = re.sub(rf"(?<=[\w%)]),(?=[{_CJK}])", comma, text)
    if language != "en" and rng.random() < 0.5:
        text = re.sub(rf"\(([^()]*[{_CJK}][^()]*)\)", r"（\1）", text)
        text = re.sub(rf"(?<=[{_CJK}]):", "：", text)
    text = re.sub(r"\b(1|one) decimal(s| places)\b", r"\1 decimal place", text)
    text = text.replace(_MARK, "").replace(symbols.COMMA, ",")
    return noise.space(text, language, rng)
