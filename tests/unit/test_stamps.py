"""A key that cannot sign is refused before the first batch ends."""

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.weights import keys, stamps


def test_a_key_that_can_sign_is_taken_and_none_is_needed(tmp_path: Path):
    private = tmp_path / "key"
    keys.write_pair(private)

    stamps.require_key(None)
    stamps.require_key(str(private))


@pytest.mark.parametrize("content", [None, "", "no key"])
def test_a_key_that_cannot_sign_is_refused_with_its_place(tmp_path: Path, content: str | None):
    private = tmp_path / "key"
    if content is not None:
        private.write_text(content)

    with pytest.raises(SettingsError, match="signing_key_unusable") as caught:
        stamps.require_key(str(private))

    assert caught.value.param == "manifests.private_key_file"
    assert caught.value.values["path"] == str(private)
