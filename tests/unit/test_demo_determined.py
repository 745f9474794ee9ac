"""An answer can be known from what is said in the conversation."""

from random import Random

import pytest

from tools.demo import determined, families, inflect, instead, prompts, talks
from tools.demo.prompts import Function


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("above 352", "return x > 352"),
        ("times seven", "return x * 7"),
        ("七倍", "return x * 7"),
        ('say "hot"', 'return "hot"'),
        ("超过2.3", "return x > 2.3"),
    ],
)
def test_what_is_said_may_stand_in_the_answer(said, code):
    assert determined.holds(said, code)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("above it", "return x > 352"),
        ("above 13520", "return x > 352"),
        ("weight", "return x * 8"),
        ("say hot", 'return "cold"'),
        ("above 2.35", "return x > 2.3"),
    ],
)
def test_what_is_not_said_is_found(said, code):
    assert not determined.holds(said, code)


def test_a_drawn_name_must_be_said():
    assert determined.holds("call it zork", "", names=("zork",))
    assert not determined.holds("call it zorkan", "", names=("zork",))


@pytest.mark.parametrize("lang", families.LANGUAGES)
def test_all_that_is_drawn_is_said(lang):
    tasks = families.load_tasks()
    known = {task.id: task for task in tasks}
    rng = Random(5)
    for _ in range(500):
        turn = prompts.compose(rng.choice(tasks), lang, rng)
        assert turn.function
        family = known.get(turn.function.topics[0])
        names = (turn.function.name, *turn.function.parameters)
        if family is not None and turn.function.topics[1] == family.topic:
            assert determined.is_said(family, turn.request, turn.answer, names), turn


@pytest.mark.parametrize("lang", families.LANGUAGES)
def test_the_opposite_keeps_names_where_it_replaces(lang):
    family = next(task for task in families.load_tasks() if task.id == "min_list")
    older = Function("zork", ("qs",), "def zork(qs):\n    return max(qs)", "l>n", ("max_list",))
    for seed in range(40):
        turn = instead.compose_opposite(family, lang, Random(seed), older)
        assert turn.function
        kept = (turn.function.name, turn.function.parameters) == ("zork", ("qs",))
        assert kept or turn.function.parameters == ("numbers",)


@pytest.mark.parametrize("text", ["$a不是12", "$a既是偶数又大于5", "$a都是大写", "$a只包含元音"])
def test_a_chinese_question_does_not_break_its_condition(text):
    assert {inflect.question(text, Random(seed)) for seed in range(20)} == {text}


def test_one_parameter_has_no_order():
    family = next(task for task in families.load_tasks() if task.id == "double")
    for lang in families.LANGUAGES:
        turns = [prompts.compose(family, lang, Random(seed)) for seed in range(200)]
        assert not any("order" in turn.request or "顺序" in turn.request for turn in turns)


def test_no_function_is_called_like_its_parameter():
    for task in families.load_tasks():
        assert task.names[0] not in task.parameters[0], task.id
    for seed in range(600):
        made = talks.start(families.LANGUAGES[seed % 3], Random(seed)).function
        assert made
        assert made.name not in made.parameters
