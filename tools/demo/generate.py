"""The training data: conversations made from a seed, bit for bit the same each time.

python -m tools.demo.generate --count 20 prints some.
"""

import argparse
import json
from dataclasses import dataclass
from random import Random

from tools.demo import given, refusals, talks, written
from tools.demo.families import LANGUAGES
from tools.demo.prompts import Turn

SINGLE, REFUSED = 0.35, 0.11
_WRITTEN = 0.5  # of the longer conversations are as people wrote them
_GIVEN = 0.1  # of the conversations begin with code in a system message
_CUT = 0.3  # of these show the code of the earlier turns instead
_LONGER = 0.15  # and of these go on with one more turn
_COPYING = 0.12  # of the conversations: some only repeat names, the skill all others need
_FIRST = 0.08  # of the conversations: single turns only, short ones teach copying names fastest


@dataclass(frozen=True)
class Conversation:
    """Turns in one language; `given` is code that the system message shows."""

    language: str
    turns: tuple[Turn, ...]
    given: str = ""

    @property
    def messages(self) -> list[dict[str, str]]:
        given = [{"role": "system", "content": self.given}] if self.given else []
        return given + [
            {"role": role, "content": text}
            for turn in self.turns
            for role, text in (("user", turn.request), ("assistant", turn.answer))
        ]


def generate(count: int, seed: int) -> list[Conversation]:
    """`count` conversations; the same seed gives the same ones."""
    rng = Random(seed)
    return [_choose(i / count, rng) for i in range(count)]


def _choose(progress: float, rng: Random) -> Conversation:
    if progress < _COPYING and rng.random() < 0.15:
        return Conversation("en", (talks.copy(rng),))
    return _converse(rng.choice(LANGUAGES), progress < _FIRST, rng)


def _converse(language: str, alone: bool, rng: Random) -> Conversation:
    draw = rng.random()
    if draw < REFUSED:
        return Conversation(language, (refusals.refuse(language, rng),))
    if alone or draw < REFUSED + SINGLE:
        return Conversation(language, (talks.start(language, rng),))
    if rng.random() < _WRITTEN:
        return _write(language, rng)
    if rng.random() < _GIVEN:
        turn, text = given.use(language, rng)
        return Conversation(language, (turn,), text)
    return Conversation(language, talks.talk(language, rng))


def _write(language: str, rng: Random) -> Conversation:
    """A conversation as it was written, at times with only its end and the code before it."""
    turns = written.talk(language, rng)
    if rng.random() < _CUT:
        return Conversation(language, (turns[-1],), given.show(turns[:-1], language, rng))
    if rng.random() < _LONGER:
        turns = talks.go_on(turns, language, rng)
    return Conversation(language, tuple(turns))


def main() -> None:
    """Prints conversations as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for conversation in generate(options.count, options.seed):
        print(json.dumps(conversation.messages, ensure_ascii=False))


if __name__ == "__main__":
    main()
