"""Conversations that people wrote: their answers are right, also after names and numbers have changed."""

import ast
import re
import subprocess
import sys
from random import Random

import pytest

from tools.demo import given, names, other_names, other_values, varied, written
from tools.demo.families import LANGUAGES
from tools.demo.prompts import Function, Turn

SECONDS = 60
WORDS = re.compile(r"[A-Za-z0-9_]+")
FAILING = re.compile(r"/|\b(min|max)\(")  # where other numbers may divide by nothing, leave nothing
DIGITS = re.compile(r"(?<![A-Za-z0-9_])\d+(?![A-Za-z0-9_])")


def _run(talks):
    """What is wrong with these conversations, all run in one process that imports nothing."""
    lines = ["def run(number, steps):", "    space = {}"]
    lines += ["    for step in steps:", "        exec(step, space)"]
    for number, talk in enumerate(talks):
        steps = [
            f"{answer}\n"
            + "".join(f"assert {check}, {f'{number}: {check}'!r}\n" for check in checks)
            for answer, checks in talk
        ]
        lines.append(f"run({number}, {steps!r})")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"], input="\n".join(lines),
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.stderr[-400:]


def _plain(talk):
    return [(one.answer, one.checks) for one in talk]


def _pairs(talk):
    return [(one.request, one.answer) for one in talk]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_is_right(language):
    assert _run(map(_plain, written.load(language))) == ""


def test_a_wrong_answer_would_be_found():
    assert "3: f(1) == 3" in _run([[("def f(n):\n    return n", ["f(1) == 1"])]] * 3
                                  + [[("def f(n):\n    return n", ["f(1) == 3"])]])  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_learnt_from_are_conversations_up_to_their_first_hard_turn(language):
    everything, easy = written.load(language), written.load_easy(language)

    assert 0.85 * len(everything) < len(easy) < len(everything)
    parts = {talk[:end] for talk in everything for end in range(1, len(talk) + 1)}
    assert parts.issuperset(easy)
    assert not set(everything).issuperset(easy)


def test_each_mark_of_hard_txt_is_a_turn_of_a_conversation():
    lines = (written.FOLDER / "hard.txt").read_text(encoding="utf-8").splitlines()
    talks = {name: talks for each in LANGUAGES for name, talks in written._read(each).items()}

    assert [line.split()[0] for line in lines] == list(talks)
    for name, count, *marks in map(str.split, lines):
        assert int(count) == len(talks[name]), (
            f"{name} changed: its marks are of other conversations"
        )
        left = written._left(marks)
        assert len(left) == len(marks)
        for number, turns in left.items():
            assert number >= 1
            assert 0 <= turns < len(talks[name][number - 1])


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_thousands_with_requests_and_checks_and_one_function_an_answer(language):
    talks = written.load(language)

    assert len(talks) > 1000
    assert sum(len(talk) > 1 for talk in talks) > 500
    for one in (one for talk in talks for one in talk):
        assert one.request, one
        assert one.checks, one
        tree = ast.parse(one.answer).body
        assert [type(node) for node in tree] == [ast.FunctionDef], one


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_conversation_with_other_names_is_still_right(language):
    rng, renamed = Random(5), []
    for talk in written.load(language):
        table = other_names.find(_pairs(talk), language, rng)
        if table:
            renamed.append([
                (other_names.replace_code(one.answer, table), [other_names.replace_code(c, table) for c in one.checks])
                for one in talk
            ])  # fmt: skip

    assert len(renamed) > 200
    assert _run(renamed) == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_varied_is_said_before_it_is_answered(language):
    """Every name, number and quoted word that is new in an answer stands in the requests so far."""
    rng, changed = Random(6), 0
    for talk in written.load(language):
        pairs, said = varied.vary(_pairs(talk), language, rng), set()
        for one, (request, answer) in zip(talk, pairs, strict=True):
            ast.parse(answer)
            said |= set(WORDS.findall(request))
            new = set(WORDS.findall(answer)) - set(WORDS.findall(one.answer))
            new = {word for word in new if word.isascii() and len(word) < 20}
            changed += bool(new)
            assert new <= said, (answer, said)
            assert answer.count("\n") == one.answer.count("\n")

    assert changed > len(written.load(language)) / 10


@pytest.mark.parametrize("language", LANGUAGES)
def test_requests_and_answers_with_other_numbers_hold_the_same_ones(language):
    rng, changed = Random(7), 0
    for talk in written.load(language):
        pairs = other_values.renumber(_pairs(talk), rng)
        if pairs != _pairs(talk):
            said = {number for request, _ in pairs for number in DIGITS.findall(request)}
            code = re.sub(r"\"[^\"\n]*\"", "", "\n".join(answer for _, answer in pairs))
            held = set(DIGITS.findall(code))
            assert said <= held, pairs
            assert held - said <= {"0", "1", "2", "10", "100"}, pairs
            changed += 1

    assert changed > 50


@pytest.mark.parametrize("language", LANGUAGES)
def test_conversations_with_other_numbers_still_run(language):
    """Each is called as its checks call it: what comes out is another value, but no error."""
    rng, talks = Random(8), []
    for talk in written.load(language):
        pairs = other_values.renumber(_pairs(talk), rng)
        fails = any(FAILING.search(answer) for _, answer in pairs)
        if pairs != _pairs(talk) and not fails:
            calls = [[f"({check}) in (True, False)" for check in one.checks] for one in talk]
            talks.append([(answer, some) for (_, answer), some in zip(pairs, calls, strict=True)])

    assert _run(talks) == ""


@pytest.mark.parametrize(("language", "request_", "answer", "changed"), [
    ("zh", "取列表前3个", "def first(items):\n    return items[:3]", "前{}个"),
    ("ja", "4文字以内ならそのまま、超えたら先頭の4文字", "def f(s):\n    return s[:4]", "の{}文字"),
])  # fmt: skip
def test_numbers_beside_chinese_and_japanese_are_numbers(language, request_, answer, changed):
    found = [other_values.renumber([(request_, answer)], Random(seed))[0] for seed in range(20)]

    assert len({code for _, code in found}) > 2
    for request, code in found:
        assert changed.format(re.findall(r":(\d+)\]", code)[0]) in request


@pytest.mark.parametrize("talk", [
    [("fee is 21, cap at 33", "def fee_21(n):\n    return min(n * 21, 33)")],
    [("打8折后再减30", "def f(n):\n    return n * 8 / 10 - 30")],
    [("17時から22時まで", "def f(h):\n    return 17 <= h <= 22")],
    [("born after 2005", "def f(year):\n    return year > 2005")],
    [("collatz 3n + 1 for n", "def f(n):\n    while n > 1:\n        n = 3 * n + 1")],
    [("four of us", "def f(n):\n    return n / 4"), ("we are 8 now, not 4", "def f(n):\n    return n / 8")],
])  # fmt: skip
def test_numbers_that_mean_something_else_stay(talk):
    assert all(other_values.renumber(talk, Random(seed)) == talk for seed in range(20))


def test_other_numbers_stay_on_their_side_of_100():
    talk = [("good up to 95, else bad", "def f(n):\n    return n <= 95")]

    numbers = {other_values.renumber(talk, Random(seed))[0][0] for seed in range(60)}

    assert len(numbers) > 3
    assert all(int(re.findall(r"\d+", each)[0]) < 100 for each in numbers)


@pytest.mark.parametrize(("request_", "answer", "is_replaced"), [
    ('above 30 "hot", else "mild"', 'def f(t):\n    return "hot" if t > 30 else "mild"', True),
    ("温度高于30返回“太热”，否则“还行”", 'def f(t):\n    if t > 30:\n        return "太热"\n    return "还行"', True),
    ('says "first" or "last"', 'def f(t):\n    return "first" if t < 0 else "last"', False),
    ("60分及格，返回“及格”，否则“不及格”", 'def f(n):\n    return "及格" if n >= 60 else "不及格"', False),
    ('the key "price" of x', 'def f(x):\n    return x["price"]', False),
    ('"yes" if so, people write YES', 'def f(x):\n    if x:\n        return "yes"\n    return "no"', False),
])  # fmt: skip
def test_words_are_replaced_that_stand_for_nothing_else(request_, answer, is_replaced):
    language = "en" if request_.isascii() else "zh"
    found = [other_values.reword([(request_, answer)], language, Random(i))[0] for i in range(20)]

    assert any(pair != (request_, answer) for pair in found) is is_replaced
    for request, code in found:
        assert all(word in request for word in re.findall(r"\"(.+?)\"", code) if is_replaced)


def test_quoted_texts_are_not_disturbed():
    request = "第5階7号室を「5階7号室」と返して、“王总,欢迎”も"
    answer = 'def f():\n    return "5階7号室"'

    for seed in range(60):
        found = varied.disturb(request, answer, "ja", Random(seed))
        assert "「5階7号室」" in found
        assert "“王总,欢迎”" in found


def test_a_name_is_replaced_only_where_it_is_said_before_it_is_used():
    talk = [
        ("how long are the words of a text, in letters, all of them in one list, in order please",
         "def sizes(text):\n    return [len(x) for x in text.split()]"),
        ("and sizes(text) should leave out the short ones", "def sizes(text):\n    return []"),
    ]  # fmt: skip

    tables = [other_names.find(talk, "en", Random(seed)) for seed in range(40)]

    assert all("sizes" not in table for table in tables)


def test_another_name_is_never_one_that_python_has(monkeypatch):
    request = "Write down(n), which takes one from the number n of lives that are left to a player and returns the rest"
    talk = [(request, "def down(n):\n    return n - 1")]
    monkeypatch.setattr(names, "invent", lambda rng: rng.choice(["del", "sum", "lives_left"]))

    found = {other_names.find(talk, "en", Random(seed)).get("down", "") for seed in range(40)}

    assert found == {"", "lives_left"}


def test_numbers_keep_their_order():
    pairs = [("under 13 pays 6, 66 or older 8", "def f(n):\n    if n < 13:\n        return 6\n"
              "    if n >= 66:\n        return 8\n    return 0")]  # fmt: skip
    seen = set()
    for seed in range(40):
        request, answer = other_values.renumber(pairs, Random(seed))[0]
        child, low, old, high = map(int, re.findall(r"\d+", request))
        assert low < high < child < old
        assert f"n < {child}:" in answer
        seen.add(child)

    assert len(seen) > 3


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("double n, e.g. 4 -> 8", "def f(n):\n    return n * 2"),
        ("minutes in n days, 24 hours each", "def f(n):\n    return n * 24 * 60"),
        ("ends with 3 or 5, then fizz; both: 15", "def f(n):\n    return n % 15 == 0"),
    ],
)
def test_numbers_that_belong_together_stay(request_, answer):
    pairs = [(request_, answer)]

    assert all(other_values.renumber(pairs, Random(seed)) == pairs for seed in range(20))


@pytest.mark.parametrize(("name", "said", "is_name"), [
    ("price", "the price after tax, sale(price)", False),
    ("sale", "the price after tax, sale(price)", True),
    ("pct", "sale(price, pct)", True),
    ("a", "a function of a and b", False),
    ("b", "a function of a and b", True),
    ("tidy", "strip it, call it tidy", True),
    ("tidy", "make it tidy", False),
])  # fmt: skip
def test_a_word_of_the_sentence_is_no_name(name, said, is_name):
    assert other_names.is_name(name, said, ["sale", "tidy"], "en") is is_name


def test_the_signature_comes_from_the_checks():
    said = written.Said("", "def f(a, b):\n    return a", ('f("x", 2) == ["x"]',))

    assert written._signature(said) == "s,n>l"
    assert written._head('def f(a, b=",", *, c=1):\n    return a') == ("f", ("a",))
    assert (
        written._signature(written.Said("", "def f(a):\n    return a", ("f(1) + 1 == 2",))) == "x>x"
    )


def test_what_is_cut_off_is_shown_with_its_latest_code():
    first, second = "def f(n):\n    return n", "def f(n):\n    return n + 1"
    turns = [
        Turn("", code, Function("f", ("n",), code, "n>n", ("", ""))) for code in (first, second)
    ]

    assert given.show(turns, "en", Random(1)).splitlines()[1:] == second.splitlines()
