"""The mutations of `make mutants` still fit the program."""

from pathlib import Path

import pytest

from tools import mutants


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutation_finds_the_text_that_it_changes(mutant: mutants.Mutant, tmp_path: Path) -> None:
    for name, _, _ in mutant.edits:
        copied = tmp_path / name
        if not copied.exists():
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_text((mutants.ROOT / name).read_text())

    mutants.apply(mutant, tmp_path)

    assert all(compile((tmp_path / name).read_text(), name, "exec") for name, _, _ in mutant.edits)


_RED = "E   AssertionError: I3: job_1 succeeded: 2 results\n"


@pytest.mark.parametrize(
    ("said", "is_noticed"),
    [
        (_RED, True),
        (f"E   Falsifying example\n{_RED}", True),
        ("E   AssertionError: I5: job_1 changed\n", False),  # by another invariant than it must
        ("E   AssertionError: wrong\n", False),
        (f"{_RED}E   TypeError: create() got an unexpected keyword argument\n", False),
        (f"E   ModuleNotFoundError: No module named 'app.model'\n{_RED}", False),
        (f"{_RED}  | AttributeError: no attribute 'seq'\n", False),  # in a group of several
        ("E   NameError: name 'job' is not defined\n", False),
        ("", False),
    ],
)
def test_only_an_invariant_that_alone_turned_red_counts(said: str, is_noticed: bool) -> None:
    assert (mutants.judge(said, ("I3",)) is not None) == is_noticed


def test_fences_locks_and_hints_are_tried_on_both_databases() -> None:
    both = {mutant.name for mutant in mutants.MUTANTS if "postgresql" in mutant.databases}

    assert both >= {
        "no attempt in the fenced commit",
        "publish before commit",
        "poison not isolated",
        "a dead worker may claim",
        "identical lines run side by side",
    }
    assert all("sqlite" in mutant.databases for mutant in mutants.MUTANTS)
