"""Examples in a request: what the asked function gives for some value."""

from random import Random
from typing import Any

from tools.demo.families import Family

_SHOWN = {
    "en": (
        ", e.g. {} gives {}", ". Example: {} -> {}", " ({} gives {})", "; {} should give {}",
        ", so {} becomes {}", ". For {} I expect {}", ". {} is {}", ", for instance {}: {}",
    ),
    "zh": (
        ",比如{}得{}", "(例如{}→{})", "。例:{}变{}", ",{}就是{}", "({}返回{})", ",如{}得到{}", "。{}应返回{}",
    ),
    "ja": (
        "(例:{}なら{})", "。{}なら{}になります", "、たとえば{}は{}", "。{}→{}", "({}のとき{})", "。{}を渡すと{}",
    ),
}  # fmt: skip
_QUICK = ("arithmetic", "conditions", "geometry", "units", "rules", "daily", "operate", "decide")
_UNSUITED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, SyntaxError)
_LONGEST = 40  # characters


def show(code: str, family: Family, language: str, rng: Random, *, ended: bool = False) -> str:
    """A clause with one example, or nothing where none can be made; after the end of a sentence
    (`ended`) one that begins another.
    """
    try:
        arguments = _draw(family, rng)
        value = _call(code, arguments)
    except _UNSUITED:
        return ""
    shown = (", ".join(map(_write, arguments)), _write(value))
    if sum(map(len, shown)) > _LONGEST or (isinstance(value, float) and len(shown[1]) > 6):
        return ""
    if any("$" in text for text in shown):
        return ""
    options = [form for form in _SHOWN[language] if not ended or form[0] in ".\u3002("]
    clause = rng.choice(options).format(*shown)
    return (
        clause.lstrip("\u3002") if ended and language != "en" else clause.removeprefix("." * ended)
    )


def _draw(family: Family, rng: Random) -> tuple[Any, ...]:
    """Whole numbers, lists of them, or what the family's own test calls it with."""
    kinds = family.signature.split(">")[0].split(",")
    if set(kinds) <= {"n"} and family.topic in _QUICK:
        return tuple(rng.randrange(1, rng.choice((10, 30, 120))) for _ in kinds)
    if kinds == ["l"] and family.topic in ("select", "operate") and "x." not in family.code:
        return ([rng.randrange(-9, 40) for _ in range(rng.randrange(2, 5))],)
    call = family.test.partition(" == ")[0]
    return tuple(eval(call, {"__builtins__": {}}))


def _call(code: str, arguments: tuple[Any, ...]) -> Any:
    scope: dict[str, Any] = {}
    exec(code, scope)
    made = [value for name, value in scope.items() if name not in ("__builtins__", "math")]
    return made[-1](*arguments)


def _write(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return '"' + value + '"' if isinstance(value, str) else str(value)
