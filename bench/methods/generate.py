"""transformers' model.generate, one prompt after the other."""

from typing import Any

from bench import loop
from bench.methods import reference


def start(path: str, dtype: str, settings: dict[str, Any]) -> loop.Run:
    model = reference.load(path, dtype, settings)
    return lambda jobs: [
        reference.generate(model, [list(ids)], length, **settings)[0] for ids, length in jobs
    ]


if __name__ == "__main__":
    loop.serve(start, "transformers", "torch")
