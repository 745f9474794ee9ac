"""The evaluation sets of the demonstration model are sound, and every case has an answer."""

import ast
import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tools.demo import written

SETS = Path(__file__).parents[2] / "evals" / "demo"
LANGUAGES = ("en", "zh", "ja")
# for each set: singles, conversations and off-topic prompts in each language
COUNTS = {"final": (40, 40, 20), "tuning": (20, 20, 10), "wide": (40, 24, 0)}
SOUND = (*COUNTS, "people")  # many more, held out of what people wrote for the training
KINDS = ("single", "conversation", "offtopic")
LONG = 12  # signs that two people hardly write alike by chance, as they do "and backwards"
ALIKE = 0.5  # share of common letter triples at which two prompts count as paraphrases

Case = dict[str, Any]


def rows(name: str) -> list[Case]:
    with (SETS / f"{name}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def functions(source: str) -> list[str]:
    return [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def triples(case: Case) -> set[str]:
    text = plain(" ".join(case["turns"]))
    return {text[at : at + 3] for at in range(max(1, len(text) - 2))}


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(got: object, want: object) -> bool:
    if is_number(got) and is_number(want):
        return bool(got == pytest.approx(want, rel=1e-4))
    if isinstance(got, list | tuple) and isinstance(want, list):
        return len(got) == len(want) and all(map(same, got, want))
    return type(got) is type(want) and got == want


def called(check: Case, answers: list[str]) -> tuple[int, str]:
    """The turn and the function that a check is about."""
    turn = check.get("turn", -1) % len(answers)
    return turn, check.get("name") or functions(answers[turn])[-1]


def outcome(check: Case, answers: list[str]) -> object:
    turn, name = called(check, answers)
    names: dict[str, Any] = {}
    for source in answers[: turn + 1]:
        exec(source, names)
    return names[name](*json.loads(json.dumps(check["args"])))


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str) -> None:
    counted = Counter((case["language"], case["kind"]) for case in rows(name))
    wanted = {
        (language, kind): count
        for language in LANGUAGES
        for kind, count in zip(KINDS, COUNTS[name], strict=True)
    }
    assert counted == Counter(wanted)


@pytest.mark.parametrize("name", COUNTS)
def test_shape(name: str) -> None:
    for case in rows(name):
        turns, checks, kind = case["turns"], case["checks"], case["kind"]
        assert set(case) == {"id", "language", "kind", "turns", "checks"}, case["id"]
        assert all(turn == turn.strip() != "" for turn in turns), case["id"]
        assert len(turns) in ((2, 3) if kind == "conversation" else (1,)), case["id"]
        many = range(2, 10) if name == "wide" else (2, 3)
        assert len(checks) in ((0,) if kind == "offtopic" else many), case["id"]
        assert all({"args", "value"} <= set(check) for check in checks), case["id"]
        assert all(set(check) <= {"args", "value", "turn", "name"} for check in checks), case["id"]
        if checks:
            assert any(check.get("turn", -1) in (-1, len(turns) - 1) for check in checks)


def test_ids_and_prompts_are_unique() -> None:
    cases = [case for name in COUNTS for case in rows(name)]
    ids = Counter(case["id"] for case in cases)
    prompts = Counter(plain(" ".join(case["turns"])) for case in cases)
    openings = Counter(plain(case["turns"][0]) for case in cases)
    for counted in (ids, prompts, openings):
        assert [key for key, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_prompt_paraphrases_another(language: str) -> None:
    cases = [case for name in COUNTS for case in rows(name) if case["language"] == language]
    known = [(case["id"], triples(case)) for case in cases]
    alike = [
        (one, other)
        for (one, left), (other, right) in combinations(known, 2)
        if len(left & right) > ALIKE * len(left | right)
    ]
    assert alike == []


@pytest.mark.parametrize("name", SOUND)
def test_references_answer_every_case(name: str) -> None:
    cases = {case["id"]: case for case in rows(name) if case["checks"]}
    references = {row["id"]: row["answers"] for row in rows(f"references_{name}")}
    assert list(references) == list(cases)
    for key, case in cases.items():
        answers = references[key]
        assert len(answers) == len(case["turns"]), key
        for check in case["checks"]:
            got = outcome(check, answers)
            assert same(got, check["value"]), (key, check, got)


@pytest.mark.parametrize("name", SOUND)
def test_fixed_names_stand_in_the_prompt(name: str) -> None:
    references = {row["id"]: row["answers"] for row in rows(f"references_{name}")}
    for case in rows(name):
        for check in case["checks"]:
            turn, function = called(check, references[case["id"]])
            assert function in functions(references[case["id"]][turn]), case["id"]
            told = " ".join(case["turns"][: turn + 1])
            if "name" in check:
                assert re.search(rf"\b{function}\b", told, re.ASCII), case["id"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_request_of_a_set_stands_among_what_is_trained_on(language: str) -> None:
    trained = {plain(one.request) for talk in written.load(language) for one in talk}
    paths = [*SETS.glob("*.jsonl"), *(SETS.parent / "sessions").glob("*.jsonl")]
    cases = [row for path in paths if "references" not in path.name for row in rows(str(path)[:-6])]
    asked = [plain(turn) for case in cases for turn in case["turns"]]
    alone = {plain(case["turns"][0]) for case in cases} | {
        each for each in asked if len(each) >= LONG
    }

    assert len(cases) > 1000
    assert sorted(alone & trained) == []
