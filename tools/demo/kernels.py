"""Pieces of the network with backward passes of their own, for training on a CPU.

PyTorch's own take many passes over the numbers; these, in kernels.cpp, take one, and leave the
matrix products to PyTorch, except for those of halves.
"""

from typing import Any

import torch
from torch import Tensor

from tools.demo import compiled, halves
from tools.demo.compiled import call, number, scale


class Attention(torch.autograd.Function):
    """Causal attention of `heads` heads with rotary positions on the first `2 * cos.shape[1]` values.

    Takes [batch * length, 3 * heads * width]: queries, keys, values; returns [batch * length, heads * width].
    """

    @staticmethod
    def forward(
        ctx: Any, stacked: Tensor, shape: tuple[int, int, int], cos: Tensor, sin: Tensor
    ) -> Tensor:
        batch, length, heads = shape
        assert length <= compiled.LONGEST, "a row of scores must fit into the kernel's"
        width = stacked.shape[1] // 3 // heads
        parts = stacked.new_empty(3, batch * heads, length, width)
        ctx.sizes = (batch, length, heads, width, cos.shape[1], width**-0.5)
        call("split", stacked, parts, cos, sin, *ctx.sizes, 0)
        query, key, value = parts
        shares = torch.bmm(query, key.transpose(1, 2))
        call("shares", shares, batch * heads, length)
        mixed = torch.bmm(shares, value)
        ctx.save_for_backward(parts, shares, mixed, cos, sin)
        return mixed.view(batch, heads, length, -1).transpose(1, 2).reshape(batch * length, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        batch, length, heads, width = ctx.sizes[:4]
        parts, shares, mixed, cos, sin = ctx.saved_tensors
        query, key, value = parts
        grad = grads[0].view(batch, length, heads, -1).transpose(1, 2).reshape(mixed.shape)
        grad = grad.contiguous()  # of one sequence it is still a view
        out = torch.empty_like(parts)
        torch.bmm(shares.transpose(1, 2), grad, out=out[2])
        scores = torch.bmm(grad, value.transpose(1, 2))
        call("shares_back", scores, shares, grad, mixed, batch * heads, length, width)
        torch.bmm(scores, key, out=out[0])
        torch.bmm(scores.transpose(1, 2), query, out=out[1])
        stacked = out.new_empty(batch * length, 3 * heads * width)
        call("split", stacked, out, cos, sin, *ctx.sizes, 1)
        return stacked, None, None, None


class Scale(torch.autograd.Function):
    """The same rows; behind them, the gradients are larger by `scale`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] / scale()


class Norm(torch.autograd.Function):
    """Root mean square norm of float32 rows; returns what is multiplied."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        assert rows.shape[1] <= compiled.LONGEST, "a row must fit into the kernel's"
        scales = rows.new_empty(len(rows))
        out = torch.empty_like(rows, dtype=number())
        call("norm", rows, weight, out, scales, *rows.shape, float(epsilon))
        ctx.save_for_backward(rows, weight, scales)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, weight, scales = ctx.saved_tensors
        out, of_weight = torch.empty_like(rows), torch.zeros_like(weight)
        grad = grads[0].contiguous()
        call("norm_back", grad, rows, weight, scales, 0, out, of_weight, *rows.shape)
        return out, of_weight / scale(), None


class Gate(torch.autograd.Function):
    """silu(first half) * second half of each row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        width = rows.shape[1] // 2
        assert width <= compiled.LONGEST, "a row must fit into the kernel's"
        out = rows.new_empty(len(rows), width)
        call("gate", rows, out, len(rows), width)
        ctx.save_for_backward(rows)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        out = torch.empty_like(rows)
        call("gate_back", grads[0].contiguous(), rows, out, len(rows), rows.shape[1] // 2)
        return out


class Loss(torch.autograd.Function):
    """Mean cross-entropy of `rows @ weight.T` where `wanted` is not negative; both gradients are
    made on the way."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, wanted: Tensor) -> Tensor:
        assert len(weight) <= compiled.WORDS, "a row of logits must fit into the kernel's"
        if number() == torch.float16:
            of_rows, of_weight, total = halves.judge(rows, weight, wanted)
        else:
            weight = weight.to(number())
            grad = rows @ weight.T
            total = call("entropy", grad, wanted, *grad.shape)
            of_rows, of_weight = grad @ weight, grad.T @ rows
        ctx.save_for_backward(of_rows, of_weight)
        ctx.count = int((wanted >= 0).sum())
        return torch.tensor(total / ctx.count)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        of_rows, of_weight = ctx.saved_tensors
        share = grads[0] / ctx.count
        return (of_rows * (share * scale())).to(number()), of_weight * share, None
