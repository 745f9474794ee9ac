"""What the README prints works as printed, with the shipped model."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import settings
from tests.acceptance import stack
from tests.acceptance.stack import Stack

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")


def find_blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack.running(tmp_path_factory.mktemp("readme"), {}) as running:
        running.wait_healthy()
        yield running
        assert running.interrupt() == 0


def run(program: str, service: Stack, folder: Path) -> str:
    program = program.replace("http://127.0.0.1:8080", service.url)
    program = program.replace(".venv/bin/autoglm", f"{sys.executable} -m app.cli")
    program = program.replace("examples/", f"{ROOT}/examples/")
    done = subprocess.run(
        ["bash", "-euc", program],
        cwd=folder,
        env=settings.child_environ(AUTOGLM_API_URL=service.url, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", READMES)
def test_the_curl_lines_submit_poll_and_read_the_session(
    name: str, service: Stack, tmp_path: Path
) -> None:
    lines = next(block for block in find_blocks(name, "sh") if "/v1/jobs/$J" in block)

    answers = [json.loads(line) for line in run(lines, service, tmp_path).splitlines() if line]

    job, turns = answers
    assert job["status"] == "succeeded"
    assert "def " in job["result"]["text"]
    assert job["provenance"]["weights_sha256"]
    assert [turn["answer"] for turn in turns["data"]] == [job["result"]["text"]]


@pytest.mark.parametrize("name", READMES)
def test_the_submit_line_writes_the_results_in_the_order_of_the_input(
    name: str, service: Stack, tmp_path: Path
) -> None:
    line = next(block for block in find_blocks(name, "sh") if "autoglm submit" in block)

    run(line, service, tmp_path)

    asked = (ROOT / "examples" / "batch.jsonl").read_text().splitlines()
    answered = (tmp_path / "results.jsonl").read_text().splitlines()
    ids = [json.loads(each)["custom_id"] for each in answered]
    assert ids == [json.loads(each)["custom_id"] for each in asked]
    assert all(json.loads(each)["response"]["status_code"] == 200 for each in answered)


def test_the_official_client_runs_the_python_lines(service: Stack, tmp_path: Path) -> None:
    (program,) = find_blocks("README.md", "python")
    (tmp_path / "program.py").write_text(
        program.replace("http://127.0.0.1:8080", service.url).replace(
            "examples/", f"{ROOT}/examples/"
        )
        + "\nimport time\nwhile client.batches.retrieve(batch.id).status != 'completed':"
        + "\n    time.sleep(0.1)"
        + "\nbatch = client.batches.retrieve(batch.id)"
        + "\nprint(client.files.content(batch.output_file_id).text)\n"
    )

    output = run(f"{sys.executable} program.py", service, tmp_path)

    lines = [json.loads(line) for line in output.splitlines() if line]
    assert len(lines) == 24
    assert all(line["response"]["body"]["object"] == "chat.completion" for line in lines)


def test_the_page_for_those_who_come_from_openai_runs_as_printed(
    service: Stack, tmp_path: Path
) -> None:
    blocks = find_blocks("docs/from-openai.md", "python")
    program = "\n".join(blocks).replace("http://127.0.0.1:8080", service.url)
    (tmp_path / "program.py").write_text(program)

    output = run(f"{sys.executable} program.py", service, tmp_path)

    assert len(blocks) >= 7
    assert "line-2 def " in output
