"""`autoglm submit` as a user runs it, against a server that misbehaves."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import terminals
from tests.integration.standin import Standin

pytestmark = pytest.mark.integration

COMMAND = [*terminals.CLI, "submit"]


@pytest.fixture
def server() -> Iterator[Standin]:
    standin = Standin()
    standin.start()
    yield standin
    standin.stop()


def write_input(path: Path, count: int, *, padding: int = 0) -> list[str]:
    ids = [f"line-{number}" for number in range(count)]
    with path.open("w") as out:
        for custom_id in ids:
            out.write(json.dumps(request(custom_id, padding)) + "\n")
    return ids


def request(custom_id: str, padding: int = 0) -> dict[str, Any]:
    messages = [{"role": "user", "content": "x" * padding or "hello"}]
    body = {"model": "demo", "messages": messages}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def start(server: Standin, path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, str(path), "--url", server.url, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=150)
    return process.returncode, out, err


def submit(server: Standin, path: Path, *options: str) -> tuple[int, str, str]:
    return finish(start(server, path, *options))


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What it says on standard error, up to the line with these words."""
    assert process.stderr is not None
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def read_ids(path: Path) -> list[str]:
    return [json.loads(line)["custom_id"] for line in path.read_text().splitlines()]


def left_files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class Gate:
    """Holds a step's answer back until it is released; then lets it pass or drops it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._release = threading.Event()

    def __call__(self) -> bool:
        self.reached.set()
        self._release.wait(150)
        return True

    def release(self) -> None:
        self._release.set()


def test_every_line_gets_one_result_in_input_order(server: Standin, tmp_path: Path) -> None:
    ids = write_input(tmp_path / "in.jsonl", 50)

    status, out, err = submit(server, tmp_path / "in.jsonl")

    assert status == 0, err
    assert read_ids(tmp_path / "in.results.jsonl") == ids
    assert "50 succeeded, 0 failed, 100 + 150 tokens" in out
    assert left_files(tmp_path) == {"in.jsonl", "in.results.jsonl"}


def test_shuffled_output_comes_back_in_input_order(server: Standin, tmp_path: Path) -> None:
    ids = write_input(tmp_path / "in.jsonl", 200)
    server.is_shuffled, server.failing = True, set(ids[::3])

    status, out, _ = submit(server, tmp_path / "in.jsonl", "-o", str(tmp_path / "out"), "--json")

    results = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [result["custom_id"] for result in results] == ids
    codes = [result["response"]["status_code"] for result in results]
    assert codes == [400 if number % 3 == 0 else 200 for number in range(200)]
    assert status == 1
    assert json.loads(out)["failed"] == 67


def test_a_line_without_result_gets_one_that_says_so(server: Standin, tmp_path: Path) -> None:
    ids = write_input(tmp_path / "in.jsonl", 5)
    server.unrendered, server.final_status = {ids[1]}, "expired"

    status, _, _ = submit(server, tmp_path / "in.jsonl")

    results = (tmp_path / "in.results.jsonl").read_text().splitlines()
    assert status == 1
    assert [json.loads(line)["custom_id"] for line in results] == ids
    assert json.loads(results[1])["error"]["code"] == "batch_expired"


@pytest.mark.parametrize("step", ["upload", "create", "poll", "download"])
def test_after_kill_9_at_any_step_no_line_runs_twice(
    server: Standin, tmp_path: Path, step: str
) -> None:
    ids = write_input(tmp_path / "in.jsonl", 20)
    gate = server.misbehave[step] = Gate()
    process = start(server, tmp_path / "in.jsonl")
    assert gate.reached.wait(150)

    process.send_signal(signal.SIGKILL)
    killed, _, _ = finish(process)
    left = left_files(tmp_path)
    gate.release()
    del server.misbehave[step]
    status, _, err = submit(server, tmp_path / "in.jsonl")

    assert killed == -signal.SIGKILL
    assert "in.results.jsonl.state.json" in left
    assert "in.results.jsonl" not in left
    assert status == 0, err
    assert read_ids(tmp_path / "in.results.jsonl") == ids
    assert len(server.batches) == 1
    assert set(server.executed.values()) == {1}
    assert left_files(tmp_path) == {"in.jsonl", "in.results.jsonl"}


def test_killed_over_and_over_it_still_submits_each_part_once(
    server: Standin, tmp_path: Path
) -> None:
    ids = write_input(tmp_path / "in.jsonl", 30)
    kills = 0
    for step in ["create", "upload", "create", "upload", "create", "poll", "download"]:
        gate = server.misbehave[step] = Gate()
        process = start(server, tmp_path / "in.jsonl", "--batch-lines", "10")
        assert gate.reached.wait(150), step
        process.kill()
        kills += finish(process)[0] == -signal.SIGKILL
        gate.release()
        del server.misbehave[step]

    status, _, err = submit(server, tmp_path / "in.jsonl", "--batch-lines", "10")

    assert kills == 7
    assert status == 0, err
    assert read_ids(tmp_path / "in.results.jsonl") == ids
    assert len(server.batches) == 3
    assert set(server.executed.values()) == {1}


def test_a_lost_answer_to_the_creation_makes_no_second_batch(
    server: Standin, tmp_path: Path
) -> None:
    ids = write_input(tmp_path / "in.jsonl", 20)
    answers = iter([False, False])
    server.misbehave["create"] = lambda: next(answers, True)

    status, _, err = submit(server, tmp_path / "in.jsonl")

    assert status == 0, err
    assert server.seen["create"] == 3
    assert len(server.batches) == 1
    assert read_ids(tmp_path / "in.results.jsonl") == ids


def test_the_same_file_submitted_again_after_its_end_is_a_new_batch(
    server: Standin, tmp_path: Path
) -> None:
    write_input(tmp_path / "in.jsonl", 3)

    statuses = [submit(server, tmp_path / "in.jsonl")[0] for _ in range(2)]

    assert statuses == [0, 0]
    assert len(server.batches) == 2


def test_a_restart_of_the_server_is_waited_out(server: Standin, tmp_path: Path) -> None:
    ids = write_input(tmp_path / "in.jsonl", 20)
    server.lines_per_poll = 5
    gate = server.misbehave["poll"] = Gate()
    process = start(server, tmp_path / "in.jsonl")
    assert gate.reached.wait(150)

    server.stop()
    server.misbehave["poll"] = lambda: False
    gate.release()
    told = read_until(process, f"Waiting for {server.url}")
    del server.misbehave["poll"]
    server.start()
    status, _, err = finish(process)

    assert status == 0, told + err
    assert len(server.batches) == 1
    assert read_ids(tmp_path / "in.results.jsonl") == ids


def test_ctrl_c_says_how_to_resume_and_exits_130(server: Standin, tmp_path: Path) -> None:
    ids = write_input(tmp_path / "in.jsonl", 20)
    gate = server.misbehave["poll"] = Gate()
    process = start(server, tmp_path / "in.jsonl")
    assert gate.reached.wait(150)

    process.send_signal(signal.SIGINT)
    status, out, err = finish(process)
    gate.release()
    del server.misbehave["poll"]
    resumed, _, resumed_err = submit(server, tmp_path / "in.jsonl")

    assert status == 130
    assert "run the same command again to resume" in err
    assert "Traceback" not in out + err
    assert resumed == 0
    assert "Going on with the submission" in resumed_err
    assert len(server.batches) == 1
    assert read_ids(tmp_path / "in.results.jsonl") == ids


def test_a_changed_input_is_refused_with_the_remedy(server: Standin, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    write_input(path, 20)
    interrupt(server, path)
    path.write_text(path.read_text().replace("line-3", "line-x"))

    status, _, err = submit(server, path)
    anew, _, _ = submit(server, path, "--no-resume")

    assert status == 2
    assert "was changed since its submission began" in err
    assert "--no-resume" in err
    assert anew == 0
    assert "line-x" in read_ids(tmp_path / "in.results.jsonl")


@pytest.mark.parametrize("content", ["", "{}\n", "not JSON\n" * 500])
def test_an_input_changed_while_it_is_followed_is_refused(
    server: Standin, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "in.jsonl"
    write_input(path, 20)
    original = path.read_text()
    gate = server.misbehave["poll"] = Gate()
    process = start(server, path)
    assert gate.reached.wait(150)

    path.write_text(content)
    gate.release()
    status, _, err = finish(process)
    path.write_text(original)
    resumed, _, _ = submit(server, path)

    assert status == 2
    assert "was changed since its submission began" in err
    assert "Traceback" not in err
    assert resumed == 0
    assert len(server.batches) == 1


def test_another_server_is_refused_on_resume(server: Standin, tmp_path: Path) -> None:
    write_input(tmp_path / "in.jsonl", 2)
    interrupt(server, tmp_path / "in.jsonl")
    first, server.port = server.url, 1

    status, _, err = submit(server, tmp_path / "in.jsonl")

    assert status == 2
    assert f"Go on with --url {first}" in err


def test_a_batch_the_server_lost_is_named_with_the_remedy(server: Standin, tmp_path: Path) -> None:
    write_input(tmp_path / "in.jsonl", 2)
    interrupt(server, tmp_path / "in.jsonl")
    server.batches.clear()

    status, _, err = submit(server, tmp_path / "in.jsonl")

    assert status == 1
    assert "does not know batch batch_0 any more" in err
    assert "--no-resume" in err


def interrupt(server: Standin, path: Path) -> None:
    gate = server.misbehave["poll"] = Gate()
    process = start(server, path)
    assert gate.reached.wait(150)
    process.kill()
    finish(process)
    gate.release()
    del server.misbehave["poll"]


def test_only_one_process_at_a_time_writes_the_same_results(
    server: Standin, tmp_path: Path
) -> None:
    write_input(tmp_path / "in.jsonl", 5)
    gate = server.misbehave["upload"] = Gate()
    process = start(server, tmp_path / "in.jsonl")
    assert gate.reached.wait(150)

    status, _, err = submit(server, tmp_path / "in.jsonl")
    gate.release()

    assert status == 2
    assert "Another process is writing" in err
    assert finish(process)[0] == 0
    assert len(server.batches) == 1


def test_errors_of_a_refused_batch_name_the_lines_of_the_file(
    server: Standin, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    lines = [json.dumps(request(f"line-{number}")) for number in range(4)]
    path.write_text("\n\n".join(lines))
    server.errors = [
        {"code": "model_not_found", "message": "No such model.", "line": 2, "param": "body.model"},
        {"code": "token_limit_exceeded", "message": "Too much.", "line": None, "param": None},
    ]

    status, _, err = submit(server, path)

    assert status == 2
    assert f"{path}:3: model_not_found: No such model." in err
    assert f"{path}: token_limit_exceeded: Too much." in err
    assert left_files(tmp_path) == {"in.jsonl"}


def test_a_refused_part_stops_the_other_parts(server: Standin, tmp_path: Path) -> None:
    write_input(tmp_path / "in.jsonl", 4)
    refuse = [{"code": "model_not_found", "message": "No.", "line": 1, "param": None}]
    server.lines_per_poll = 0
    advance = server._advance

    def refuse_second(batch: dict[str, Any]) -> None:
        server.errors = refuse if batch["id"] == "batch_1" else []
        advance(batch)

    server._advance = refuse_second  # type: ignore[method-assign]

    status, _, err = submit(server, tmp_path / "in.jsonl", "--batch-lines", "2")

    assert status == 2
    assert "in.jsonl:3: model_not_found" in err
    assert server.seen["cancel"] == 1


def test_a_file_over_the_limits_becomes_several_batches(server: Standin, tmp_path: Path) -> None:
    ids = write_input(tmp_path / "in.jsonl", 25, padding=200)
    server.is_shuffled, server.failing = True, {ids[3], ids[24]}

    status, out, _ = submit(server, tmp_path / "in.jsonl", "--batch-lines", "10")

    assert status == 1
    assert [len(batch["_lines"]) for batch in server.batches.values()] == [10, 10, 5]
    assert read_ids(tmp_path / "in.results.jsonl") == ids
    assert "23 succeeded, 2 failed" in out
    uploaded = [name for name in server.names.values() if name.startswith("in.")]
    assert uploaded == ["in.1-of-3.jsonl", "in.2-of-3.jsonl", "in.3-of-3.jsonl"]


def test_a_file_over_the_byte_limit_becomes_several_batches(
    server: Standin, tmp_path: Path
) -> None:
    ids = write_input(tmp_path / "in.jsonl", 12, padding=300)

    status, _, _ = submit(server, tmp_path / "in.jsonl", "--batch-bytes", "2048")

    sent = [
        content
        for name, content in zip(server.names.values(), server.files.values(), strict=True)
        if name.startswith("in.")
    ]
    assert status == 0
    assert len(sent) > 1
    assert max(map(len, sent)) <= 2048
    assert read_ids(tmp_path / "in.results.jsonl") == ids


def test_byte_order_mark_and_blank_lines_never_reach_the_server(
    server: Standin, tmp_path: Path
) -> None:
    lines = [json.dumps(request(f"line-{number}")) for number in range(3)]
    content = "\ufeff" + "\r\n  \r\n".join(lines)
    (tmp_path / "in.jsonl").write_bytes(content.encode())

    status, _, err = submit(server, tmp_path / "in.jsonl")

    assert status == 0, err
    assert server.files["file-0"].decode() == "".join(line + "\n" for line in lines)


def test_a_server_that_never_answers_ends_the_patience(server: Standin, tmp_path: Path) -> None:
    write_input(tmp_path / "in.jsonl", 2)
    server.stop()

    status, _, err = submit(server, tmp_path / "in.jsonl", "--timeout", "1")

    assert status == 1
    assert "could not be reached for 1 second (" in err
    assert (tmp_path / "in.results.jsonl.state.json").exists()


def test_a_refusal_shows_the_servers_message(server: Standin, tmp_path: Path) -> None:
    write_input(tmp_path / "in.jsonl", 2)
    server.refusals["upload"] = [(401, {})]
    server.refusals["create"] = [(400, {})]

    unauthorized, _, first = submit(server, tmp_path / "in.jsonl")
    bad, _, second = submit(server, tmp_path / "in.jsonl")

    assert (unauthorized, bad) == (1, 2)
    assert "HTTP 401): Refused on purpose." in first
    assert "HTTP 400): Refused on purpose." in second


def test_the_key_of_the_environment_is_sent(
    server: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_input(tmp_path / "in.jsonl", 1)
    monkeypatch.setenv("AUTOGLM_API_KEY", "sk-test")

    status, _, _ = submit(server, tmp_path / "in.jsonl", "--quiet")

    assert status == 0
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-test"}


def test_the_address_of_the_environment_is_used_and_the_language_is_sent(
    server: Standin, tmp_path: Path
) -> None:
    write_input(tmp_path / "in.jsonl", 1)
    environ = {**os.environ, "LC_ALL": "ja_JP.UTF-8", "AUTOGLM_API_URL": f"{server.url}/v1"}

    done = subprocess.run(
        [*COMMAND, str(tmp_path / "in.jsonl")], env=environ, capture_output=True, check=True
    )

    assert "成功 1 行" in done.stdout.decode()
    assert {headers["Accept-Language"] for headers in server.headers} == {"ja-JP"}


def test_a_terminal_sees_a_bar_with_counts(server: Standin, tmp_path: Path) -> None:
    write_input(tmp_path / "in.jsonl", 40)
    server.lines_per_poll = 10

    status, shown = terminals.show("submit", str(tmp_path / "in.jsonl"), "--url", server.url)

    assert status == 0
    assert "━" in shown
    assert "20/40" in shown
    assert "40/40" in shown
    assert "lines/s" in shown


def test_quiet_prints_nothing_on_success(server: Standin, tmp_path: Path) -> None:
    write_input(tmp_path / "in.jsonl", 2)

    assert submit(server, tmp_path / "in.jsonl", "--quiet") == (0, "", "")


def test_an_earlier_results_file_stays_until_the_new_one_is_whole(
    server: Standin, tmp_path: Path
) -> None:
    write_input(tmp_path / "in.jsonl", 2)
    (tmp_path / "in.results.jsonl").write_text("earlier")
    interrupt(server, tmp_path / "in.jsonl")

    assert (tmp_path / "in.results.jsonl").read_text() == "earlier"
    assert submit(server, tmp_path / "in.jsonl")[0] == 0
    assert len(read_ids(tmp_path / "in.results.jsonl")) == 2


def test_the_results_may_not_overwrite_the_input(server: Standin, tmp_path: Path) -> None:
    write_input(tmp_path / "in.jsonl", 2)

    status, _, err = submit(server, tmp_path / "in.jsonl", "-o", str(tmp_path / "in.jsonl"))

    assert status == 2
    assert "would overwrite the input file" in err


def test_results_that_cannot_be_written_fail_before_anything_is_sent(
    server: Standin, tmp_path: Path
) -> None:
    write_input(tmp_path / "in.jsonl", 2)

    status, _, err = submit(server, tmp_path / "in.jsonl", "-o", str(tmp_path / "no" / "out"))

    assert status == 1
    assert "No such file or directory" in err
    assert not server.seen


def test_memory_stays_flat_on_fifty_thousand_shuffled_lines(
    server: Standin, tmp_path: Path
) -> None:
    server.is_shuffled, server.lines_per_poll = True, 50_000
    write_input(tmp_path / "small.jsonl", 100)
    ids = write_input(tmp_path / "large.jsonl", 50_000, padding=1000)

    small = measure_peak(server, tmp_path / "small.jsonl")
    shuffled = measure_peak(server, tmp_path / "large.jsonl")
    server.is_shuffled = False
    in_order = measure_peak(server, tmp_path / "large.jsonl")

    assert (tmp_path / "large.jsonl").stat().st_size > 50_000_000
    assert read_ids(tmp_path / "large.results.jsonl") == ids
    assert shuffled - small < 24 * 1024 * 1024
    assert in_order - small < 16 * 1024 * 1024


def measure_peak(server: Standin, path: Path) -> int:
    """The most resident memory of one submission, in bytes, as the process itself knows it."""
    code = (
        "import pathlib; from app.cli import main\n"
        "try: main()\n"
        "finally: print(pathlib.Path('/proc/self/status').read_text())"
    )
    command = [sys.executable, "-c", code, "submit", str(path), "--url", server.url, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return next(int(line.split()[1]) * 1024 for line in done.stdout.splitlines() if "VmHWM" in line)
