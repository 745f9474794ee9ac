"""The lock is the one that pyproject.toml asks for."""

import re

import pytest

from tools import lock


@pytest.mark.parametrize("name", sorted(lock.TARGETS))
def test_the_lock_is_as_new_as_the_project_file(name: str) -> None:
    text = (lock.ROOT / name).read_text()

    assert f"# from: {lock.digest()}\n" in text, "run `make lock`"


@pytest.mark.parametrize("name", sorted(lock.TARGETS))
def test_every_locked_package_has_a_hash(name: str) -> None:
    entries = re.split(r"\n(?=[a-zA-Z0-9])", (lock.ROOT / name).read_text())
    packages = [entry for entry in entries if re.match(r"[\w.-]+==", entry)]

    assert len(packages) > 40
    assert all("--hash=sha256:" in entry for entry in packages)


def test_torch_is_pinned() -> None:
    assert lock.TORCH.read_text().strip() == "torch==2.13.0"
