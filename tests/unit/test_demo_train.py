"""Training: what is learnt, how names are cut into tokens, and when it stops."""

import pytest
import torch
from tokenizers import Regex, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tools.demo import compiled, generate, given, network, prompts, tokenizer, train
from tools.demo.families import LANGUAGES

TALKS = generate.generate(300, 5)
NAME = "plonk_rate2"


@pytest.fixture(scope="module")
def words() -> PreTrainedTokenizerFast:
    texts = [message["content"] for talk in TALKS for message in talk.messages]
    return tokenizer.train(texts, 900)


def _label(words, times=1):
    return [train.encode(talk, words) for talk in TALKS] * times


def test_only_answers_and_their_end_marks_are_learnt(words):
    talk = next(talk for talk in TALKS if len(talk.turns) == 2)

    ids, labels = train.encode(talk, words)

    learnt = words.decode([label for label in labels if label >= 0])
    assert learnt == "".join(f"{turn.answer}{tokenizer.END}" for turn in talk.turns)
    assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))


AROUND = [
    "def {}(", '"{}"', "`{}`", "関数{}を", "函数 {}，", "({})", "call the {} of it.", "end. {}", "    return {}(x)",
    ") * {}", "    return [{}(x) for x in y]", '"a" + {}', "round({}, 2)",
]  # fmt: skip


@pytest.mark.parametrize("around", AROUND)
def test_a_name_is_cut_the_same_way_wherever_it_stands(words, around):
    alone = words.tokenize(NAME)

    found = words.tokenize(around.format(NAME))

    assert any(found[i : i + len(alone)] == alone for i in range(len(found)))


@pytest.mark.parametrize("name", ["my_sum", "mysum", "my_len", "x2round"])
def test_a_name_that_holds_a_function_of_python_is_no_other_one_before_a_bracket(words, name):
    assert words.tokenize(f"{name}(")[:-1] == words.tokenize(name)


def test_what_declines_and_what_heads_code_are_single_pieces():
    split = pre_tokenizers.Split(Regex(tokenizer.pattern()), behavior="isolated")
    said = [prompts.wording(language).sections["refuse"][0] for language in LANGUAGES]
    headings = [f"{heading}\n" for heading in given._HEADINGS.values()]
    for text in (*said, *headings):
        assert [piece for piece, _ in split.pre_tokenize_str(text)] == [text]


def test_batches_keep_to_their_number_of_tokens_and_lose_nothing(words):
    made = list(train.batches(_label(words), 1024, seed=1))

    assert all(ids.numel() <= 1024 or len(ids) == 1 for ids, _ in made)
    assert sum(len(ids) for ids, _ in made) == len(TALKS)


def test_batches_come_in_few_shapes(words):
    made = list(train.batches(_label(words, 12), 1024, seed=1))

    rows: dict[int, int] = {}
    stride = 2 if compiled.knows_halves() else 4
    for ids, _ in made[:-1]:
        assert ids.shape[1] % stride == 0
        assert rows.setdefault(ids.shape[1], len(ids)) == len(ids)


def test_training_stops_when_its_time_is_over(words):
    model = train.build(len(words), words.eos_token_id, words.pad_token_id)
    before = model.lm_head.weight.clone()

    train.fit(model, train.batches(_label(words), 512, 1), train.Plan(9, 1e-9, 0.01), lambda: None)

    assert torch.equal(model.lm_head.weight, before)


def test_a_few_steps_lower_the_loss(words):
    torch.manual_seed(1)
    model = train.build(len(words), words.eos_token_id, words.pad_token_id)
    batch = next(train.batches(_label(words), 512, 1))
    before = network.loss(model, *batch).item()

    train.fit(model, iter([batch] * 9), train.Plan(8, 60, 0.01), lambda: None)

    assert network.loss(model, *batch).item() < before - 1


def test_code_given_in_a_system_message_is_read_but_not_learnt(words):
    talk = next(talk for talk in generate.generate(600, 5) if talk.given)

    ids, labels = train.encode(talk, words)

    shown = words.encode(f"{tokenizer.SYSTEM}{talk.given}")
    assert list(ids[: len(shown)]) == shown
    assert set(labels[: len(shown)]) == {-100}


def test_training_stops_when_the_clock_says_so(words):
    model = train.build(len(words), words.eos_token_id, words.pad_token_id)
    before = model.lm_head.weight.clone()
    plan = train.Plan(9, 60, 0.01, wall=1e-9)

    train.fit(model, train.batches(_label(words), 512, 1), plan, lambda: None)

    assert torch.equal(model.lm_head.weight, before)
