"""`make bench-tune`: tries every candidate of the peers' settings and rewrites the choice.

python -m bench.tune [--only mixed] [--methods static,vllm] [--peer-python PATH]
"""

import argparse
from typing import Any

from bench import children, choices, rounds, shapes, workloads

# Less than `make bench` gives: the candidates are many, and only their order counts.
SHARES = {
    "generate": {"mixed": 1 / 16, "short": 1 / 16, "shared": 1 / 16, "long": 1 / 8},
    "static": {"mixed": 1 / 4, "short": 1 / 4, "shared": 1 / 2, "long": 1 / 4},
    "transformers_cb": {"mixed": 1 / 4, "short": 1 / 2, "shared": 1 / 2, "long": 1 / 4},
    "vllm": {"mixed": 1 / 2, "short": 1, "shared": 1, "long": 1 / 4},
}


def main() -> None:
    asked = _parse()
    for name in asked.only.split(","):
        for method in asked.methods.split(","):
            if method != "vllm" or asked.peer_python:
                _tune(name, method, asked)


def _tune(name: str, method: str, asked: argparse.Namespace) -> None:
    workload = workloads.sample(workloads.ALL[name](), SHARES[method][name])
    shape = shapes.write(workload.size, workload.shape)
    candidates = choices.read()[name][method]["candidates"]
    for number, candidate in enumerate(candidates):
        score = _try(method, shape, workload, candidate["settings"], asked.peer_python)
        print(f"{name} {method} {candidate['settings']}: {score} tokens/s", flush=True)
        choices.store(name, method, number, score)


def _try(
    method: str,
    shape: shapes.Shape,
    workload: workloads.Workload,
    settings: dict[str, Any],
    peer: str | None,
) -> float | None:
    """Tokens per second of one run; None where the method cannot run with these settings."""
    python = peer if method == "vllm" else None
    try:
        with children.start(method, shape, settings, python=python) as child:
            rounds.warm(child, workload)
            answer = rounds.run(child, workload, 0)
    except RuntimeError as error:
        print(f"  failed: {error}", flush=True)
        return None
    return round(answer.tokens / answer.seconds, 1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.tune", description=__doc__)
    parser.add_argument("--only", default=",".join(workloads.ALL), help="workloads")
    parser.add_argument("--methods", default=",".join(SHARES), help="peers")
    parser.add_argument("--peer-python", help="interpreter of vLLM's environment")
    return parser.parse_args()


if __name__ == "__main__":
    main()
