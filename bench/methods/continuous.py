"""transformers' own continuous batching; settings are fields of its ContinuousBatchingConfig.

Its manager is made before the clock starts. generate_batch() takes one length for all answers, so
the requests are added one by one, in the order in which it would add them: sorted where it shares
prefixes.
"""

from typing import Any

import transformers
from transformers.generation import ContinuousBatchingConfig

from bench import loop
from bench.methods import reference

_PATIENCE_SECONDS = 1.0


def start(path: str, dtype: str, settings: dict[str, Any]) -> loop.Run:
    model = reference.load(path, dtype, settings)
    greedy = transformers.GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0)
    config = ContinuousBatchingConfig(**settings)
    manager = model.init_continuous_batching(greedy, continuous_batching_config=config)
    manager.warmup()
    manager.start()
    return lambda jobs: _run(manager, jobs, is_sorted=config.allow_block_sharing)


def _run(manager: Any, jobs: loop.Pairs, *, is_sorted: bool) -> list[list[int]]:
    turns = list(range(len(jobs)))
    if is_sorted:
        turns.sort(key=lambda number: list(jobs[number][0]), reverse=True)
    numbers = {}
    for number in turns:
        ids, length = jobs[number]
        numbers[manager.add_request(list(ids), max_new_tokens=length)] = number
    answers: dict[int, list[int]] = {}
    while len(answers) < len(jobs):
        result = manager.get_result(timeout=_PATIENCE_SECONDS)
        if result is not None and result.is_finished():
            answers[numbers[result.request_id]] = result.generated_tokens
        elif result is None and not manager.is_running():
            raise RuntimeError("transformers' generation thread has ended")
    return [answers[number] for number in range(len(jobs))]


if __name__ == "__main__":
    loop.serve(start, "transformers", "torch")
