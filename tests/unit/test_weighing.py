"""The weights of the intent: what they were made from, and that any decision can be looked up."""

import json

import pytest

from app.coding import instruction
from app.coding.instruction import Intent, features, fences, lexing, signatures, weighing
from app.coding.instruction.evidence import Evidence
from tools.instructions import made


def weigh(text: str) -> tuple[Intent, float]:
    blocks, prose = fences.find(text)
    shown = signatures.find(prose)
    tokens = lexing.cut(signatures.blank_inner(prose, shown))
    return weighing.choose(Evidence(tokens, blocks, shown), prose)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Traceback (most recent call last):\n  File 'a.py', line 1\nKeyError: 'id'", "fix"),
        ("How does the garbage collector of Go work?", "explain"),
        ("port it to Rust", "convert"),
        ("make it faster", "change"),
        ("the counter never goes up, any idea?", "fix"),
        ("把它翻译成 Go", "convert"),
        ("为什么这里要加锁？", "explain"),
        ("还是报错", "fix"),
        ("テストもお願いします", "test"),
        (
            "We lack a decorator for metrics.\n- cache it\n- convert nothing\n- throws on bad input",
            "create",
        ),
        ("calc_fee shows a minus sign whenever the discount is zero", "fix"),
        ("our importer should skip blank lines from now on", "change"),
        ("需要一个中间件。\n- 抛异常也要打印\n- 支持缓存", "create"),
        ("text.py に shout(text) を追加したい", "create"),
        ("もっと速くして", "change"),
    ],
)
def test_the_intent_of_what_no_rule_was_written_for(text: str, intent: str):
    assert instruction.parse(text).intent == intent


def test_the_first_sentence_has_features_of_its_own():
    tokens = lexing.cut("Write a parser. Change nothing, add tests.")

    found = features.collect(Evidence(tokens, ()), "Write a parser. Change nothing, add tests.")

    assert {"lead first CREATE", "lead last CREATE", "lead all CREATE"} <= set(found)
    assert "kind CHANGE" in found
    assert "lead kind CHANGE" not in found


def test_weights_stand_in_order_one_feature_a_line():
    lines = weighing.FILE.read_text(encoding="utf-8").splitlines()[1:-1]
    names = [next(iter(json.loads("{" + line.rstrip(",") + "}"))) for line in lines]

    assert names == sorted(names)
    assert all(len(row) == len(weighing.INTENTS) for row in weighing.load().values())


def test_the_probability_is_lower_for_words_that_say_little():
    _, plain = weigh("Write unit tests for parse_date")
    _, vague = weigh("hmm, the thing")

    assert 0 < vague < plain <= 1


def test_phrases_are_filled_the_same_way_for_the_same_seed():
    first, again, other = (list(made.make(1, seed)) for seed in (7, 7, 8))

    assert first == again
    assert first != other
    assert not any("{L}" in text or "{n}" in text for text, _ in first)
