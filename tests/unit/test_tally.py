"""The result of a shift, as Flower shows it."""

import time

from app.workers.tally import Tally


def test_the_result_is_readable_and_its_rate_is_over_the_shift_s_own_time():
    tally = Tally(claimed=5, succeeded=4, failed=1, tokens=100, started=time.monotonic() - 2.0)

    shown = tally.as_dict()

    assert list(shown) == [
        "claimed",
        "succeeded",
        "failed",
        "tokens",
        "tokens_per_second",
        "seconds",
    ]
    assert (shown["claimed"], shown["succeeded"], shown["failed"]) == (5, 4, 1)
    assert 45 < shown["tokens_per_second"] <= 50
    assert 2.0 <= shown["seconds"] < 2.2
