"""What sharing prefixes gains, and that it changes no token."""

from dataclasses import replace
from typing import Any

from bench import choices, rounds, workloads
from bench.shapes import Shape

_SHARE = 1 / 8  # of the workload: float32 is slow, and equality needs no long run


def check(shape: Shape, rows: dict[str, Any], programs: rounds.Programs) -> dict[str, Any]:
    """The gain as the ratio of the rows' tokens/s, and whether the greedy answers are the same
    with and without; in float32, because rounding in bfloat16 depends on what runs together."""
    part = workloads.sample(workloads.shared(), _SHARE)
    exact = replace(shape, dtype="float32")
    digests = set()
    for name in ("ours", "ours_unshared"):
        with programs.start(name, exact, choices.find(part.name, name)) as child:
            digests.add(rounds.run(child, part, 0).digest)
    gain = rows["ours"]["tokens_per_second"] / rows["ours_unshared"]["tokens_per_second"]
    found = {"gain": round(gain, 2), "rounds": len(rows["ours"]["seconds"])}
    found |= {"identical": len(digests) == 1}
    return found | {"compared_jobs": len(part.lengths), "compared_dtype": exact.dtype}
