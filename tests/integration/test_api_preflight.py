"""POST /v1/batches/validate: every bad line is told, and nothing is queued."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from app import settings
from app.api import preflight
from app.models import batches, claims, room, sessions
from app.models.database import Database
from app.models.keys import DEFAULT_TENANT
from app.workers.context import Context
from tests.integration import inputs, makers
from tests.integration.apis import MODELS, Api

pytestmark = pytest.mark.integration
DEMO = Path(__file__).parents[2] / "app" / "demo"


@pytest.fixture
def api(database: Database, redis_url: str, tmp_path: Path) -> Api:
    options = settings.Settings(
        models=MODELS, data_dir=tmp_path, limits=settings.Limits(max_batch_lines=60)
    )
    return Api(database, redis_url, tmp_path, options)


@pytest.fixture
def context(api: Api) -> Context:
    made = Context(api.db, api.settings)
    made.files.mkdir(parents=True, exist_ok=True)
    return made


def validate(
    api: Api, context: Context, lines: list[bytes], endpoint: str = makers.ENDPOINT
) -> dict[str, Any]:
    file = inputs.add_input(context, b"".join(lines))
    body = {"input_file_id": file.id, "endpoint": endpoint, "completion_window": "24h"}
    answer = api.client.post("/v1/batches/validate", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.data)
    assert found["object"] == "batch.validation"
    return found


def test_a_webhook_that_a_batch_may_not_have_is_refused(api: Api, context: Context) -> None:
    file = inputs.add_input(context, good(1))
    body: dict[str, Any] = {"input_file_id": file.id, "endpoint": makers.ENDPOINT}
    body |= {"completion_window": "24h", "webhook": {"url": "http://x"}}

    answers = [api.client.post(path, json=body) for path in ("/v1/batches", "/v1/batches/validate")]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json["error"] == answers[1].json["error"]


def good(number: int | str, **changes: Any) -> bytes:
    return inputs.make_line(number, **({"body_model": "small"} | changes))


def as_schema(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}


def told(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(each["line"], each["scope"], each["code"]) for each in found["data"]]


def test_every_bad_line_is_told_by_number_and_code(api: Api, context: Context) -> None:
    found = validate(
        api,
        context,
        [
            good(1),
            b"not json\n",
            b"\n",
            good(4, custom_id=None),
            good(5, url="/v1/other"),
            good(6, custom_id="c1"),
            good(7, body_temperature=9),
            good(8, body_messages=[{"role": "user", "content": "x" * 500}]),
            good(9, body_model="large"),
            good(10, body_nonsense=1),
            good(11, body_previous_response_id="custom_id:c1"),
            good(12, body_previous_response_id="custom_id:nobody"),
            good(13, body_kind="code"),
            good(14, body_response_format=as_schema({"type": "strin"})),
            good(15, extra=1),
            good(16, body_logit_bias={"7": 1, "1000000": 1}),
            good(17, body_previous_response_id="resp_1"),
        ],
    )

    assert told(found) == [
        (2, "batch", "invalid_json_line"),
        (4, "batch", "missing_required_parameter"),
        (5, "batch", "invalid_url"),
        (6, "batch", "duplicate_custom_id"),
        (7, "line", "out_of_range"),
        (8, "line", "context_length_exceeded"),
        (9, "batch", "mismatched_model"),
        (10, "line", "unknown_parameter"),
        (12, "line", "previous_line_not_found"),
        (14, "line", "schema_invalid"),
        (15, "line", "unknown_parameter"),
        (16, "line", "bad_bias"),
        (17, "line", "previous_line_not_found"),
    ]
    assert "custom_id:" in found["data"][-1]["message"]
    assert "POST /v1/responses" in found["data"][-1]["message"]
    assert {each["severity"] for each in found["data"]} == {"error"}
    assert (found["valid"], found["lines"], found["errors"]) == (False, 16, 13)


SCHEMAS = [
    {"$ref": "#"},
    {"$ref": "#/required/name", "required": ["name"]},
    {"$ref": "#/minimum/x", "minimum": 3},
    {"$ref": "http://[#a"},
    {"$id": "http://["},
    {"maximum": 10**30},
]


@pytest.mark.parametrize("is_held", [True, False])
def test_no_schema_breaks_the_answer_off(api: Api, context: Context, is_held: bool) -> None:
    texts = [*map(json.dumps, SCHEMAS), '{"title": "\\ud800"}']
    said = [{"body_guided_json": text, "body_guided_decoding": is_held} for text in texts]

    found = validate(
        api, context, [*(good(n, **each) for n, each in enumerate(said, 1)), good("last")]
    )

    codes = ["schema_invalid"] * len(SCHEMAS) + ["invalid_schema"]
    assert told(found) == [(n, "line", code) for n, code in enumerate(codes, 1)]
    assert {each["param"] for each in found["data"]} == {"guided_json"}
    assert found["lines"] == len(texts) + 1


def test_a_session_that_is_not_there_is_told(api: Api, context: Context) -> None:
    own = sessions.create(api.db, DEFAULT_TENANT, None).id
    add_tenant(api.db)
    other = sessions.create(api.db, "other", None).id
    names = (own, "sess_nobody", other)

    found = validate(api, context, [good(n, body_session_id=s) for n, s in enumerate(names, 1)])

    assert told(found) == [(2, "line", "session_not_found"), (3, "line", "session_not_found")]
    assert {each["param"] for each in found["data"]} == {"session_id"}
    assert len(sessions.list_page(api.db, DEFAULT_TENANT, limit=9)[0]) == 1


def test_a_session_is_looked_up_once_however_many_lines_name_it(
    api: Api, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = sessions.create(api.db, DEFAULT_TENANT, None).id
    asked: list[str] = []

    def exists(db: Database, tenant_id: str, session_id: str) -> bool:
        asked.append(session_id)
        return real(db, tenant_id, session_id)

    real = sessions.exists
    monkeypatch.setattr(sessions, "exists", exists)
    lines = [good(n, body_session_id=(own, "sess_nobody")[n % 2]) for n in range(40)]

    found = validate(api, context, lines)

    assert sorted(asked) == sorted([own, "sess_nobody"])
    assert told(found) == [(n, "line", "session_not_found") for n in range(2, 41, 2)]


def test_lines_that_follow_on_a_bad_one_fail_as_in_the_run(api: Api, context: Context) -> None:
    lines = [
        good(1, body_temperature=9),
        good(2, body_previous_response_id="custom_id:c1"),
        good(3, body_previous_response_id="custom_id:c2"),
    ]

    found = validate(api, context, lines)

    assert told(found) == [
        (1, "line", "out_of_range"),
        (2, "line", "dependency_failed"),
        (3, "line", "dependency_failed"),
    ]
    assert "'c1'" in found["data"][1]["message"]


def test_nothing_is_queued_and_no_batch_is_made(api: Api, context: Context) -> None:
    validate(api, context, [good(1), good(2)])

    assert batches.find_unfinished(api.db) == []
    assert room.count_queued(api.db, 10) == 0


def test_requests_that_are_the_same_are_told_beside_the_line_they_repeat(
    api: Api, context: Context
) -> None:
    """Members in another order make no other request."""
    body = json.loads(good(1))["body"]
    turned = dict(reversed(body.items()))
    same = json.dumps({**json.loads(good(3)), "body": turned}).encode() + b"\n"

    found = validate(api, context, [good(1), good(2), same])

    assert told(found) == [(3, "note", "identical_request")]
    assert found["data"][0]["first_line"] == 1
    assert found["data"][0]["severity"] == "warning"
    assert (found["valid"], found["errors"], found["warnings"]) == (True, 0, 1)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"body_input": "x" * 500}, "input"),
        ({"body_input": "hi", "body_max_output_tokens": 4000}, "max_output_tokens"),
    ],
)
def test_a_response_that_is_too_long_is_told_by_its_own_names(
    api: Api, context: Context, changes: dict[str, Any], param: str
) -> None:
    record = inputs.make_record(1, url="/v1/responses", body_model="small", **changes)
    del record["body"]["messages"]

    found = validate(api, context, [json.dumps(record).encode()], "/v1/responses")

    assert [each["code"] for each in found["data"]] == ["context_length_exceeded"]
    assert found["data"][0]["param"] == param


def test_an_answer_that_does_not_fit_is_told_by_the_name_that_was_given(
    api: Api, context: Context
) -> None:
    lines = [good(1, body_max_tokens=4000), good(2, body_max_completion_tokens=4000)]

    found = validate(api, context, lines)

    assert told(found) == [(n, "line", "context_length_exceeded") for n in (1, 2)]
    assert [each["param"] for each in found["data"]] == ["max_tokens", "max_completion_tokens"]


def test_tokens_are_counted_by_the_models_own_tokenizer(api: Api, context: Context) -> None:
    lines = [good(1, body_max_tokens=7), good(2, body_max_tokens=5, body_n=3)]
    catalog = api.app.extensions["autoglm"].catalog
    each = [{"role": "user", "content": f"hi {number}"} for number in (1, 2)]
    requests = [{"messages": [message], "sampling": {}} for message in each]
    expected = sum(catalog.measure(MODELS[0], request) for request in requests)

    found = validate(api, context, lines)

    assert found["prompt_tokens"] == expected > 0
    assert found["max_answer_tokens"] == 7 + 3 * 5


def serve(
    database: Database, redis_url: str, folder: Path, model: settings.Model
) -> tuple[Api, Context]:
    """An API that has this model, too."""
    options = settings.Settings(models=(*MODELS, model), data_dir=folder)
    context = Context(database, options)
    context.files.mkdir(parents=True, exist_ok=True)
    return Api(database, redis_url, folder, options), context


def test_tokens_of_the_shipped_model_are_those_of_its_own_tokenizer(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    """Counted here with the tokenizer's library alone, over the prompt as its template has it."""
    verify = settings.Verify(public_keys=(str(DEMO / "public_key.txt"),))
    demo = settings.Model("demo", path=str(DEMO / "model"), verify=verify)
    api, context = serve(database, redis_url, tmp_path, demo)
    said = ("Write a function that adds two numbers.", "写一个函数", "関数を書いて  ")
    lines = [
        good(n, body_model="demo", body_messages=[{"role": "user", "content": text}])
        for n, text in enumerate((*said, "x = 1\n" * 2048), 1)
    ]
    tokenizer = tokenizers.Tokenizer.from_file(str(DEMO / "model" / "tokenizer.json"))
    prompts = [f"<|user|>{text.strip()}<|assistant|>" for text in said]
    expected = [len(tokenizer.encode(each, add_special_tokens=False).ids) for each in prompts]

    found = validate(api, context, lines)

    assert told(found) == [(4, "line", "context_length_exceeded")]
    assert found["prompt_tokens"] == sum(expected) > 3 * min(expected)


def test_lengths_that_nobody_can_count_are_told_as_unknown_and_never_as_none(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    lost = settings.Model("lost", path=str(tmp_path / "nothing"))
    api, context = serve(database, redis_url, tmp_path, lost)
    finish_line(api, "lost")

    found = validate(api, context, [good(n, body_model="lost") for n in (1, 2)])

    assert told(found) == [(None, "note", "lengths_unknown")]
    (note,) = found["data"]
    assert "'lost'" in note["message"]
    assert "autoglm weights verify" in note["message"]
    assert (found["valid"], found["errors"], found["warnings"]) == (True, 0, 1)
    assert (found["prompt_tokens"], found["max_answer_tokens"]) == (None, 512)
    assert found["estimate"] == {
        "device_minutes": None,
        "reason": "lengths_unknown",
        "answer_tokens": None,
    }


def test_the_device_time_is_learned_from_finished_work_or_unknown(
    api: Api, context: Context
) -> None:
    before = validate(api, context, [good(1)])["estimate"]
    finish_line(api, "small")

    lines = [good(1, body_max_tokens=1), good(2, body_max_tokens=100, body_n=3)]

    found = validate(api, context, lines)

    estimate = found["estimate"]
    assert (before["device_minutes"], before["reason"]) == (None, "no_finished_work")
    assert estimate["answer_tokens"] == 2 * (1 + 3)  # two an answer, as those before
    assert estimate["tokens_per_second"] == 2.0
    assert estimate["device_minutes"] == round((found["prompt_tokens"] + 8) / 2 / 60, 2)


def finish_line(api: Api, model: str) -> None:
    """A line of this model that took two seconds for 3 - 1 + 2 computed tokens."""
    batch = makers.add_batch(api.db)
    batches.accept(api.db, batch.id, model=model, total=1)
    (line,) = makers.make_lines([1])
    batches.add_lines(api.db, batch, [type(line)(1, "c1", model, line.request)], last_line=1)
    holder = makers.add_worker(api.db, model=model)
    (job,) = claims.claim(api.db, holder, model, limit=1, may_isolate=True)
    claims.settle(api.db, [makers.succeed(job)])
    with api.db.write() as tx:
        tx.exec_driver_sql("UPDATE jobs SET claimed_at = 100, finished_at = 102")


def test_a_file_with_nothing_or_too_much_in_it(api: Api, context: Context) -> None:
    assert told(validate(api, context, [b"\n"])) == [(None, "batch", "empty_file")]
    many = validate(api, context, [good(number) for number in range(61)])
    assert told(many) == [(None, "batch", "too_many_tasks")]


def test_findings_come_while_the_file_is_read(api: Api, context: Context) -> None:
    """The answer is a stream: the first finding is there before the last line was read."""
    file = inputs.add_input(context, b"{\n" + b"".join(good(n) for n in range(2, 50)))
    body = {"input_file_id": file.id, "endpoint": makers.ENDPOINT}
    answer = api.client.post("/v1/batches/validate", json=body)
    pieces: Iterator[bytes] = answer.iter_encoded()

    first = next(pieces) + next(pieces)
    path = context.files / file.path
    path.write_bytes(path.read_bytes())

    assert b"invalid_json_line" in first
    assert json.loads(first + b"".join(pieces))["lines"] == 49
    answer.close()


def test_a_quiet_stream_shows_that_it_lives(
    api: Api, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "BLANK_SECONDS", 0.0)
    file = inputs.add_input(context, b"".join(good(n) for n in range(9)))
    body = {"input_file_id": file.id, "endpoint": makers.ENDPOINT}

    answer = api.client.post("/v1/batches/validate", json=body)

    assert answer.data.count(b" ") >= 9
    assert json.loads(answer.data)["valid"]


def test_all_bad_lines_are_listed_however_many(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    """A batch of them lists the first thousand."""
    api, context = serve(database, redis_url, tmp_path, settings.Model("m", backend="fake"))

    found = validate(api, context, [b"x\n"] * 1500)

    assert told(found) == [(n, "batch", "invalid_json_line") for n in range(1, 1501)]
    assert (found["valid"], found["errors"]) == (False, 1500)


def test_messages_come_in_the_readers_language(api: Api, context: Context) -> None:
    file = inputs.add_input(context, b"{\n" + good(2, body_temperature=9))
    body = {"input_file_id": file.id, "endpoint": makers.ENDPOINT}
    texts = set()
    for language in ("en", "zh", "ja"):
        headers = {"Accept-Language": language}
        answer = api.client.post("/v1/batches/validate", json=body, headers=headers)
        texts.add(tuple(each["message"] for each in json.loads(answer.data)["data"]))

    assert len(texts) == 3


def test_a_file_that_is_not_there_or_not_for_batches_is_refused_at_once(
    api: Api, context: Context
) -> None:
    other = inputs.add_input(context, good(1), tenant_id=add_tenant(api.db))
    gone = inputs.add_input(context, good(1))
    (context.files / gone.path).unlink()

    for file_id, code in (
        ("file-nope", "file_not_found"),
        (other.id, "file_not_found"),
        (gone.id, "file_content_missing"),
    ):
        body = {"input_file_id": file_id, "endpoint": makers.ENDPOINT}
        answer = api.client.post("/v1/batches/validate", json=body)
        assert (answer.status_code, answer.json["error"]["code"]) == (404, code)


def add_tenant(db: Database) -> str:
    with db.write() as tx:
        tx.exec_driver_sql("INSERT INTO tenants (id, created_at) VALUES ('other', 0)")
    return "other"
