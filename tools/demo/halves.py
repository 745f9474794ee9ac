"""Training in halves: whole layers, the loss and Muon's orthogonal matrices, all in C++, whose matrix
products take half the time of float32's (products.h).
"""

import functools
from typing import Any

import torch
from torch import Tensor

from tools.demo import compiled
from tools.demo.compiled import call

_BIAS = 2  # the place of the bias among the weights of a layer
Sizes = tuple[int, int, int, int, int, int, int, float]
"""batch, length, heads, size of a head, pairs that turn, hidden, inner, epsilon."""


class Layer(torch.autograd.Function):
    """A whole layer of halves; takes float32 rows [batch * length, hidden] and returns such."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, turns: tuple[Tensor, Tensor], sizes: Sizes, *weights: Tensor
    ) -> Tensor:
        batch, length, heads, size, _, _, inner, _ = sizes
        _check(length, *(number for weight in weights for number in weight.shape))
        tokens = batch * length
        half = functools.partial(torch.empty, dtype=torch.float16)
        out, middle = torch.empty_like(rows), torch.empty_like(rows)
        stacked, mixed = half(tokens, 3 * heads * size), half(tokens, heads * size)
        parts = half(batch * heads, 2, length, size)
        shares = half(batch * heads, length, length)
        kept = (stacked, parts, shares, mixed, middle, half(tokens, 2 * inner))
        call("layer", rows, out, *kept, *weights, *turns, *sizes)
        ctx.save_for_backward(rows, *kept, *turns, *weights)
        ctx.sizes = sizes
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        rows, *kept, cos, sin = ctx.saved_tensors[:9]
        weights = ctx.saved_tensors[9:]
        of_rows, of_weights = torch.empty_like(rows), [torch.zeros_like(one) for one in weights]
        plain = [weight for i, weight in enumerate(weights) if i != _BIAS]
        given = (grads[0].contiguous(), of_rows, rows, *kept, *plain, *of_weights, cos, sin)
        call("layer_back", *given, *ctx.sizes, 1 / compiled.scale())
        return of_rows, None, None, *of_weights


def _check(*sizes: int) -> None:
    assert not any(size % 2 for size in sizes), "products take two terms at a time"
    assert max(sizes) <= compiled.LONGEST, "a row must fit into the kernel's"


def judge(rows: Tensor, weight: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, float]:
    """Gradients of rows and weight, and the summed loss, of halves."""
    _check(weight.shape[1])
    assert len(weight) % 2 == 0, "products take two terms at a time"
    logits = rows.new_empty(len(rows), len(weight))
    of_rows, of_weight = weight.new_zeros(rows.shape), torch.zeros_like(weight)
    sizes = (len(rows), *weight.shape[::-1])
    total = call("judge", rows, weight, wanted, logits, of_rows, of_weight, *sizes)
    return of_rows, of_weight, total


def orthogonalize(stack: Tensor, steps: tuple[tuple[float, float, float], ...]) -> None:
    """In place: nearly orthogonal matrices [n, rows, columns], in halves; rows are not fewer."""
    _check(*stack.shape[1:])
    numbers = torch.tensor(steps)
    call("orthogonalize", stack, *stack.shape, numbers, len(steps))
