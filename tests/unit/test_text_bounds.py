"""What is far too long is refused unread, and reading never stops the other threads."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from app import text
from app.errors import BadRequest

DEMO = Path(__file__).parents[2] / "app" / "demo" / "model"
LIMIT = 2048
HUGE = "x" * 1_000_000


@pytest.fixture(scope="module")
def tokenizer() -> text.Tokenizer:
    return text.load(DEMO)


class Unread:
    """A tokenizer that must not be used."""

    def __init__(self, tokenizer: text.Tokenizer) -> None:
        self.least = tokenizer.least


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"prompt": HUGE}, "prompt"),
        ({"messages": [{"role": "user", "content": HUGE}]}, "messages"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": HUGE[:500_000]}] * 2}
                ]
            },
            "messages",
        ),
    ],
)
def test_a_huge_text_is_refused_without_being_tokenized(
    tokenizer: text.Tokenizer, request_: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        text.refuse_huge(Unread(tokenizer), request_, LIMIT)  # type: ignore[arg-type]

    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", param)
    assert caught.value.values["tokens"] > LIMIT


def test_the_lower_bound_is_never_above_the_true_count(tokenizer: text.Tokenizer) -> None:
    for sample in ("a", "def double(x): return x * 2", "写一个函数。" * 50, " " * 3000, "é\n" * 99):
        assert tokenizer.least(len(sample.encode())) <= len(tokenizer.encode(sample))


def test_a_text_that_fits_is_let_through(tokenizer: text.Tokenizer) -> None:
    text.refuse_huge(tokenizer, {"prompt": "a" * LIMIT}, LIMIT)
    text.refuse_huge(tokenizer, {"prompt": HUGE}, None)


def test_tokenizing_lets_other_threads_run(tokenizer: text.Tokenizer) -> None:
    """In one of a few tries: a busy machine lets a thread wait, too; one that holds the interpreter
    lock lets it wait in each of them."""
    shares = [measure_longest_wait(tokenizer) for _ in range(5)]

    assert min(shares) < 0.5, "a call that holds the interpreter lock stalls API and pulse"


def measure_longest_wait(tokenizer: text.Tokenizer) -> float:
    """Of another thread while a huge text is tokenized, as a share of the time that this takes."""
    gaps, done = [0.0], threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not done.wait(0.005):
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    thread = threading.Thread(target=tick)
    thread.start()
    started = time.perf_counter()

    tokenizer.encode(HUGE)

    took = time.perf_counter() - started
    done.set()
    thread.join()
    return max(gaps) / took
