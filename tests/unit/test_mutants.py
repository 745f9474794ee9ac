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
