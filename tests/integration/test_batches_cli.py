"""`autoglm batches` and `submit --check --server` against the whole service: API, control, worker."""

import dataclasses
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from app import cli, settings
from app.cli import client
from app.cli.batches import follow, tables
from app.cli.submit import progress
from app.models.database import Database
from app.stack import ports
from tests.integration import terminals
from tests.integration.standin import Standin
from tests.integration.workplace import MODEL, Program, Workplace, fake_model, opened, wait_for

pytestmark = pytest.mark.integration

Run = Callable[..., Result]
START_SECONDS = 180.0


class Service:
    """The processes of one service; its API can be killed and started again."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        self.port = ports.find_free()
        self.url = f"http://127.0.0.1:{self.port}"
        server = settings.Server(port=self.port)
        place.settings = dataclasses.replace(place.settings, server=server)
        self.api = self.start_api()
        place.start_worker()
        wait_for(self.is_ready, "a ready worker", START_SECONDS)
        place.start_control()

    def start_api(self) -> Program:
        program = self.place.start("api")
        wait_for(self.is_up, "the API", START_SECONDS)
        return program

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/live", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def is_ready(self) -> bool:
        row = self.place.row()
        return row is not None and row.state == "ready"

    def restart_api(self, pause: float) -> None:
        """SIGKILL, nothing for a while, then a new one."""
        self.api.process.send_signal(signal.SIGKILL)
        self.api.process.wait()
        self.api.end()
        time.sleep(pause)
        self.api = self.start_api()


@pytest.fixture(scope="module")
def service(
    module_database: Database, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("batches")
    models = (fake_model(slots=2, step_seconds=0.01, tokens_per_job=8),)
    url = f"{redis_server}?virtual_host=9"
    with opened(module_database, url, folder, models=models) as place:
        yield Service(place)


@pytest.fixture
def run(service: Service, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("AUTOGLM_API_URL", service.url)
    monkeypatch.setenv("LANG", "en_US.UTF-8")

    def call(*arguments: str, status: int = 0) -> Result:
        done = CliRunner().invoke(cli.main, list(arguments))
        assert done.exit_code == status, (done.output, done.stderr, done.exception)
        return done

    return call


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., str]:
    def write(number: int, *, bad: tuple[int, ...] = (), name: str = "in.jsonl") -> str:
        lines = [
            {
                "custom_id": f"c{n}",
                "method": "POST",
                "url": "/v1/completions",
                "body": {
                    "model": MODEL,
                    "prompt": f"[[error]] {n}" if n in bad else f"line {n}",
                    "max_tokens": 8,
                    "ignore_eos": True,
                },
            }
            for n in range(1, number + 1)
        ]
        path = tmp_path / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return str(path)

    return write


def read_json(done: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def follow_events(url: str, batch_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(event, id, data) of the stream up to its `batch` event, connecting again after each break."""
    seen: list[tuple[str, str, dict[str, Any]]] = []
    while not seen or seen[-1][0] != "batch":
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": seen[-1][1]} if seen else {})
        try:
            with httpx.stream(
                "GET", f"{url}/v1/batches/{batch_id}/results", headers=headers, timeout=30
            ) as answer:
                seen += read_events(answer.iter_lines())
        except httpx.TransportError:
            time.sleep(0.1)
    return seen


def read_events(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    fields: dict[str, str] = {}
    for line in lines:
        if not line and "data" in fields:
            yield fields["event"], fields["id"], json.loads(fields["data"])
        name, _, value = line.partition(": ")
        fields = {**fields, name: value} if line else {}


def test_whoever_follows_a_batch_survives_a_restart_of_the_server(
    service: Service, run: Run, make: Callable[..., str], tmp_path: Path
) -> None:
    """`results`, `watch` and the stream of events at once: nobody misses a line or sees one twice."""
    batch = read_json(run("batches", "create", make(150), "--json"))
    out = tmp_path / "results.jsonl"
    with client.Client(service.url) as api, ThreadPoolExecutor() as pool:
        killing = pool.submit(service.restart_api, 0.3)
        watching = pool.submit(follow.watch, api, progress.Silent(), batch["id"])
        streaming = pool.submit(follow_events, service.url, batch["id"])
        run("batches", "results", batch["id"], "-o", str(out))
        killing.result()

    assert watching.result()["request_counts"]["completed"] == 150
    streamed = [data["line"] for event, _, data in streaming.result() if event == "line"]
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(streamed) == sorted(line["line"] for line in written) == list(range(1, 151))
    assert {line["response"]["status_code"] for line in written} == {200}
    out.write_bytes(out.read_bytes()[:-20])  # as if the machine had died while it wrote
    run("batches", "results", batch["id"], "-o", str(out))
    again = [json.loads(line)["line"] for line in out.read_text().splitlines()]
    assert sorted(again) == list(range(1, 151))


def test_whoever_watches_at_a_terminal_sees_a_bar_and_the_news_once() -> None:
    """Of a server that ends ten of forty lines between two looks, and is too slow for the window."""
    server = Standin(lines_per_poll=10)
    server.start()
    lines = "".join(json.dumps({"custom_id": f"c{n}"}) + "\n" for n in range(40)).encode()
    file = server.upload("in.jsonl", lines)
    asked = {"input_file_id": file["id"], "endpoint": "/v1/completions"}
    _, batch = server.create(json.dumps(asked).encode(), None)
    server.batches[batch["id"]] |= {"at_risk": True, "expires_at": 0}

    status, shown = terminals.show("batches", "watch", batch["id"], "--url", server.url)
    server.stop()

    assert status == 0
    assert "━" in shown
    assert "20/40" in shown
    assert "40/40" in shown
    told = [shown.count(text) for text in ("in_progress.", "completed.", "before its window")]
    assert told == [1, 1, 1]


_OTHERS = {"id": "batch_req_1", "custom_id": "a", "response": None, "error": None, "line": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"my notes",
        b"my notes\n",
        b'{"cursor":"nowhere"}\n',
        b"[1]\n",
        json.dumps(_OTHERS | {"cursor": "1-1"}).encode() + b"\n",
        b'{"id":"batch_re',
    ],
)
def test_results_are_not_added_to_another_file(
    run: Run, make: Callable[..., str], tmp_path: Path, content: bytes
) -> None:
    batch = read_json(run("batches", "create", make(1), "--watch", "--json"))
    out = tmp_path / "out"
    out.write_bytes(content)

    told = run("batches", "results", batch["id"], "-o", str(out), status=2)

    assert str(out) in told.stderr
    assert out.read_bytes() == content


def test_a_first_result_that_was_cut_off_is_written_anew(
    run: Run, make: Callable[..., str], tmp_path: Path
) -> None:
    batch = read_json(run("batches", "create", make(2), "--watch", "--json"))
    out = tmp_path / "out"
    out.write_bytes(b'{"id":"batch_req_1","cust')

    run("batches", "results", batch["id"], "-o", str(out))

    assert [json.loads(line)["line"] for line in out.read_bytes().splitlines()] == [1, 2]


def test_results_of_two_batches_do_not_meet_in_a_file(
    run: Run, make: Callable[..., str], tmp_path: Path
) -> None:
    one, two = (
        read_json(run("batches", "create", make(number), "--watch", "--json")) for number in (3, 5)
    )
    out = tmp_path / "out"
    run("batches", "results", one["id"], "-o", str(out))
    before = out.read_bytes()

    told = run("batches", "results", two["id"], "-o", str(out), status=2)

    assert two["id"] in told.stderr
    assert out.read_bytes() == before
    out.write_bytes(before + b"my notes")
    run("batches", "results", one["id"], "-o", str(out), status=2)
    assert out.read_bytes() == before + b"my notes"


def test_results_without_following_are_those_that_are_there(
    run: Run, make: Callable[..., str]
) -> None:
    batch = read_json(run("batches", "create", make(3), "--watch", "--json"))

    lines = [
        json.loads(line)
        for line in run("batches", "results", batch["id"], "--no-follow").stdout.splitlines()
    ]

    assert [line["custom_id"] for line in lines] == ["c1", "c2", "c3"]
    rest = run("batches", "results", batch["id"], "--after", lines[0]["cursor"], "--no-follow")
    assert len(rest.stdout.splitlines()) == 2


def test_lines_that_failed_are_retried_in_a_batch_of_their_own(
    run: Run, make: Callable[..., str]
) -> None:
    batch = read_json(run("batches", "create", make(5, bad=(2, 4)), "--watch", "--json", status=1))
    assert batch["request_counts"] == {"total": 5, "completed": 3, "failed": 2}

    again = read_json(run("batches", "retry", batch["id"], "--watch", "--json", status=1))
    shown = run("batches", "show", batch["id"]).stdout

    assert again["retried_from"] == batch["id"]
    assert again["request_counts"] == {"total": 2, "completed": 0, "failed": 2}
    assert again["id"] in shown
    odd = run("batches", "line", batch["id"], "/c/..", status=1).stderr
    assert "has no line '/c/..'" in " ".join(odd.split())
    line = run("batches", "line", batch["id"], "c2").stdout
    assert "failed (engine_failed)" in line
    assert "here/cpu:0" in line


def test_a_batch_is_paused_explained_listed_and_resumed(run: Run, make: Callable[..., str]) -> None:
    batch = read_json(run("batches", "create", make(120), "--json"))

    assert read_json(run("batches", "pause", batch["id"], "--json"))["paused"]
    paused = run("batches", "explain", batch["id"]).stdout
    listed = run("batches", "list", "--status", "paused").stdout
    assert "paused" in paused
    assert "autoglm batches resume" in " ".join(paused.split())
    assert batch["id"] in listed
    before = wait_still(run, batch["id"])
    assert 0 <= before < 120
    run("batches", "resume", batch["id"])
    assert read_json(run("batches", "watch", batch["id"], "--json"))["status"] == "completed"
    assert batch["id"] not in run("batches", "list", "--status", "paused").stdout


def wait_still(run: Run, batch_id: str) -> int:
    """How many lines have ended once none ends any more."""
    last = -1
    for _ in range(40):
        counts = read_json(run("batches", "show", batch_id, "--json"))["request_counts"]
        if counts["completed"] == last:
            return last
        last = counts["completed"]
        time.sleep(0.3)
    raise AssertionError("a paused batch goes on")


def test_a_batch_is_cancelled_and_listed_as_json(run: Run, make: Callable[..., str]) -> None:
    batch = read_json(run("batches", "create", make(300), "--json"))

    run("batches", "cancel", batch["id"])
    ended = read_json(run("batches", "watch", batch["id"], "--json", status=1))
    listed = [json.loads(line) for line in run("batches", "list", "--json").stdout.splitlines()]

    assert ended["status"] == "cancelled"
    assert listed[0]["id"] == batch["id"]


@pytest.mark.parametrize(
    "verb", ["show", "watch", "results", "retry", "pause", "cancel", "explain"]
)
def test_an_unknown_batch_is_said_to_be_unknown(run: Run, verb: str) -> None:
    done = run("batches", verb, "batch_nope", status=1)

    assert "batch_nope" in done.stderr


def test_an_error_is_json_where_json_is_asked_for(run: Run, make: Callable[..., str]) -> None:
    unknown = json.loads(run("batches", "pause", "batch_nope", "--json", status=1).stderr)["error"]
    pair = run("batches", "create", make(1), "--metadata", "run", "--json", status=2)

    assert (unknown["code"], unknown["status"]) == ("server_refused", 404)
    assert unknown["server_code"] == "batch_not_found"
    assert "batch_nope" in unknown["message"]
    assert json.loads(pair.stderr)["error"]["code"] == "metadata_pair"
    assert (pair.stdout, pair.stderr.count("\n")) == ("", 1)


def test_a_batch_is_made_with_what_the_command_line_says(
    run: Run, make: Callable[..., str]
) -> None:
    named = ("--metadata", "run=7", "--metadata", "note=a=b", "--output-expires-after", "3600")
    batch = read_json(run("batches", "create", make(1), *named, "--watch", "--json"))
    output = httpx.get(f"{os.environ['AUTOGLM_API_URL']}/v1/files/{batch['output_file_id']}").json()
    hooked = ("--webhook", "https://hooks.test/", "--json")
    refused = json.loads(run("batches", "create", make(1), *hooked, status=2).stderr)
    shown = run("batches", "show", batch["id"]).stdout

    assert batch["metadata"] == {"run": "7", "note": "a=b"}
    assert output["expires_at"] == output["created_at"] + 3600
    assert refused["error"]["server_code"] == "webhooks_not_configured"
    ended = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(batch["completed_at"]))
    assert re.search(rf"done at +{ended}", shown)


def test_a_refused_file_is_shown_with_its_lines(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"custom_id": "a"}\n')

    done = run("batches", "create", str(path), "--watch", status=1)

    assert "missing_required_parameter" in done.stdout


def test_the_server_checks_a_file_and_queues_nothing(
    service: Service, run: Run, make: Callable[..., str], tmp_path: Path
) -> None:
    before = len(run("batches", "list", "--json", "--limit", "99").stdout.splitlines())
    path = Path(make(4))
    lines = path.read_text().splitlines()
    broken = json.loads(lines[1])
    broken["body"]["temperature"] = 9
    same = json.loads(lines[0]) | {"custom_id": "again"}
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text("\n\n".join([lines[0], json.dumps(broken), lines[2], json.dumps(same)]))

    fine = run("submit", str(path), "--check", "--server", service.url)
    bad = run("submit", str(mixed), "--check", "--server", service.url, status=2)
    as_json = run("submit", str(mixed), "--check", "--server", service.url, "--json", status=2)

    assert "4" in fine.stdout
    assert f"{mixed}:3: out_of_range:" in bad.stderr
    assert f"{mixed}:7: warning: identical_request:" in bad.stderr
    findings = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert [(f["line"], f["code"]) for f in findings[:2]] == [
        (3, "out_of_range"),
        (7, "identical_request"),
    ]
    assert findings[2]["prompt_tokens"] > 0
    after = len(run("batches", "list", "--json", "--limit", "99").stdout.splitlines())
    assert after == before
    files = httpx.get(f"{service.url}/v1/files").json()["data"]
    assert not [file for file in files if file["filename"].startswith("check-")]


def test_a_table_shows_no_control_characters() -> None:
    assert tables._plain("a\x1b[31mb\nc") == "a?[31mb?c"
