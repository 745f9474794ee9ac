"""The benchmark's report: what is kept of earlier runs, how it is marked, which ratios are shown."""

import json

import pytest

from bench import report, rounds

ROW = {
    "tokens_per_second": 100.0,
    "jobs_per_second": 1.0,
    "seconds": [1.0, 1.0, 1.0],
    "share": 1.0,
    "versions": {"torch": "2.0"},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "latest.json"


def _row(rate=100.0, **changes):
    return ROW | {"tokens_per_second": rate} | changes


def _report(**workloads):
    """A report of the run `new`."""
    return {"machine": {}, "versions": {"torch": "2.0"}, "run": "new", "workloads": workloads}


def test_a_part_is_merged_and_keeps_the_other_methods_with_the_run_that_made_them(path):
    first = report.start("one", is_whole=False, path=path)
    report.write(report.merge(first, "mixed", {"ours": ROW, "static": ROW}), path)

    second = report.start("two", is_whole=False, path=path)
    merged = report.merge(second, "mixed", {"ours": _row(20.0)})

    assert set(merged) == {"machine", "versions", "run", "workloads"}
    assert merged["run"] == "two"
    assert merged["workloads"] == {
        "mixed": {"ours": _row(20.0, run="two"), "static": ROW | {"run": "one"}}
    }


def test_a_whole_run_begins_with_nothing_of_an_earlier_one(path):
    first = report.merge(report.start("one", is_whole=True, path=path), "mixed", {"ours": ROW})
    report.write(report.add(first, {"pipeline": {"jobs": 1}}), path)

    second = report.start("two", is_whole=True, path=path)

    assert second == {
        "machine": report.describe_machine(),
        "versions": {},
        "workloads": {},
        "run": "two",
    }


def test_the_duration_of_an_earlier_run_is_not_that_of_the_next(path):
    first = report.start("one", is_whole=False, path=path) | {"total_seconds": 9.0}
    report.write(first, path)

    assert "total_seconds" not in report.start("two", is_whole=False, path=path)


def test_a_report_of_another_machine_is_not_continued(path):
    path.write_text(
        json.dumps({"machine": {"cores": 512}, "versions": {}, "workloads": {"mixed": {}}})
    )

    assert report.start("two", is_whole=False, path=path)["workloads"] == {}


def test_the_versions_are_those_of_this_run_and_of_its_peers(path):
    found = report.start("one", is_whole=True, path=path)

    merged = report.merge(found, "mixed", {"vllm": _row(versions={"vllm": "0", "torch": "1"})})

    assert merged["versions"] == report.read_versions() | {"vllm": "0"}


def test_the_table_shows_the_ratios_and_the_targets_of_one_run():
    rates = {"transformers_cb": 100.0, "ours": 250.0, "service": 240.0}
    rows = rounds.compare({name: _row(rate, run="new") for name, rate in rates.items()})

    lines = report.show(_report(mixed=rows)).splitlines()

    assert [line.split()[:5] for line in lines[1:4]] == [
        ["mixed", "transformers_cb", "100.0", "1.00", "0.40"],
        ["mixed", "ours", "250.0", "1.00", "1.00"],
        ["mixed", "service", "240.0", "1.00", "0.96"],
    ]
    assert lines[4:] == [
        "mixed: ours over transformers_cb 2.50 (target 2.0)",
        "mixed: service over ours 0.96 (target 0.95)",
    ]


def test_rows_of_two_runs_make_no_ratio_and_the_earlier_ones_are_marked():
    earlier = rounds.compare({"transformers_cb": _row(run="old", versions={"torch": "1.9"})})
    earlier |= rounds.compare({"vllm": _row(run="old"), "ours": _row(run="old")})
    later = rounds.compare({"ours": _row(200.0, run="new"), "service": _row(192.0, run="new")})

    shown = report.show(_report(mixed=earlier | later))

    by_method = {line.split()[1]: line for line in shown.splitlines()}
    assert by_method["transformers_cb"].endswith("(earlier run old torch 1.9)")
    assert by_method["vllm"].endswith("(earlier run old)")
    assert [by_method[name].split()[4] for name in ("transformers_cb", "vllm")] == ["-", "-"]
    assert "earlier" not in by_method["service"]
    assert "over transformers_cb" not in shown
    assert "over vllm" not in shown
    assert "mixed: service over ours 0.96 (target 0.95)" in shown


def test_a_ratio_within_an_earlier_run_is_marked_too():
    rates = {"transformers_cb": 100.0, "ours": 250.0}
    rows = rounds.compare({name: _row(rate, run="old") for name, rate in rates.items()})

    shown = report.show(_report(mixed=rows))

    assert "mixed: ours over transformers_cb 2.50 (target 2.0) (earlier run old)" in shown


def test_rows_from_before_runs_had_names_make_no_ratio():
    rows = rounds.compare({"transformers_cb": _row(100.0), "ours": _row(250.0)})

    shown = report.show(_report(mixed=rows))

    assert shown.count("(earlier run unknown)") == 2
    assert "over" not in shown


@pytest.mark.parametrize(("seconds", "count"), [([1.0], 1), ([1.0, 2.0], 2)])
def test_fewer_than_three_rounds_are_marked_in_the_table_and_with_the_targets(seconds, count):
    rates = {"transformers_cb": 100.0, "ours": 250.0}
    rows = {name: _row(rate, run="new", seconds=seconds) for name, rate in rates.items()}
    part = {"jobs_per_second": 9, "seconds": seconds, "run": "new"}
    sharing = {"gain": 3.0, "rounds": count, "run": "new"}

    found = _report(mixed=rounds.compare(rows)) | {"pipeline": part, "prefix_sharing": sharing}

    lines = report.show(found).splitlines()[1:]
    assert len(lines) == 5
    assert all(line.endswith(f"(only {count} of 3 rounds)") for line in lines)


def test_the_rest_is_shown_with_its_run_and_the_time_that_all_took():
    found = _report() | {
        "prefix_sharing": {"gain": 7.8, "rounds": 3, "run": "old"},
        "submit": {"p50_ms": 3.0, "run": "new"},
        "total_seconds": 1234.56,
    }

    assert report.show(found).splitlines()[1:] == [
        "prefix_sharing: {'gain': 7.8, 'rounds': 3} (earlier run old)",
        "submit: {'p50_ms': 3.0}",
        "this run took 1234.6 s in all",
    ]
