"""The shipped demonstration model answers the example files correctly: its answers are run."""

import json
from pathlib import Path

import pytest

from app import weights
from tools.demo import evaluate
from tools.demo.execute import Check, find_fault

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "app" / "demo"
SQUARE, DOUBLE = "def square(x):\n    return x * x", "def double(x):\n    return x * 2"
EXPECTED = {
    "en-1": ([], Check((3, 4), 7, name="add")),
    "zh-1": ([], Check((2,), 12.566370614, name="circle_area")),
    "ja-1": ([], Check(("abc",), "cba", name="reverse_text")),
    "en-2": ([], Check((3,), False, name="is_even")),
    "zh-2": ([], Check((1900,), False, name="is_leap")),
    "ja-2": ([], Check((5,), 120, name="factorial")),
    "en-3": ([], Check((3,), 3000)),
    "zh-3": ([], Check(([1, 2, 6],), 3, name="mean")),
    "ja-3": ([], Check(([3, 1, 3],), [3, 1], name="unique")),
    "en-4": ([], Check(("banana",), 3, name="count_vowels")),
    "zh-4": ([], Check((3, 9, 4), 9, name="largest")),
    "ja-4": ([], Check((12, 18), 6, name="gcd")),
    "en-5": ([], Check((6,), 42, name="zorp")),
    "zh-5": ([], Check(("ab",), "AB", name="shout")),
    "ja-5": ([], Check((3, 4), 12, name="area")),
    "en-6": ([], Check(([1, 2, 4],), [2, 4])),
    "zh-6": ([], Check((13,), True, name="is_prime")),
    "ja-6": ([], Check(("abba",), True)),
    "en-7": ([DOUBLE], Check((3,), 12, name="quad")),
    "zh-7": ([SQUARE], Check((3, 4), 25, name="sum_of_squares")),
    "ja-7": ([DOUBLE], Check((3,), 7, name="double_plus")),
    "en-8": ([], Check((3, 4), 12, name="rect_area")),
    "ja-8": ([], Check((100,), 62.1371, name="km_to_miles")),
}


@pytest.fixture(scope="module")
def model():
    return evaluate.Model(DEMO / "model")


@pytest.fixture(scope="module")
def answers(model):
    return dict(zip(LINES, model.answer([_messages(line) for line in LINES.values()]), strict=True))


def _read(name):
    return [json.loads(line) for line in (ROOT / "examples" / name).read_text("utf-8").splitlines()]


def _messages(line):
    return line["body"]["messages"]


LINES = {line["custom_id"]: line for line in _read("batch.jsonl")}


def test_the_example_file_has_24_lines_and_every_plain_request_is_checked():
    declined = {"zh-8"}

    assert len(LINES) == 24
    assert set(LINES) == set(EXPECTED) | declined


@pytest.mark.parametrize("custom_id", sorted(EXPECTED))
def test_an_example_is_answered_with_code_that_returns_the_right_value(answers, custom_id):
    earlier, check = EXPECTED[custom_id]

    assert find_fault([*earlier, answers[custom_id]], [check]) is None, answers[custom_id]


@pytest.mark.parametrize("custom_id", ["en-7", "zh-7", "ja-7"])
def test_a_later_turn_calls_the_function_of_the_earlier_one(answers, custom_id):
    older = "square(" if custom_id == "zh-7" else "double("

    assert older in answers[custom_id]


def test_the_off_topic_example_is_declined_in_its_language(answers):
    assert (
        answers["zh-8"]
        == "\u62b1\u6b49\uff0c\u6211\u53ea\u4f1a\u5199\u7b80\u5355\u7684 Python \u51fd\u6570\u3002"
    )


def test_both_turns_of_every_example_session_are_right(model):
    turns: dict[str, list[str]] = {name: [] for name in ("en", "zh", "ja")}
    for line in _read("session.jsonl"):
        turns[line["session"]].append(line["content"])

    talks = evaluate.converse(model, [tuple(each) for each in turns.values()])

    for language, (first, second) in zip(turns, talks, strict=True):
        last = (
            Check((3,), 12, name="quad") if language == "en" else Check((3,), 7, name="double_plus")
        )
        checks = [Check((3,), 6, turn=0, name="double"), last]
        assert find_fault([first, second], checks) is None, (first, second)
        assert "double(" in second


def test_requests_of_its_own_data_from_an_unused_seed_are_mostly_answered_exactly(model):
    """demo_requests.jsonl was made by the scripts of the commit that the weights were trained with."""
    text = Path(__file__).with_name("demo_requests.jsonl").read_text(encoding="utf-8")
    talks = [json.loads(line) for line in text.splitlines()]

    found = model.answer([talk[:-1] for talk in talks])

    right = sum(text == talk[-1]["content"] for text, talk in zip(found, talks, strict=True))
    assert right >= 32, f"{right} of 48"


def test_the_chat_template_takes_a_system_message_and_earlier_turns(model):
    messages = [{"role": role, "content": "x"} for role in ("system", "user", "assistant", "user")]

    text = model.words.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    assert text == "<|system|>x<|user|>x<|assistant|>x<|end|><|user|>x<|assistant|>"


def test_the_model_directory_is_small_signed_and_free_of_code():
    verified = weights.verify(DEMO / "model", public_keys=[DEMO / "public_key.txt"])

    assert sum(file.size for file in verified.files) < 5 * 1024 * 1024
    assert not any(file.name.endswith(".py") for file in verified.files)
