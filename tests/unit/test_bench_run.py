"""What `make bench` runs: which methods, in which order, and what is written of them."""

import contextlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import children, choices, report, rounds, shapes, workloads

PEER = ["--peer", "vllm", "--peer-python", "/peer/python"]
METHODS = {
    "mixed": ["generate", "static", "transformers_cb", "ours", "service", "vllm"],
    "short": ["generate", "static", "transformers_cb", "ours", "vllm"],
    "shared": ["generate", "static", "transformers_cb", "ours", "ours_unshared", "vllm"],
    "long": ["generate", "static", "transformers_cb", "ours", "vllm"],
}
KEYS = {
    "tokens_per_second",
    "jobs_per_second",
    "seconds",
    "share",
    "settings",
    "measured_at",
    "model",
    "to_ours",
    "run",
    "versions",
}
CHILD = f"""#!{sys.executable} -SE
import json, sys
print(json.dumps({{"arguments": " ".join(sys.argv[1:])}}), flush=True)
for line in sys.stdin:
    jobs = json.loads(line)
    if not jobs:
        break
    tokens = sum(length for _, length in jobs)
    wrong = {{"error": "one token too few"}}
    right = {{"seconds": 2.0, "tokens": tokens, "digest": "d"}}
    print(json.dumps(right if tokens < 100 else wrong), flush=True)
"""


@dataclass
class Stage:
    """Starts methods that answer at once; notes who was started with what, and who ran."""

    seconds: list[float] = field(default_factory=lambda: [4.0, 2.0, 9.0])
    started: list[tuple[object, ...]] = field(default_factory=list)
    ran: list[tuple[str, int]] = field(default_factory=list)
    live: set[str] = field(default_factory=set)

    @property
    def programs(self):
        return rounds.Programs(self.start, self.serve, self.measure_pipeline)

    @contextlib.contextmanager
    def start(self, name, shape, options, *, python=None):
        self.started.append((name, shape.dtype, options, python))
        self.live.add(name)
        yield Fake(self, name)
        self.live.remove(name)

    def serve(self, shape, workload):
        return Fake(self, "service")

    def measure_pipeline(self, folder, *, jobs, workers, runs):
        assert not self.live
        return {"pipeline": {"jobs": jobs, "seconds": [1.0] * runs}, "submit": {"posts": 500}}


class Fake:
    """A method whose n-th run takes the n-th of the stage's seconds, its warming up aside."""

    def __init__(self, stage, name):
        self._stage, self._name = stage, name
        self._turns = iter([None, *stage.seconds] if name != "service" else stage.seconds)
        self.versions = {"vllm": "0.32"} if name == "vllm" else {}

    def run(self, jobs):
        seconds = next(self._turns, -1.0)
        if seconds == -1.0:
            raise RuntimeError("it has died")
        if seconds is not None:
            self._stage.ran.append((self._name, len(jobs)))
        return children.Answer(seconds or 0.0, sum(job.answer for job in jobs), "digest")


@pytest.fixture
def stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("glm-100M", "llama-100M", "llama-tiny", "glm-tiny"):
        key = Path("var/bench/models") / name / "public.key"
        key.parent.mkdir(parents=True)
        key.write_text("key")
    return Stage()


def _read():
    return json.loads(report.PATH.read_text())


def test_a_whole_run_measures_every_method_of_every_workload(stage):
    bench.main(PEER, stage.programs)

    found = _read()
    assert {name: list(rows) for name, rows in found["workloads"].items()} == METHODS
    assert set(found) == {
        *("machine", "versions", "run", "workloads", "prefix_sharing"),
        *("pipeline", "submit", "total_seconds"),
    }
    rows = [row for methods in found["workloads"].values() for row in methods.values()]
    assert all(set(row) == KEYS for row in rows)
    assert {row["run"] for row in rows} == {found["run"]}
    assert found["versions"] == report.read_versions() | {"vllm": "0.32"}
    assert found["total_seconds"] >= 0


def test_without_a_peer_every_method_but_its_own_is_measured(stage):
    bench.main([], stage.programs)

    assert {name: list(rows) for name, rows in _read()["workloads"].items()} == {
        name: methods[:-1] for name, methods in METHODS.items()
    }


def test_every_method_runs_once_a_round_on_its_share_of_the_jobs(stage):
    bench.main(["--only", "mixed", *PEER], stage.programs)

    jobs = [8, 32, 64, 128, 128, 128]
    assert stage.ran == [*zip(METHODS["mixed"], jobs, strict=True)] * 3


def test_methods_are_started_with_their_chosen_settings_and_ended(stage):
    bench.main(["--only", "short", *PEER], stage.programs)

    assert stage.started == [
        *(
            (name, "float32", choices.find("short", name), None)
            for name in ("generate", "static", "transformers_cb")
        ),
        ("ours", "float32", {"threads": 1}, None),
        ("vllm", "float32", choices.find("short", "vllm"), "/peer/python"),
    ]
    assert not stage.live


def test_a_row_has_the_rates_of_the_median_round(stage):
    bench.main(["--only", "long"], stage.programs)

    rows = _read()["workloads"]["long"]
    assert {name: row["seconds"] for name, row in rows.items()} == {
        name: [4.0, 2.0, 9.0] for name in METHODS["long"][:-1]
    }
    ours, static = rows["ours"], rows["static"]
    assert (ours["tokens_per_second"], ours["jobs_per_second"]) == (8 * 64 / 4.0, 2.0)
    assert (static["tokens_per_second"], static["jobs_per_second"]) == (2 * 64 / 4.0, 0.5)
    assert (static["share"], static["to_ours"], static["model"]) == (0.25, 0.25, "llama-100M")


def test_sharing_is_compared_in_float32_and_its_gain_is_that_of_the_rows(stage):
    bench.main(["--only", "shared"], stage.programs)

    assert [each[:3] for each in stage.started[-2:]] == [
        ("ours", "float32", {}),
        ("ours_unshared", "float32", {"share_prefixes": False}),
    ]
    found = _read()
    assert found["prefix_sharing"] == {
        "gain": 1.0,
        "rounds": 3,
        "identical": True,
        "compared_jobs": 8,
        "compared_dtype": "float32",
        "run": found["run"],
    }


def _store_earlier():
    earlier = report.start("earlier", is_whole=True)
    row = {"tokens_per_second": 1.0, "jobs_per_second": 1.0, "seconds": [1.0] * 3, "versions": {}}
    for name in ("mixed", "mixed_llama"):
        earlier = report.merge(earlier, name, {"ours": row, "vllm": row})
    report.write(earlier)


def test_a_whole_run_leaves_no_row_of_an_earlier_one(stage):
    _store_earlier()

    bench.main([], stage.programs)

    workloads_found = _read()["workloads"]
    assert set(workloads_found) == set(METHODS)
    assert "vllm" not in workloads_found["mixed"]


@pytest.mark.parametrize("partial", [["--only", "mixed,short"], ["--methods", "ours"]])
def test_a_part_keeps_the_rows_of_an_earlier_run_and_marks_them(stage, partial, capsys):
    _store_earlier()

    bench.main(partial, stage.programs)

    mixed = _read()["workloads"]["mixed"]
    assert mixed["vllm"]["run"] == "earlier"
    assert mixed["ours"]["run"] != "earlier"
    lines = capsys.readouterr().out.splitlines()
    marked = [line for line in lines if "earlier run earlier" in line]
    assert [line.split()[:2] for line in marked] == [
        ["mixed", "vllm"],
        ["mixed_llama", "ours"],
        ["mixed_llama", "vllm"],
    ]


def test_another_shape_is_a_workload_of_its_own_name(stage):
    bench.main(["--only", "mixed", "--methods", "ours", "--shape", "llama"], stage.programs)

    assert list(_read()["workloads"]) == ["mixed_llama"]


def test_a_run_that_breaks_off_keeps_its_rounds_and_has_no_duration(stage):
    stage.seconds = [4.0, 2.0]

    with pytest.raises(RuntimeError, match="it has died"):
        bench.main(["--only", "long", "--methods", "ours"], stage.programs)

    found = _read()
    assert found["workloads"]["long"]["ours"]["seconds"] == [4.0, 2.0]
    assert "total_seconds" not in found


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Stands for a Python interpreter that runs a method."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "python"
    path.write_text(CHILD)
    path.chmod(0o755)
    return str(path)


SHAPE = shapes.Shape(Path("model"), "float32", "key")


def test_a_child_is_started_as_its_module_with_model_dtype_and_settings(program):
    with children.start("static", SHAPE, {"batch": 8}, python=program) as child:
        arguments = child.versions["arguments"]

    assert arguments.split(" ", 4) == [
        *("-m", "bench.methods.static", "model", "float32", '{"batch": 8}')
    ]


def test_a_child_answers_what_its_process_took(program):
    jobs = [workloads.Job((1, 2), 3), workloads.Job((4,), 2)]

    with children.start("ours", SHAPE, {}, python=program) as child:
        answers = [child.run(jobs), child.run(jobs[:1])]

    assert answers == [children.Answer(2.0, 5, "d"), children.Answer(2.0, 3, "d")]


def test_a_child_that_answers_an_error_or_dies_is_named(program):
    with children.start("vllm", SHAPE, {}, python=program) as child:
        with pytest.raises(RuntimeError, match="one token too few"):
            child.run([workloads.Job((1,), 100)])
        with pytest.raises(RuntimeError, match=r"died: see var/bench/logs/vllm\.log"):
            child.run([])


def test_every_method_but_the_service_has_a_module():
    methods = {name for names in METHODS.values() for name in names}

    assert set(children.MODULES) == methods - {"service"}
