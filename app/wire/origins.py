"""Where an answer comes from that was not made for its own line."""

from typing import Any

from app.wire.rows import Result


def show(result: Result | None) -> dict[str, Any]:
    """`reused_from`: the line that was run, by its `custom_id`, `job_id` and `request_id`; nothing
    for an answer of its own."""
    origin = None if result is None else result.reused_from
    if origin is None:
        return {}
    request_id = "req_" + origin["job_id"].removeprefix("job_")
    return {"reused_from": {**origin, "request_id": request_id}}
