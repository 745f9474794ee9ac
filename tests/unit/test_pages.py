"""The pages of docs/api are those of the code, and each has an example."""

import re

import pytest

from tools import pages

MADE = pages.make_pages(pages.describe())


def read(name: str) -> str:
    return (pages.FOLDER / name).read_text(encoding="utf-8")


def test_every_endpoint_has_its_page_and_no_page_is_left_over() -> None:
    assert {path.name for path in pages.FOLDER.glob("*.md")} == set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_a_page_says_what_the_code_does(name: str) -> None:
    whole = read(name)

    assert whole.startswith(MADE[name]), "run `make pages`"
    assert MADE[name].count("# `") == (0 if name == pages.INDEX else 1)


@pytest.mark.parametrize("name", sorted(set(MADE) - {pages.INDEX}))
def test_a_page_has_an_example_of_its_own_endpoint(name: str) -> None:
    made, mark, example = read(name).partition(pages.EXAMPLE)
    found = re.match(r"# `([A-Z]+) (\S+)`", made)

    assert mark
    assert found
    fixed = re.escape(found[2])
    called = re.sub(r"\\{\w+\\}", r"[^/\\s\"?']+", fixed)
    assert re.search(rf"curl [^\n]*\$B{called}[\"'? \n]", example), name
    assert example.count("```") >= 4  # what is sent, and what comes back


def test_the_index_leads_to_every_page() -> None:
    assert set(re.findall(r"\]\(([\w.-]+\.md)\)", read(pages.INDEX))) == set(MADE) - {pages.INDEX}


def test_every_test_that_the_contract_names_exists() -> None:
    root = pages.FOLDER.parent.parent
    text = (root / "docs" / "contract.md").read_text(encoding="utf-8")
    tests = {
        name
        for path in root.glob("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }

    named = set(re.findall(r"::(test_\w+)", text))

    assert len(named) > 20
    assert named <= tests
