"""The bare engine in a process of its own: reads jobs from standard input, answers with seconds.

A line in is a JSON list of [prompt ids, max_tokens]; a line out is {"seconds", "tokens"}.
"""

import json
import sys
import time
from typing import Any

from app.inference import engine, local
from app.settings import schema
from bench.engine import drive


def main() -> None:
    model = schema.Model(name="bench", path=sys.argv[1])
    ours = local.build(model, device="cpu")
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_run(ours, json.loads(line))), flush=True)


def _run(ours: engine.Engine, jobs: list[Any]) -> dict[str, float]:
    requests = [
        engine.Request(
            id=str(number),
            prompt=tuple(ids),
            sampling=engine.Sampling(max_tokens=length, temperature=0.0, ignore_eos=True),
        )
        for number, (ids, length) in enumerate(jobs)
    ]
    started = time.perf_counter()
    tokens = drive(ours, requests)
    return {"seconds": time.perf_counter() - started, "tokens": tokens}


if __name__ == "__main__":
    main()
