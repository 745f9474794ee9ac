"""Results of a batch while it runs, over HTTP."""

import json
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from app.models import batches, claims
from app.models.claims import Holder
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.wire.rows import Batch
from app.workers import finalize
from app.workers.context import Context
from tests.integration import makers
from tests.integration.apis import Api

pytestmark = pytest.mark.integration


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Api:
    return Api(database, redis_url, tmp_path)


@pytest.fixture
def holder(database: Database) -> Holder:
    return makers.add_worker(database)


def end_lines(api: Api, holder: Holder, number: int) -> None:
    """The next lines end: every third fails."""
    held = makers.take(api.db, holder, limit=number)
    claims.settle(
        api.db,
        [
            makers.succeed(job, f"re {job.custom_id}")
            if (job.line_no or 0) % 3
            else makers.fail(job)
            for job in held
        ],
    )


def finish(api: Api, batch: Batch) -> Batch:
    assert finalize.run(Context(api.db, api.settings), batch.id)["status"] == "completed"
    return makers.reload(api.db, batch)


def end_all(api: Api, holder: Holder, batch: Batch) -> None:
    end_lines(api, holder, batch.total)
    finish(api, batch)


def fetch(api: Api, batch: Batch, **query: Any) -> dict[str, Any]:
    answer = api.client.get(f"/v1/batches/{batch.id}/results", query_string=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def test_pages_go_on_where_the_last_one_ended_and_miss_nothing(api: Api, holder: Holder) -> None:
    batch = makers.add_batch(api.db, 5)
    assert fetch(api, batch)["data"] == []

    end_lines(api, holder, 3)
    first = fetch(api, batch, limit=2)
    second = fetch(api, batch, after=first["cursor"])
    end_lines(api, holder, 2)
    third = fetch(api, batch, after=second["cursor"])

    assert (first["has_more"], second["has_more"], third["has_more"]) == (True, False, False)
    lines = [*first["data"], *second["data"], *third["data"]]
    assert [line["line"] for line in lines] == [1, 2, 3, 4, 5]
    assert fetch(api, batch, after=third["cursor"])["cursor"] == third["cursor"]
    assert third["batch_status"] == "in_progress"


def test_a_line_is_the_one_of_the_output_and_error_files(api: Api, holder: Holder) -> None:
    batch = makers.add_batch(api.db, 4, locale="zh-CN")
    end_lines(api, holder, 4)
    early = fetch(api, batch)["data"]

    done = finish(api, batch)

    lines: dict[str, Any] = {}
    for name, file_id in (("output", done.output_file_id), ("errors", done.error_file_id)):
        with api.client.get(f"/v1/files/{file_id}/content") as content:
            kept = content.data
        with api.client.get(f"/v1/batches/{batch.id}/{name}") as same:
            assert same.data == kept
            assert "X-Incomplete" not in same.headers
        lines |= {line["custom_id"]: line for line in map(json.loads, kept.splitlines())}
    shown = {e["custom_id"]: {k: e[k] for k in e if k not in ("line", "cursor")} for e in early}
    assert shown == lines


def test_the_output_of_a_running_batch_is_what_is_there_and_says_so(
    api: Api, holder: Holder
) -> None:
    batch = makers.add_batch(api.db, 5)
    end_lines(api, holder, 4)

    output = api.client.get(f"/v1/batches/{batch.id}/output")
    errors = api.client.get(f"/v1/batches/{batch.id}/errors")

    assert output.headers["X-Incomplete"] == errors.headers["X-Incomplete"] == "true"
    assert output.mimetype == "application/jsonl"
    assert [json.loads(line)["custom_id"] for line in output.data.splitlines()] == [
        "c1",
        "c2",
        "c4",
    ]
    assert [json.loads(line)["custom_id"] for line in errors.data.splitlines()] == ["c3"]
    assert api.client.get(f"/v1/batches/{batch.id}").json["output_file_id"] is None


def test_a_batch_that_ended_without_such_lines_has_an_empty_file(api: Api, holder: Holder) -> None:
    batch = makers.add_batch(api.db, 2)
    end_lines(api, holder, 2)
    finish(api, batch)

    errors = api.client.get(f"/v1/batches/{batch.id}/errors")

    assert (errors.status_code, errors.data, errors.headers["X-Incomplete"]) == (200, b"", "false")


@pytest.mark.parametrize("cursor", ["x", "1", "-1-2", "1-2-3", "9" * 30 + "-1", "１-2"])
def test_a_cursor_that_we_never_gave_is_refused(api: Api, cursor: str) -> None:
    batch = makers.add_batch(api.db, 1)

    answer = api.client.get(f"/v1/batches/{batch.id}/results", query_string={"after": cursor})

    assert answer.status_code == 400
    assert (answer.json["error"]["code"], answer.json["error"]["param"]) == (
        "invalid_value",
        "after",
    )


def test_another_tenants_results_do_not_exist(api: Api) -> None:
    batch = makers.add_batch(api.db, 1, tenant_id=add_tenant(api.db))

    for name in ("results", "output", "errors"):
        assert api.client.get(f"/v1/batches/{batch.id}/{name}").status_code == 404


def add_tenant(db: Database) -> str:
    with db.write() as tx:
        tx.exec_driver_sql("INSERT INTO tenants (id, created_at) VALUES ('other', 0)")
    return "other"


def open_stream(api: Api, batch: Batch, last: str | None = None) -> Generator[dict[str, Any]]:
    """The events of a stream, as they come."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
    answer = api.client.get(f"/v1/batches/{batch.id}/results", headers=headers)
    assert answer.mimetype == "text/event-stream"
    for block in map(bytes.decode, answer.iter_encoded()):
        fields = dict(line.split(": ", 1) for line in block.strip().splitlines())
        if "data" in fields:
            yield fields | {"data": json.loads(fields["data"])}
    answer.close()


def test_a_stream_brings_each_line_once_and_ends_with_the_batch(api: Api, holder: Holder) -> None:
    batch = makers.add_batch(api.db, 6)
    end_lines(api, holder, 2)
    stream = open_stream(api, batch)
    early = [next(stream), next(stream)]

    threading.Thread(target=end_all, args=(api, holder, batch)).start()
    rest = list(stream)

    seen = [*early, *rest]
    assert [event["event"] for event in seen] == ["line"] * 6 + ["batch"]
    assert sorted(event["data"]["line"] for event in seen[:6]) == [1, 2, 3, 4, 5, 6]
    assert seen[-1]["data"]["status"] == "completed"
    assert seen[-1]["data"]["output_file_id"]


def test_an_event_is_one_line_of_data_whatever_an_answer_says(api: Api, holder: Holder) -> None:
    text = "a\u2028b\x85c\u2029d"
    batch = makers.add_batch(api.db, 1)
    claims.settle(api.db, [makers.succeed(makers.take(api.db, holder, limit=1)[0], text)])

    event = next(open_stream(api, batch))

    answer = event["data"]["response"]["body"]
    assert answer["choices"][0]["message"]["content"] == text


def test_a_stream_goes_on_after_the_last_event_that_was_seen(api: Api, holder: Holder) -> None:
    batch = makers.add_batch(api.db, 4)
    end_lines(api, holder, 4)
    finish(api, batch)
    first = open_stream(api, batch)
    seen = [next(first) for _ in range(3)]
    first.close()

    rest = list(open_stream(api, batch, last=seen[-1]["id"]))

    assert [event["event"] for event in rest] == ["line", "batch"]
    assert sorted(event["data"]["line"] for event in (*seen, rest[0])) == [1, 2, 3, 4]
    assert [e["event"] for e in open_stream(api, batch, last=rest[-1]["id"])] == ["batch"]


def test_a_stream_tells_once_that_the_window_will_be_missed(api: Api, holder: Holder) -> None:
    batch = makers.add_batch(api.db, 4, window_seconds=0)
    end_lines(api, holder, 1)
    stream = open_stream(api, batch)

    early = [next(stream), next(stream)]
    end_lines(api, holder, 1)
    later = next(stream)
    end_all(api, holder, batch)
    rest = [later, *stream]

    assert [event["event"] for event in early] == ["line", "at_risk"]
    warning = early[1]
    assert (warning["id"], warning["data"]["id"]) == (early[0]["id"], batch.id)
    assert (warning["data"]["at_risk"], warning["data"]["status"]) == (True, "in_progress")
    assert [event["event"] for event in rest] == ["line"] * 3 + ["batch"]


def test_a_stream_of_a_batch_that_is_in_time_says_nothing_of_risk(api: Api, holder: Holder) -> None:
    batch = makers.add_batch(api.db, 1)
    end_lines(api, holder, 1)
    finish(api, batch)

    assert [event["event"] for event in open_stream(api, batch)] == ["line", "batch"]


def test_open_streams_end_when_the_server_stops(api: Api) -> None:
    batch = makers.add_batch(api.db, 1)
    stream = open_stream(api, batch)

    threading.Timer(0.2, api.app.extensions["autoglm"].notifier.stop).start()

    assert list(stream) == []  # no `batch` event: the client knows that there is more


def test_a_cancelled_batch_streams_what_became_of_every_line(api: Api, holder: Holder) -> None:
    batch = makers.add_batch(api.db, 3)
    end_lines(api, holder, 1)
    batches.cancel(api.db, DEFAULT_TENANT, batch.id)
    finalize.run(Context(api.db, api.settings), batch.id)

    events = list(open_stream(api, batch))

    codes = [(event["data"].get("error") or {}).get("code") for event in events[:3]]
    assert codes == [None, "batch_cancelled", "batch_cancelled"]
    assert events[-1]["data"]["status"] == "cancelled"
