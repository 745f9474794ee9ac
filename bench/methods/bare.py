"""Our engine without the service around it; settings are arguments of local.build(), the priority
of the requests (by default that of a batch's lines), and the size of the cache."""

from typing import Any

from app.inference import engine, local
from app.settings import schema
from bench import loop


def start(path: str, dtype: str, settings: dict[str, Any]) -> loop.Run:
    priority, cache_tokens = settings.pop("priority", -10), settings.pop("cache_tokens", None)
    model = schema.Model(name="bench", path=path, dtype=dtype, cache_tokens=cache_tokens)
    ours = local.build(model, device="cpu", **settings)
    return lambda jobs: _run(ours, jobs, priority)


def _run(ours: engine.Engine, jobs: loop.Pairs, priority: int) -> list[tuple[int, ...]]:
    for number, (ids, length) in enumerate(jobs):
        sampling = engine.Sampling(max_tokens=length, temperature=0.0, ignore_eos=True)
        prompt = tuple(ids)
        ours.add(engine.Request(str(number), prompt, sampling, priority=priority))
    answers: dict[str, tuple[int, ...]] = {}
    while ours.num_unfinished:
        answers |= {output.id: output.tokens for output in ours.step()}
    return [answers[str(number)] for number in range(len(jobs))]


if __name__ == "__main__":
    loop.serve(start)
