"""Files and batches over HTTP, with OpenAI's shapes."""

import hashlib
import io
import time
from pathlib import Path
from typing import Any

import pytest
from openai.types import Batch, FileObject
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from app import queue, settings
from app.models import batches, cursors, files, keys, sweeps
from app.models.database import Database
from app.workers import ingest
from app.workers.context import Context
from tests.integration import apis, makers
from tests.integration.apis import MODELS, Api

LINE = b'{"custom_id": "1"}\n'


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Api:
    options = settings.Settings(
        models=MODELS, data_dir=tmp_path, limits=settings.Limits(max_file_bytes=200_000)
    )
    return Api(database, redis_url, tmp_path, options)


def upload(api: Api, content: bytes = LINE, name: str = "in.jsonl", **form: Any) -> Any:
    fields = {"purpose": "batch", **form, "file": FileStorage(io.BytesIO(content), name)}
    boundary, body = encode_multipart(fields)
    kind = f"multipart/form-data; boundary={boundary}"
    return api.client.post("/v1/files", data=body, content_type=kind)


def list_folder(api: Api) -> list[str]:
    folder = api.settings.data_dir / "files"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_an_upload_is_answered_as_openai_answers_it_and_its_bytes_come_back(api: Api) -> None:
    content = LINE * 5000

    answer = upload(api, content, "入力.jsonl")

    assert answer.status_code == 200
    FileObject.model_validate(answer.json, strict=True)
    assert answer.json["object"] == "file"
    assert answer.json["status"] == "processed"
    assert answer.json["bytes"] == len(content)
    assert answer.json["filename"] == "入力.jsonl"
    assert answer.json["expires_at"] == answer.json["created_at"] + 2_592_000
    file_id = answer.json["id"]
    assert api.client.get(f"/v1/files/{file_id}").json == answer.json
    headers = {"Accept": "application/binary"}
    with api.client.get(f"/v1/files/{file_id}/content", headers=headers) as back:
        assert back.data == content
        assert back.mimetype == "application/jsonl"
    assert files.get(api.db, "default", file_id).sha256 == hashlib.sha256(content).hexdigest()
    assert list_folder(api) == [file_id]


def test_a_file_of_another_kind_comes_back_under_its_own_name(api: Api) -> None:
    file_id = upload(api, b"\x89PNG", "fig 1.png", purpose="user_data").json["id"]

    with api.client.get(f"/v1/files/{file_id}/content") as back:
        assert back.data == b"\x89PNG"
        assert back.mimetype == "application/octet-stream"
        assert 'filename="fig 1.png"' in back.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../../etc/x.jsonl", "x.jsonl"),
        (r"C:\\Users\\ann\\x.jsonl", "x.jsonl"),  # forms escape a backslash
        (r"a/b\\入力 1.jsonl", "入力 1.jsonl"),
        ("..", "upload"),
        ("a/", "upload"),
        ("\x1b/\x07", "upload"),
    ],
)
def test_a_file_name_is_kept_without_folders(api: Api, sent: str, shown: str) -> None:
    answer = upload(api, LINE, sent, purpose="user_data")

    assert answer.json["filename"] == shown
    assert files.get(api.db, "default", answer.json["id"]).filename == shown


@pytest.mark.parametrize(
    ("asked", "status", "got", "shown"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-11", 200, b"0123456789", None),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=9-2", 200, b"0123456789", None),
        ("bytes=x", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
    ],
)
def test_a_part_of_a_file_can_be_asked_for(
    api: Api, asked: str, status: int, got: bytes | None, shown: str | None
) -> None:
    path = f"/v1/files/{upload(api, b'0123456789').json['id']}/content"

    with api.client.get(path, headers={"Range": asked}) as answer:
        assert answer.status_code == status
        assert answer.headers.get("Content-Range") == shown
        if got is None:
            assert answer.json["error"]["code"] == "range_not_satisfiable"
        else:
            assert answer.data == got
            etag = answer.headers["ETag"]
            again = {"Range": "bytes=0-1", "If-Range": etag}
            with api.client.get(path, headers=again) as part:
                assert part.data == b"01"
            with api.client.get(path, headers=again | {"If-Range": '"other"'}) as whole:
                assert whole.data == b"0123456789"


def test_a_deleted_file_leaves_no_bytes(api: Api) -> None:
    file_id = upload(api).json["id"]

    answer = api.client.delete(f"/v1/files/{file_id}")

    assert answer.json == {"id": file_id, "object": "file", "deleted": True}
    assert list_folder(api) == []
    assert api.client.get(f"/v1/files/{file_id}/content").status_code == 404


@pytest.mark.parametrize(
    ("content", "name", "form", "status", "code", "param"),
    [
        (b"x" * 200_001, "in.jsonl", {}, 413, "file_too_large", "file"),
        (b"x" * 2_000_000, "in.jsonl", {}, 413, "file_too_large", "file"),
        (b"", "in.jsonl", {}, 400, None, None),
        (b" \n", "in.jsonl", {}, 400, None, None),
        (LINE, "in.csv", {}, 400, None, None),
        (LINE, "in.jsonl", {"purpose": "magic"}, 400, "invalid_value", "purpose"),
        (LINE, "in.jsonl", {"purpose": "batch_output"}, 400, "invalid_value", "purpose"),
        (LINE, "in.jsonl", {"colour": "red"}, 400, "unknown_parameter", "colour"),
        (
            LINE,
            "in.jsonl",
            {"expires_after[seconds]": "1", "expires_after[anchor]": "created_at"},
            400,
            "out_of_range",
            "expires_after[seconds]",
        ),
        (
            LINE,
            "in.jsonl",
            {"expires_after[seconds]": "3600"},
            400,
            "missing_required_parameter",
            "expires_after[anchor]",
        ),
    ],
)
def test_a_refused_upload_leaves_no_row_and_no_bytes(
    api: Api,
    content: bytes,
    name: str,
    form: dict[str, Any],
    status: int,
    code: str | None,
    param: str | None,
) -> None:
    answer = upload(api, content, name, **form)

    error = answer.json["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert list_folder(api) == []
    assert api.client.get("/v1/files").json["data"] == []


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        (("purpose", "file", "file"), "file"),
        (("file", "purpose", "file"), "file"),
        (("purpose", "purpose", "file"), "purpose"),
        (("purpose", "file", "purpose"), "purpose"),
        (("purpose", "text", "file"), "file"),
        (("purpose", "file", "anchor", "anchor"), "expires_after[anchor]"),
    ],
)
def test_a_part_that_is_sent_twice_is_refused_and_nothing_is_stored(
    api: Api, parts: tuple[str, ...], param: str
) -> None:
    kinds = {
        "purpose": b'name="purpose"\r\n\r\nbatch\r\n',
        "anchor": b'name="expires_after[anchor]"\r\n\r\ncreated_at\r\n',
        "text": b'name="file"\r\n\r\ntext\r\n',
        "file": b'name="file"; filename="in.jsonl"\r\n\r\n' + LINE + b"\r\n",
    }
    head = b"--b\r\nContent-Disposition: form-data; "
    body = b"".join(head + kinds[part] for part in parts) + b"--b--\r\n"

    answer = api.client.post("/v1/files", data=body, content_type="multipart/form-data; boundary=b")

    error = answer.json["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "repeated_parameter", param)
    assert list_folder(api) == []
    assert api.client.get("/v1/files").json["data"] == []


def test_an_upload_that_breaks_off_leaves_no_row_and_no_bytes(api: Api) -> None:
    head = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    )

    answer = api.client.post(
        "/v1/files",
        data=head + LINE * 100,
        content_type="multipart/form-data; boundary=b",
        environ_overrides={"CONTENT_LENGTH": "100000"},
    )

    assert answer.status_code == 400
    assert list_folder(api) == []
    assert api.client.get("/v1/files").json["data"] == []


def test_a_file_name_loses_what_cannot_be_shown(api: Api) -> None:
    shown = upload(api, name="../a\x1b[31m\tb.jsonl").json

    assert shown["filename"] == "a[31mb.jsonl"
    assert list_folder(api) == [shown["id"]]


def test_a_file_can_be_given_its_own_lifetime(api: Api) -> None:
    form: dict[str, Any] = {
        "expires_after[anchor]": "created_at",
        "expires_after[seconds]": "3600",
    }

    shown = upload(api, **form).json

    assert shown["expires_at"] == shown["created_at"] + 3600


def test_a_form_of_another_type_is_415(api: Api) -> None:
    assert api.client.post("/v1/files", json={"purpose": "batch"}).status_code == 415


def test_a_file_sent_as_plain_text_field_is_refused(api: Api) -> None:
    form = {"purpose": "batch", "file": "text"}

    answer = api.client.post("/v1/files", data=form, content_type="multipart/form-data")

    assert (answer.status_code, answer.json["error"]["param"]) == (400, "file")


def test_files_are_listed_newest_first_or_oldest_first(api: Api) -> None:
    ids = [upload(api).json["id"] for _ in range(3)]

    assert [f["id"] for f in api.client.get("/v1/files").json["data"]] == ids[::-1]
    page = api.client.get("/v1/files?order=asc&limit=2&purpose=batch").json
    assert [file["id"] for file in page["data"]] == ids[:2]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (ids[0], ids[1], True)


def batch_body(file_id: str, **changes: Any) -> dict[str, Any]:
    fields = {
        "input_file_id": file_id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def test_a_batch_is_made_validating_and_the_control_process_is_told(api: Api) -> None:
    body = batch_body(upload(api).json["id"], metadata={"a": "b"})

    answer = api.client.post("/v1/batches", json=body)

    assert answer.status_code == 200
    Batch.model_validate(answer.json, strict=True)
    assert answer.json["status"] == "validating"
    assert answer.json["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert answer.json["expires_at"] == answer.json["created_at"] + 86_400
    assert answer.json["metadata"] == {"a": "b"}
    assert answer.json["output_file_id"] is None
    assert api.client.get(f"/v1/batches/{answer.json['id']}").json == answer.json
    assert api.client.get("/v1/batches").json["data"] == [answer.json]
    assert apis.wait_until(lambda: queue.count_waiting(api.celery, queue.CONTROL) == 1)
    stored = batches.get(api.db, "default", answer.json["id"])
    assert stored.locale == "en-US"


@pytest.mark.parametrize(
    ("changes", "code", "param", "message"),
    [
        (
            {"input_file_id": ...},
            "missing_required_parameter",
            "input_file_id",
            "Missing required parameter: 'input_file_id'.",
        ),
        ({"endpoint": "/v1/embeddings"}, "invalid_value", "endpoint", "Supported values: "),
        ({"completion_window": "48h"}, "invalid_value", "completion_window", "'24h'"),
        (
            {"metadata": {"tags": ["a"]}},
            "invalid_type",
            "metadata.tags",
            "Invalid type for 'metadata.tags': expected a string, but got an array instead.",
        ),
        ({"priority": 5}, "unknown_parameter", "priority", "'priority'"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 1}},
            "out_of_range",
            "output_expires_after.seconds",
            "3600",
        ),
    ],
)
def test_a_bad_batch_is_refused_at_once_in_openais_words(
    api: Api, changes: dict[str, Any], code: str, param: str, message: str
) -> None:
    answer = api.client.post("/v1/batches", json=batch_body("file-x", **changes))

    error = answer.json["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, param)
    assert message in error["message"]


@pytest.mark.parametrize("file_id", ["file-none", "", "x", "f" * 65, "f" * 129, "é" * 5000])
def test_a_batch_of_an_unknown_file_is_made_and_fails_later(api: Api, file_id: str) -> None:
    """However long the id is: it is shown as far as it is kept."""
    made = api.client.post("/v1/batches", json=batch_body(file_id))
    judged = api.client.post("/v1/batches/validate", json=batch_body(file_id))

    assert made.status_code == 200
    shown = made.json["input_file_id"]
    assert shown == (file_id if len(file_id) <= 64 else f"{file_id[:63]}…")
    ingest.run(Context(api.db, api.settings), made.json["id"])
    failed = api.client.get(f"/v1/batches/{made.json['id']}").json
    (problem,) = failed["errors"]["data"]
    assert (failed["status"], problem["code"]) == ("failed", "invalid_request")
    assert (problem["param"], problem["line"]) == ("file_id", None)
    assert (judged.status_code, judged.json["error"]["code"]) == (404, "file_not_found")


def test_a_batch_of_a_file_with_another_purpose_is_refused(api: Api) -> None:
    file_id = upload(api, purpose="user_data").json["id"]

    answer = api.client.post("/v1/batches", json=batch_body(file_id))

    assert (answer.status_code, answer.json["error"]["param"]) == (400, "input_file_id")


def test_the_same_idempotency_key_gives_the_same_batch(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first = api.client.post("/v1/batches", json=batch_body("file-a"), headers=headers)
    again = api.client.post("/v1/batches", json=batch_body("file-a"), headers=headers)
    other = api.client.post("/v1/batches", json=batch_body("file-b"), headers=headers)

    assert first.json == again.json
    assert other.status_code == 409


def test_a_field_that_is_null_counts_as_absent_under_an_idempotency_key(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    null = batch_body("file-a", metadata=None, output_expires_after=None)

    first = api.client.post("/v1/batches", json=null, headers=headers)
    again = api.client.post("/v1/batches", json=batch_body("file-a"), headers=headers)

    assert (again.status_code, again.json) == (200, first.json)


@pytest.mark.parametrize(
    ("second", "is_same"),
    [
        ({"x-stainless-retry-count": "1"}, True),
        ({"x-stainless-retry-count": "2", "x-stainless-read-timeout": "600"}, True),
        ({"x-stainless-retry-count": "0"}, False),
        ({"x-stainless-retry-count": "nan"}, False),
        ({}, False),
        ({"x-stainless-retry-count": "1", "Idempotency-Key": "k"}, False),
    ],
)
def test_a_clients_own_retry_of_a_creation_gives_the_first_batch(
    api: Api, second: dict[str, str], is_same: bool
) -> None:
    body = batch_body("file-a", metadata={"a": "1", "b": "2"})
    first = api.client.post("/v1/batches", json=body, headers={"x-stainless-retry-count": "0"})
    reordered = {**dict(reversed(body.items())), "metadata": {"b": "2", "a": "1"}}

    again = api.client.post("/v1/batches", json=reordered, headers=second)

    assert again.status_code == 200
    assert (first.json["id"] == again.json["id"]) is is_same


def test_tries_of_one_call_make_one_batch_in_whatever_order_they_arrive(api: Api) -> None:
    """The first try waits in a proxy while its client has given it up already."""
    body = batch_body("file-a")

    def send(tries: int) -> str:
        headers = {"x-stainless-retry-count": str(tries)}
        return str(api.client.post("/v1/batches", json=body, headers=headers).json["id"])

    assert len({send(tries) for tries in (3, 0, 5, 1, 4, 2)}) == 1
    makers.age(api.db, "batches", "created_at", 31)
    another = send(0)
    assert another != send(0)  # a first try does not repeat another first try


def test_a_batch_is_given_to_one_overtaken_first_try_only(api: Api) -> None:
    """Further creations are deliberate: each has a batch, and its own retries get that."""
    body = batch_body("file-a")

    def send(tries: int) -> str:
        headers = {"x-stainless-retry-count": str(tries)}
        return str(api.client.post("/v1/batches", json=body, headers=headers).json["id"])

    retried = send(1)
    assert send(0) == retried
    second = send(0)
    assert send(1) == second
    third = send(0)

    assert len({retried, second, third}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"input_file_id": "file-b"},
        {"endpoint": "/v1/completions"},
        {"metadata": {"a": "2"}},
        {"metadata": ...},
    ],
)
def test_a_retry_with_another_body_is_another_batch(api: Api, changes: dict[str, Any]) -> None:
    first = api.client.post("/v1/batches", json=batch_body("file-a", metadata={"a": "1"}))
    body = batch_body(**{"file_id": "file-a", "metadata": {"a": "1"}, **changes})

    other = api.client.post("/v1/batches", json=body, headers={"x-stainless-retry-count": "1"})

    assert other.status_code == 200
    assert other.json["id"] != first.json["id"]


def test_a_retry_with_another_key_or_long_after_is_another_batch(api: Api) -> None:
    body, retry = batch_body("file-a"), {"x-stainless-retry-count": "1"}
    first = api.client.post("/v1/batches", json=body).json["id"]
    makers.age(api.db, "batches", "created_at", 719)
    assert api.client.post("/v1/batches", json=body, headers=retry).json["id"] == first
    makers.age(api.db, "batches", "created_at", 721)
    later = api.client.post("/v1/batches", json=body, headers=retry).json["id"]
    _, secret = keys.create(api.db, "k", keys.DEFAULT_TENANT)
    own = retry | {"Authorization": f"Bearer {secret}"}

    stranger = api.client.post("/v1/batches", json=body, headers=own).json["id"]

    assert len({first, later, stranger}) == 3


def test_a_batch_is_cancelled_without_a_body_and_twice_is_once(api: Api) -> None:
    batch_id = api.client.post("/v1/batches", json=batch_body("file-a")).json["id"]
    headers = {"Content-Type": "application/json"}

    first = api.client.post(f"/v1/batches/{batch_id}/cancel", headers=headers)
    again = api.client.post(f"/v1/batches/{batch_id}/cancel", headers=headers)

    assert first.json["status"] == "cancelling"
    assert first.json == again.json


def test_cancelling_an_ended_batch_is_409_and_not_to_be_retried(api: Api) -> None:
    batch_id = api.client.post("/v1/batches", json=batch_body("file-a")).json["id"]
    batches.refuse(api.db, batch_id, [])

    answer = api.client.post(f"/v1/batches/{batch_id}/cancel")

    assert answer.status_code == 409
    assert answer.json["error"] == {
        "message": "Cannot cancel a batch with status 'failed'.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert answer.headers["x-should-retry"] == "false"


def test_batches_are_paged_as_the_openai_client_pages(api: Api) -> None:
    ids = [api.client.post("/v1/batches", json=batch_body(f"file-{n}")).json["id"] for n in "abc"]

    page = api.client.get("/v1/batches?limit=2").json
    rest = api.client.get(f"/v1/batches?limit=2&after={page['data'][-1]['id']}").json

    assert [batch["id"] for batch in (*page["data"], *rest["data"])] == ids[::-1]
    assert (page["has_more"], rest["has_more"]) == (True, False)


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_files_are_deleted_while_they_are_paged(api: Api, order: str) -> None:
    ids = [upload(api).json["id"] for _ in range(5)]
    seen: list[str] = []

    while page := api.client.get(f"/v1/files?limit=2&order={order}{_after(seen)}").json["data"]:
        seen += [file["id"] for file in page]
        for file in page:
            api.client.delete(f"/v1/files/{file['id']}")

    assert seen == (ids if order == "asc" else ids[::-1])
    answer = api.client.get("/v1/files?after=file-unknown")
    assert (answer.status_code, answer.json["error"]["param"]) == (404, "after")
    assert cursors.find(api.db, "tenant-y", ids[0]) is None


def _after(seen: list[str]) -> str:
    return f"&after={seen[-1]}" if seen else ""


def test_a_page_goes_on_after_what_was_forgotten_and_not_for_ever(api: Api) -> None:
    ids = [makers.add_batch(api.db).id for _ in range(3)]
    file_id = upload(api).json["id"]
    batches.refuse(api.db, ids[1], [])
    makers.age(api.db, "batches", "failed_at", 100)
    sweeps.forget(api.db, before=time.time() - 50)
    makers.age(api.db, "files", "expires_at", 31 * 86_400)
    files.delete_expired(api.db)

    page = api.client.get(f"/v1/batches?after={ids[1]}").json
    assert [batch["id"] for batch in page["data"]] == ids[:1]
    assert api.client.get(f"/v1/files?after={file_id}").status_code == 200
    assert cursors.forget(api.db, before=time.time()) == 2
    assert api.client.get(f"/v1/batches?after={ids[1]}").status_code == 404


def test_an_uploads_owner_is_the_keys_tenant(api: Api) -> None:
    key, secret = keys.create(api.db, "k", "tenant-x")
    fields = {"purpose": "batch", "file": (io.BytesIO(LINE), "in.jsonl")}

    answer = api.client.post(
        "/v1/files", data=fields, headers={"Authorization": f"Bearer {secret}"}
    )

    stored = files.get(api.db, "tenant-x", answer.json["id"])
    assert stored.key_id == key.id


def test_an_unknown_purpose_is_refused_with_all_that_are_known(api: Api) -> None:
    error = api.client.get("/v1/files?purpose=zzz").json["error"]

    assert error["param"] == "purpose"
    assert "batch_output" in error["message"]
