"""The evaluation sets of instructions and coding sessions are sound."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

EVALS = Path(__file__).parents[2] / "evals"
SETS = ("final", "tuning")
LOCALES = ("en", "zh", "ja")
INSTRUCTIONS = {"final": 50, "tuning": 30}  # in each language
INTENTS = {"create", "change", "fix", "explain", "test", "convert"}
TARGETS = {"function", "class", "script", "query", "configuration"}
SCOPES = {"session", "file", "module", None}
KEYS = ["intent", "target", "language", "name", "parameters", "returns", "references", "scope"]
ALIKE = 0.4  # share of common letter triples at which two texts count as paraphrases
FENCE = re.compile(r"```.*?```", re.DOTALL)

Row = dict[str, Any]


def rows(folder: str, name: str) -> list[Row]:
    with (EVALS / folder / f"{name}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def instructions() -> list[Row]:
    return [row for name in SETS for row in rows("instructions", name)]


def prose(text: str) -> str:
    return FENCE.sub("", text)


def plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def triples(text: str) -> set[str]:
    letters = plain(text)
    return {letters[at : at + 3] for at in range(max(1, len(letters) - 2))}


def alike(texts: dict[str, str]) -> list[tuple[str, str]]:
    known = [(key, triples(text)) for key, text in texts.items()]
    return [
        (one, other)
        for (one, left), (other, right) in combinations(known, 2)
        if len(left & right) > ALIKE * len(left | right)
    ]


def repeated(values: list[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


@pytest.mark.parametrize("name", SETS)
def test_every_language_has_its_instructions(name: str) -> None:
    counted = Counter(row["locale"] for row in rows("instructions", name))

    assert counted == dict.fromkeys(LOCALES, INSTRUCTIONS[name])


@pytest.mark.parametrize("name", SETS)
def test_every_intent_and_target_is_there_in_every_language(name: str) -> None:
    for locale in LOCALES:
        trees = [row["tree"] for row in rows("instructions", name) if row["locale"] == locale]

        assert {tree["intent"] for tree in trees} == INTENTS
        assert {tree["target"] for tree in trees} == TARGETS


@pytest.mark.parametrize("name", SETS)
def test_trees_have_their_keys_and_kinds(name: str) -> None:
    for row in rows("instructions", name):
        tree = row["tree"]

        assert list(row) == ["id", "locale", "instruction", "tree"], row["id"]
        assert list(tree) == KEYS, row["id"]
        assert tree["intent"] in INTENTS, row["id"]
        assert tree["target"] in TARGETS, row["id"]
        assert tree["scope"] in SCOPES, row["id"]
        assert re.fullmatch(r"[a-z]+", tree["language"] or "null"), row["id"]
        for parameter in tree["parameters"]:
            assert list(parameter) == ["name", "type", "default"], row["id"]


@pytest.mark.parametrize("name", SETS)
def test_names_and_references_stand_in_the_text(name: str) -> None:
    for row in rows("instructions", name):
        text, tree = row["instruction"], row["tree"]
        names = [each[key] for each in tree["parameters"] for key in ("name", "default")]
        places = [prose(text).find(reference) for reference in tree["references"]]

        assert text == text.strip() != "", row["id"]
        assert all(word in text for word in [tree["name"], *names] if word), row["id"]
        assert -1 not in places, row["id"]
        assert places == sorted(places), row["id"]


@pytest.mark.parametrize("name", SETS)
def test_trees_follow_the_rules(name: str) -> None:
    for row in rows("instructions", name):
        text, tree = prose(row["instruction"]), row["tree"]
        named, intent = tree["name"], tree["intent"]

        if intent == "create":
            assert named not in tree["references"], row["id"]
        if intent in ("change", "fix", "explain", "test") and named and named in text:
            assert named in tree["references"], row["id"]
        if intent not in ("create", "change"):
            assert (tree["parameters"], tree["returns"]) == ([], None), row["id"]


def test_no_instruction_stands_twice() -> None:
    cases = instructions()

    assert repeated([case["id"] for case in cases]) == []
    assert repeated([plain(case["instruction"]) for case in cases]) == []


@pytest.mark.parametrize("locale", LOCALES)
def test_no_instruction_paraphrases_another(locale: str) -> None:
    texts = {
        case["id"]: prose(case["instruction"])
        for case in instructions()
        if case["locale"] == locale
    }

    assert alike(texts) == []
