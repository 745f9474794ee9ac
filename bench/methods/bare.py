"""Our engine without the service around it; settings are arguments of local.build()."""

from typing import Any

from app.inference import engine, local
from app.settings import schema
from bench import loop


def start(path: str, dtype: str, settings: dict[str, Any]) -> loop.Run:
    model = schema.Model(name="bench", path=path, dtype=dtype)
    ours = local.build(model, device="cpu", **settings)
    return lambda jobs: _run(ours, jobs)


def _run(ours: engine.Engine, jobs: loop.Pairs) -> list[tuple[int, ...]]:
    for number, (ids, length) in enumerate(jobs):
        sampling = engine.Sampling(max_tokens=length, temperature=0.0, ignore_eos=True)
        ours.add(engine.Request(id=str(number), prompt=tuple(ids), sampling=sampling))
    answers: dict[str, tuple[int, ...]] = {}
    while ours.num_unfinished:
        answers |= {output.id: output.tokens for output in ours.step()}
    return [answers[str(number)] for number in range(len(jobs))]


if __name__ == "__main__":
    loop.serve(start)
