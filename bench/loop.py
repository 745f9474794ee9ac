"""The child's side of a method: jobs from standard input, seconds to standard output.

A line in is a JSON list of [prompt ids, tokens of the answer]. The first line out is a JSON object
of versions; then each line in is answered by {"seconds", "tokens", "digest"}, or by {"error"}.
Runs in a peer's own environment too: standard library only.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

Pairs = Sequence[tuple[Sequence[int], int]]
Run = Callable[[Pairs], Sequence[Sequence[int]]]


def serve(start: Callable[[str, str, dict[str, Any]], Run], *packages: str) -> None:
    """Calls `start(model path, dtype, settings)` with the command line's arguments; then lets the
    Run it returns answer until standard input ends. A Run returns each job's new tokens."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to the log
    path, dtype, settings = sys.argv[1:4]
    run = start(path, dtype, json.loads(settings))
    print(json.dumps(_read_versions(packages)), file=channel)
    for line in sys.stdin:
        print(json.dumps(_time(run, json.loads(line))), file=channel)
    os._exit(0)  # whatever threads a peer leaves behind


def _time(run: Run, jobs: Pairs) -> dict[str, Any]:
    started = time.perf_counter()
    answers = [list(map(int, answer)) for answer in run(jobs)]
    seconds = time.perf_counter() - started
    wanted, got = [count for _, count in jobs], [len(answer) for answer in answers]
    if wanted != got:
        return {"error": f"answers of {got} tokens where {wanted} were asked for"}
    digest = hashlib.sha256(json.dumps(answers).encode()).hexdigest()
    return {"seconds": seconds, "tokens": sum(got), "digest": digest}


def _read_versions(packages: Sequence[str]) -> dict[str, str]:
    return {name: str(sys.modules[name].__version__) for name in packages}
