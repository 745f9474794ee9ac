"""Training in halves: whole layers, the loss and Muon's orthogonal matrices, all in C++, whose matrix
products take half the time of float32's (products.h).
"""

import functools
from typing import Any

import torch
from torch import Tensor

from tools.demo import compiled
from tools.demo.compiled import call

Sizes = tuple[int, int, int, int, int, int, int, float]
"""batch, length, heads, size of a head, pairs that turn, hidden, inner, epsilon."""


class Layer(torch.autograd.Function):
    """A whole layer of halves; takes float32 rows [batch * length, hidden] and returns such, or only
    the `chosen` ones. The weights: norm, stack, its bias, output; norm, gate and up, down."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        turns: tuple[Tensor, Tensor],
        sizes: Sizes,
        chosen: Tensor | None,
        *weights: Tensor,
    ) -> Tensor:
        batch, length, heads, size, _, hidden, inner, epsilon = sizes
        _check(length, size, *(number for weight in weights for number in weight.shape))
        half = functools.partial(torch.empty, dtype=torch.float16)
        stacked, mixed = half(len(rows), 3 * heads * size), half(len(rows), heads * size)
        shares = half(batch * heads, length, length)
        call("mix", rows, stacked, shares, mixed, *weights[:3], *turns, *sizes[:6], epsilon)
        kept, fed = (rows, stacked, shares, mixed), mixed
        if chosen is not None:
            assert len(chosen) % 2 == 0, "rows go in pairs"
            rows, fed = rows[chosen], mixed[chosen]
        out, middle, gates = (
            torch.empty_like(rows),
            torch.empty_like(rows),
            half(len(rows), 2 * inner),
        )
        shape = (len(rows), heads * size, hidden, inner)
        call("feed", rows, fed, out, middle, gates, *weights[3:], *shape, epsilon)
        ctx.save_for_backward(*kept, fed, middle, gates, *turns, *weights)
        ctx.sizes, ctx.chosen, ctx.shape = sizes, chosen, shape
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        rows, stacked, shares, mixed, fed, middle, gates, cos, sin = ctx.saved_tensors[:9]
        weights, ends = ctx.saved_tensors[9:], (ctx.sizes[-1], 1 / compiled.scale())
        of_weights = [torch.zeros_like(one) for one in weights]
        of_rows, of_mixed = torch.empty_like(middle), torch.empty_like(fed)
        kept = (fed, middle, gates, *weights[3:], *of_weights[3:])
        call("feed_back", grads[0].contiguous(), of_rows, of_mixed, *kept, *ctx.shape, *ends)
        if ctx.chosen is not None:
            of_rows = torch.zeros_like(rows).index_add_(0, ctx.chosen, of_rows)
            of_mixed = torch.zeros_like(mixed).index_add_(0, ctx.chosen, of_mixed)
        kept = (rows, stacked, shares, mixed, *weights[:2], *of_weights[:3])
        call("mix_back", of_mixed, of_rows, *kept, cos, sin, *ctx.sizes[:6], *ends)
        return of_rows, None, None, None, *of_weights


def _check(*sizes: int) -> None:
    assert not any(size % 2 for size in sizes), "products take two terms at a time"
    assert max(sizes) <= compiled.LONGEST, "a row must fit into the kernel's"


def judge(rows: Tensor, weight: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, float]:
    """Gradients of rows and weight, and the summed loss, of halves."""
    _check(weight.shape[1])
    assert len(weight) % 2 == 0, "products take two terms at a time"
    of_rows, of_weight = weight.new_zeros(rows.shape), torch.zeros_like(weight)
    sizes = (len(rows), *weight.shape[::-1])
    total = call("judge", rows, weight, wanted, of_rows, of_weight, *sizes)
    return of_rows, of_weight, total


def orthogonalize(stack: Tensor, steps: tuple[tuple[float, float, float], ...]) -> None:
    """In place: nearly orthogonal matrices [n, rows, columns], in halves; rows are not fewer."""
    _check(*stack.shape[1:])
    numbers = torch.tensor(steps)
    call("orthogonalize", stack, *stack.shape, numbers, len(steps))
