"""A Redis URL that no client can be made of is refused, and not shown."""

import pytest

from app import queue
from app.errors import SettingsError


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://h:6379/0",
        "rediss://u:p@h/1",
        "unix:///s?db=0",
        "redis+socket:///s?virtual_host=0",
    ],
)
def test_usable_urls_pass(url: str):
    queue.check_url(url)


@pytest.mark.parametrize(
    "url", ["redis://h:abc/0", "redis://:s3cret#x@h/0", "redis://h/0?foo=1", "redis://:s3/cret@h/0"]
)
def test_broken_ones_are_refused_without_being_shown(url: str):
    with pytest.raises(SettingsError, match="redis_url_broken") as caught:
        queue.check_url(url)

    assert "s3" not in str(caught.value)
