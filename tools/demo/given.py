"""Conversations whose system message shows code of earlier functions, as the code pipeline puts it."""

from random import Random

from tools.demo import talks
from tools.demo.prompts import Function, Turn

_HEADINGS = {"en": "Known definitions:", "zh": "已有定义：", "ja": "既存の定義："}


def use(language: str, rng: Random) -> tuple[Turn, str]:
    """A request that uses or changes one of the functions whose code a system message shows."""
    shown: list[Function] = []
    while len(shown) < rng.choice((1, 1, 2, 3)):
        function = talks.start(language, rng).function
        if function is not None and function.name not in {other.name for other in shown}:
            shown.append(function)
    text = show(_as_turns(shown), language, rng)
    return _continue_named(shown, language, rng), text


def show(turns: list[Turn], language: str, rng: Random) -> str:
    """What a system message says of the functions of some turns: the latest code of each."""
    latest = {turn.made.name: turn.made.code for turn in turns if turn.function is not None}
    return "\n".join((_HEADINGS[language if rng.random() < 0.7 else "en"], *latest.values()))


def _as_turns(shown: list[Function]) -> list[Turn]:
    return [Turn("", "", function) for function in shown]


def _continue_named(shown: list[Function], language: str, rng: Random) -> Turn:
    chosen = rng.choice(shown)
    for _ in range(20):
        turn = talks.proceed(_as_turns([chosen]), language, rng)
        if len(shown) == 1 or chosen.name in turn.request:
            return turn
    return talks.start(language, rng)
