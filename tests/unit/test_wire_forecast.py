"""When a batch will be done: arithmetic on what was measured."""

import dataclasses
from typing import Any

import pytest

from app.wire import forecast
from app.wire.forecast import Pace
from app.wire.rows import Batch

NOW = 10_000.0
_TIMES = ("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at")


def make_batch(**changes: Any) -> Batch:
    nothing: dict[str, Any] = {f.name: None for f in dataclasses.fields(Batch)}
    given = {
        "status": "in_progress",
        "total": 1000,
        "completed": 100,
        "failed": 0,
        "input_tokens": 9_000,
        "cached_tokens": 4_000,
        "output_tokens": 5_000,
        "reused_tokens": 0,
        "unrun": 0,
        "created_at": NOW - 3600,
        "expires_at": NOW + 3600,
    }
    return Batch(**(nothing | given | changes))


def test_the_end_is_what_is_left_in_tokens_over_the_pace_in_tokens() -> None:
    seen = forecast.foresee(make_batch(), Pace(50, 5_000, NOW - 100), now=NOW)

    assert seen.remaining_tokens == 90_000  # 900 lines of 100 computed tokens each
    assert seen.tokens_per_second == 50.0
    assert seen.lines_per_second == 0.5
    assert seen.eta_at == NOW + 1800
    assert not seen.at_risk


def test_a_stretch_of_long_lines_moves_the_end_but_little() -> None:
    """The same speed in tokens, a tenth in lines: counting lines would say ten times as long."""
    short = forecast.foresee(make_batch(), Pace(50, 5_000, NOW - 100), now=NOW)
    long = forecast.foresee(make_batch(), Pace(5, 5_000, NOW - 100), now=NOW)

    assert long.eta_at == short.eta_at


def test_a_batch_that_ends_after_its_window_is_at_risk() -> None:
    slow = forecast.foresee(make_batch(), Pace(50, 1_000, NOW - 100), now=NOW)

    assert slow.eta_at is not None
    assert slow.eta_at > NOW + 3600
    assert slow.at_risk


def test_a_batch_that_stands_still_becomes_one() -> None:
    pace = Pace(50, 5_000, NOW - 100)

    risks = [forecast.foresee(make_batch(), pace, now=NOW + later).at_risk for later in (0, 300)]

    assert risks == [False, True]


def test_lines_that_cost_no_tokens_are_counted_as_lines() -> None:
    batch = make_batch(completed=0, failed=100, input_tokens=0, cached_tokens=0, output_tokens=0)

    seen = forecast.foresee(batch, Pace(100, 0, NOW - 10), now=NOW)

    assert seen.eta_at == NOW + 90


def test_lines_that_were_refused_unread_say_nothing_of_those_that_are_left() -> None:
    """2,000 refused at ingest, 100 of 1,000 others done."""
    batch = make_batch(total=3_000, failed=2_000, unrun=2_000)

    seen = forecast.foresee(batch, Pace(50, 5_000, NOW - 100), now=NOW)

    assert seen.remaining_tokens == 90_000
    assert seen.eta_at == NOW + 1800


def test_nothing_is_promised_before_a_line_has_ended() -> None:
    waiting = make_batch(completed=0)

    assert forecast.foresee(waiting, None, now=NOW) == forecast.Forecast()
    assert forecast.foresee(waiting, None, now=NOW + 3000).at_risk  # 90 % of the window is over


def test_nothing_is_promised_from_refused_lines_alone() -> None:
    batch = make_batch(completed=0, failed=10, unrun=10)

    assert forecast.foresee(batch, Pace(1, 10, NOW - 1), now=NOW) == forecast.Forecast()


def test_a_paused_batch_has_no_end_but_a_risk() -> None:
    batch = make_batch(paused_at=NOW - 5)

    seen = forecast.foresee(batch, Pace(50, 1_000, NOW - 100), now=NOW)

    assert (seen.eta_at, seen.at_risk) == (None, True)


@pytest.mark.parametrize("status", ["completed", "finalizing", "cancelling", "failed", "expired"])
def test_a_batch_that_has_nothing_to_run_is_not_foreseen(status: str) -> None:
    seen = forecast.foresee(make_batch(status=status), Pace(5, 10, NOW - 9), now=NOW)

    assert seen == forecast.Forecast()


def test_a_busy_device_is_counted_once_and_its_pauses_not_at_all() -> None:
    spans = [("a", 0.0, 10.0), ("a", 5.0, 12.0), ("a", 100.0, 103.0), ("b", 0.0, 4.0)]

    assert forecast.measure_busy(spans) == 12 + 3 + 4
    measured = forecast.Throughput.over(spans, 190, 40)
    assert measured == forecast.Throughput(10.0, 10.0)
    assert forecast.Throughput.over([], 0, 0) is None


def test_answers_that_were_not_computed_again_do_not_slow_the_forecast() -> None:
    pace = Pace(50, 5_000, NOW - 100)
    half = make_batch(cached_tokens=6_500, reused_tokens=2_500)  # of every second line

    seen = forecast.foresee(half, pace, now=NOW)

    assert seen.remaining_tokens == 45_000
    assert seen.eta_at == NOW + 900
