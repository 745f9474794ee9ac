"""Lines on their way to the store: each stands for itself."""

from typing import Any

import pytest

from app import settings
from app.intake import twins
from app.wire.rows import Line, Problem
from app.workers import ingest
from tests.unit.test_wire_forecast import make_batch


@pytest.mark.parametrize("reuse_answers", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {"request": {"prompt": "\ud800", "sampling": {"temperature": 0}}},
        {"request": {"judged": {"text": "\ud800"}}},
        {"request": {"judged": {"minimum": 2**70}}},
        {"request": {}, "problem": Problem("schema_invalid", "guided_json", {"reason": "\udfff"})},
    ],
)
def test_a_line_that_cannot_be_stored_ends_alone(changes: dict[str, Any], reuse_answers: bool):
    batches = settings.Batches(reuse_answers=reuse_answers)
    line = Line(7, "c7", "m", **changes)

    placed = ingest._place_line(
        line, make_batch(), settings.Settings(batches=batches), twins.Index()
    )

    assert placed == Line(7, "c7", "m", {}, Problem("internal_error"))
