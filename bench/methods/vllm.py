"""vLLM in its own environment: needs its packages and bench.loop, nothing of ours.

Settings are arguments of vllm.LLM. The engine runs in this process, eager, without tokenizer.
"""

import os
from typing import Any

from bench import loop

_ENVIRON = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0)))),
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
}


def start(path: str, dtype: str, settings: dict[str, Any]) -> loop.Run:
    os.environ.update(_ENVIRON)
    from vllm import LLM  # type: ignore[import-not-found]

    plain = {"enforce_eager": True, "skip_tokenizer_init": True, "disable_log_stats": True}
    model = LLM(model=path, dtype=dtype, **plain, **settings)
    return lambda jobs: _run(model, jobs)


def _run(model: Any, jobs: loop.Pairs) -> list[list[int]]:
    from vllm import SamplingParams

    greedy = {"temperature": 0.0, "ignore_eos": True, "detokenize": False}
    prompts = [{"prompt_token_ids": list(ids)} for ids, _ in jobs]
    params = [SamplingParams(max_tokens=length, **greedy) for _, length in jobs]
    outputs = model.generate(prompts, params, use_tqdm=False)
    return [list(output.outputs[0].token_ids) for output in outputs]


if __name__ == "__main__":
    loop.serve(start, "vllm", "torch")
