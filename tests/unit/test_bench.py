"""The benchmark's own arithmetic: workloads, samples, choices, report."""

import itertools
import json
import statistics
from collections import Counter

import pytest

from bench import (
    children,
    choices,
    counts,
    loop,
    offline,
    realistic,
    rounds,
    service,
    workloads,
)


@pytest.mark.parametrize(
    ("name", "jobs", "prompts", "answers"),
    [
        ("mixed", 128, (4, 1000), (4, 256)),
        ("short", 400, (16, 63), (8, 32)),
        ("shared", 64, (408, 432), (16, 16)),
        ("long", 8, (4096, 4096), (64, 64)),
    ],
)
def test_a_workload_has_the_stated_jobs_and_lengths(name, jobs, prompts, answers):
    drawn = workloads.ALL[name]().draw(0)

    assert len(drawn) == jobs
    assert all(prompts[0] <= len(job.prompt) <= prompts[1] for job in drawn)
    assert all(answers[0] <= job.answer <= answers[1] for job in drawn)


def test_mixed_has_the_sums_that_its_docstring_states():
    drawn = workloads.mixed().draw(0)

    assert sum(len(job.prompt) for job in drawn) == 16862
    assert sum(job.answer for job in drawn) == workloads.mixed().num_tokens == 6758


@pytest.mark.parametrize("name", workloads.ALL)
def test_a_workload_is_the_same_each_time_and_other_letters_in_each_run(name):
    one, other = workloads.ALL[name](), workloads.ALL[name]()

    assert one.draw(1) == other.draw(1)
    pairs = list(zip(one.draw(1), one.draw(2), strict=True))
    assert all(first.prompt[:8] != second.prompt[:8] for first, second in pairs[:4])
    assert [len(first.prompt) for first, _ in pairs] == [len(second.prompt) for _, second in pairs]


def test_shared_prompts_have_exactly_their_first_400_tokens_in_common():
    prompts = [job.prompt for job in workloads.shared().draw(0)]

    assert len({prompt[:400] for prompt in prompts}) == 1
    assert len({prompt[:408] for prompt in prompts}) == 64


@pytest.mark.parametrize("share", [1 / 8, 1 / 4, 1 / 2])
def test_a_sample_keeps_the_distribution_of_lengths(share):
    whole = workloads.mixed()

    part = workloads.sample(whole, share)

    assert len(part.lengths) == 128 * share
    for which in ("prompt", "answer"):
        mean = statistics.mean(getattr(each, which) for each in whole.lengths)
        sampled = statistics.mean(getattr(each, which) for each in part.lengths)
        assert sampled == pytest.approx(mean, rel=0.25)
    ranked = sorted(each.prompt + each.answer for each in whole.lengths)
    size = round(1 / share)
    strata = [ranked[low : low + size] for low in range(0, 128, size)]
    got = sorted(each.prompt + each.answer for each in part.lengths)
    assert all(low[0] <= total <= low[-1] for low, total in zip(strata, got, strict=True))


def test_a_sample_is_the_same_each_time_and_draws_the_prompts_of_the_whole():
    whole = workloads.shared()

    part = workloads.sample(whole, 1 / 4)

    assert part == workloads.sample(workloads.shared(), 1 / 4)
    assert [each.number for each in part.lengths] == sorted(each.number for each in part.lengths)
    assert set(part.draw(2)) <= set(whole.draw(2))


def test_the_service_is_sent_the_same_prompts_as_text():
    job = workloads.mixed().draw(0)[0]

    body = service.make_body(job)

    assert tuple(body["prompt"].encode()) == job.prompt
    assert body["max_tokens"] == job.answer
    assert body["ignore_eos"]
    assert body["temperature"] == 0


@pytest.mark.parametrize("name", ["mixed", "short", "shared", "long"])
def test_every_peer_has_at_least_four_different_settings_with_scores_of_which_the_best_is_chosen(
    name,
):
    peers = choices.read()[name]

    assert set(peers) == {"generate", "static", "transformers_cb", "vllm"}
    for entry in peers.values():
        candidates = [json.dumps(each["settings"]) for each in entry["candidates"]]
        assert len(set(candidates)) == len(candidates) >= 4
        scores = [each["tokens_per_second"] for each in entry["candidates"]]
        assert all(isinstance(score, float) and score > 0 for score in scores)
        assert entry["chosen"] == scores.index(max(scores))


def test_settings_are_committed_for_the_four_workloads():
    assert set(choices.read()) == set(workloads.ALL) == {"mixed", "short", "shared", "long"}


def test_tuning_stores_scores_and_chooses_the_best_that_ran(tmp_path, monkeypatch):
    path = tmp_path / "settings.json"
    path.write_text(choices.PATH.read_text())
    monkeypatch.setattr(choices, "PATH", path)
    scores = [None, 3.0, 7500.0, 1.0]

    for number, score in enumerate(scores):
        choices.store("mixed", "static", number, score)

    entry = choices.read()["mixed"]["static"]
    assert entry["chosen"] == 2
    assert [each["tokens_per_second"] for each in entry["candidates"]][:4] == scores
    assert choices.find("mixed", "static") == entry["candidates"][2]["settings"]


def test_the_committed_settings_are_spelled_as_tuning_writes_them():
    assert choices.PATH.read_text() == choices.spell(choices.read())


def test_rates_are_those_of_the_median_run():
    row = rounds.summarize(workloads.long(), [4.0, 2.0, 9.0])

    assert row == {"tokens_per_second": 128.0, "jobs_per_second": 2.0, "seconds": [4.0, 2.0, 9.0]}


class Short:
    def __init__(self):
        self.versions = {}

    def run(self, jobs):
        return children.Answer(1.0, sum(job.answer for job in jobs) - 1)


def test_a_run_with_a_token_too_few_is_refused():
    with pytest.raises(RuntimeError, match="512 were asked for"):
        rounds.run(Short(), workloads.long(), 0)


def test_a_child_refuses_answers_of_other_lengths_than_asked_for():
    jobs = [([1, 2], 3), ([4], 2)]

    right = loop._time(lambda _: [[7, 8, 9], [7, 8]], jobs)
    wrong = loop._time(lambda _: [[7, 8], [7, 8, 9]], jobs)

    assert right["tokens"] == 5
    assert "error" in wrong


def test_a_realistic_file_repeats_a_tenth_of_its_lines_word_for_word():
    lines = realistic.make(200)

    copies = [line for line in lines if line.copy_of is not None]
    assert len(lines) == 200
    assert len(copies) == 20
    for line in copies:
        original = lines[line.copy_of or 0]
        assert (line.prompt, line.answer, None) == (
            original.prompt,
            original.answer,
            original.copy_of,
        )
    assert len({line.prompt for line in lines}) == 180
    assert lines == realistic.make(200)


def test_lines_of_a_task_share_instructions_and_are_scattered_over_the_file():
    lines = realistic.make(200)

    for name in {line.task for line in lines}:
        starts = {line.prompt[:150] for line in lines if line.task == name}
        assert len(starts) == 1
    changes = sum(one.task != other.task for one, other in itertools.pairwise(lines))
    assert changes > 100


def test_a_realistic_file_is_a_batch_file():
    lines = realistic.make(10)

    records = [json.loads(line) for line in realistic.spell(lines, "m").splitlines()]

    assert len({record["custom_id"] for record in records}) == 10
    assert records[0]["body"]["prompt"] == lines[0].prompt


def test_offline_variants_keep_all_lines_and_leave_out_copies_only():
    lines = realistic.make(100)

    jobs = {variant.name: offline.order(lines, variant) for variant in offline.VARIANTS}

    plain = jobs["file order, nothing shared"]
    assert [bytes(job.prompt).decode() for job in plain] == [line.prompt for line in lines]
    assert Counter(jobs["lines that begin alike together"]) == Counter(plain)
    assert len(jobs["identical lines once"]) == len(jobs["all"]) == 90
    assert set(jobs["all"]) == set(plain)


def test_each_idea_saves_what_it_is_for():
    lines = realistic.make(300, tasks=60)

    found = counts.measure(lines, cache_tokens=16_000)

    plain, shared, mixed, ordered, once, whole = found.values()
    assert plain["computed"] >= plain["prompt_tokens"]
    assert ordered["computed"] < 0.6 * shared["computed"] < 0.6 * plain["computed"]
    assert ordered["steps"] < 0.7 * shared["steps"]
    assert once["computed"] < shared["computed"]
    assert once["steps"] < 0.95 * shared["steps"]
    assert mixed["steps"] < 0.95 * shared["steps"]
    assert whole["computed"] < 0.6 * shared["computed"]
    assert whole["steps"] < 0.6 * shared["steps"]
    assert whole["steps"] < min(each["steps"] for each in (mixed, ordered, once))
