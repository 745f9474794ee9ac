"""Whether a transformers model that nobody has tried here answers in our engine as it does by itself.

The engine calls a model's body with packed sequences and paged attention, and its head by itself. Both
are held against the model's own forward pass before the model serves anybody.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from app.inference import attention, decoding
from app.inference.blocks import BLOCK_SIZE, count_blocks
from app.inference.engine import Request
from app.inference.sequences import Chunk
from app.inference.sequences import Sequence as Sequence_
from app.inference.transcripts import Transcript

NAME = "autoglm_trial"
# What paged attention does not do, by the names that transformers hands it over under.
_UNSERVED = ("sliding_window", "softcap", "s_aux", "position_bias", "alibi")
_LENGTHS = (BLOCK_SIZE + 7, 5)
_CUTS = (9, _LENGTHS[0] - 1, _LENGTHS[0])  # where the steps over the first prompt end; one decodes
# Of the largest logit. The head is the same computation; the body differs by its roundings.
_TOLERANCE = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def find_fault(model: Any) -> str:
    """Why our engine cannot serve `model`, "" if it can: a word or two."""
    attention.register(NAME, _attend)
    before = model.config._attn_implementation
    try:
        return _compare(model)
    except NotImplementedError as error:
        return str(error)
    except (AttributeError, TypeError, ValueError, KeyError, IndexError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    finally:
        model.set_attn_implementation(before)


def _attend(module: torch.nn.Module, *tensors: Any, **options: Any) -> tuple[torch.Tensor, None]:
    """Our attention, unless the model wants more of it."""
    for name in _UNSERVED:
        if options.get(name) is not None:
            raise NotImplementedError(name)
    return attention.attend(module, *tensors, **options)


@torch.inference_mode()
def _compare(model: Any) -> str:
    dice = torch.Generator().manual_seed(0)
    most = min(int(model.config.vocab_size), 1000)
    prompts = [torch.randint(most, (length,), generator=dice).tolist() for length in _LENGTHS]
    model.set_attn_implementation("eager")  # which every class has
    bodies, logits = zip(*(_answer(model, prompt) for prompt in prompts), strict=True)
    for body, expected in zip(bodies, logits, strict=True):
        if not _is_near(expected, model.lm_head(body[None])[0], _TOLERANCE[torch.float32]):
            return "logits are changed behind lm_head"
    model.set_attn_implementation(NAME)
    found = model.lm_head(_run_paged(model, prompts)[None])[0]
    is_near = _is_near(torch.stack([each[-1] for each in logits]), found, _TOLERANCE[model.dtype])
    return "" if is_near else "answers otherwise than by itself"


def _answer(model: Any, prompt: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The body's last states (tokens, width) and the logits (tokens, words) of the model's own."""
    ids = torch.tensor([prompt], device=model.device)
    body = model.model(input_ids=ids, use_cache=False).last_hidden_state
    return body[0], model(input_ids=ids, use_cache=False).logits[0]


def _run_paged(model: Any, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """The last state of each prompt, (prompts, width), as the engine's steps make them: packed, the
    first in several pieces."""
    first, second = (_hold(prompt, number) for number, prompt in enumerate(prompts))
    cache = attention.build_cache(attention.Shape.of(model), 2 * len(first.blocks))
    together = [Chunk(first, 0, _CUTS[0]), Chunk(second, 0, len(prompts[1]))]
    last = [_step(model, cache, together)[-1]]
    for start, end in pairwise(_CUTS):
        last.append(_step(model, cache, [Chunk(first, start, end - start)])[-1])
    return torch.stack([last[-1], last[0]])


def _hold(prompt: Sequence[int], number: int) -> Sequence_:
    """A sequence with blocks of its own."""
    request = Request(str(number), tuple(prompt))
    count = count_blocks(max(_LENGTHS))
    blocks = list(range(number * count, (number + 1) * count))
    return Sequence_(
        request, number, Transcript(decoding.Windows(lambda _: ""), ()), list(prompt), blocks
    )


def _step(model: Any, cache: attention.Cache, chunks: Sequence[Chunk]) -> torch.Tensor:
    ids = [token for chunk in chunks for token in chunk.sequence.tokens[chunk.start : chunk.end]]
    places = [place for chunk in chunks for place in range(chunk.start, chunk.end)]
    return model.model(
        input_ids=torch.tensor([ids], device=model.device),
        position_ids=torch.tensor([places], device=model.device),
        use_cache=False,
        layout=cache.arrange(chunks),
    ).last_hidden_state[0]


def _is_near(expected: torch.Tensor, found: torch.Tensor, tolerance: float) -> bool:
    expected, found = expected.float(), found.float()
    return bool(((expected - found).abs() <= tolerance * expected.abs().max()).all())
