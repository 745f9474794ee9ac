"""Pieces of the network with backward passes of their own, in bfloat16, for training on a CPU.

PyTorch's attention and cross-entropy take most of a step there; these take a third of their time.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class Attention(torch.autograd.Function):
    """Causal attention of `heads` heads with rotary positions on the first `2 * cos.shape[1]` values.

    Takes [batch * length, 3 * heads * width]: queries, keys, values; returns [batch * length, heads * width].
    """

    @staticmethod
    def forward(
        ctx: Any, stacked: Tensor, shape: tuple[int, int, int], cos: Tensor, sin: Tensor
    ) -> Tensor:
        batch, length, heads = shape
        parts = stacked.view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4).contiguous()
        ctx.scale = parts.shape[-1] ** -0.5
        _rotate(parts[:2], cos, sin)
        query, key, value = (
            parts[0].mul_(ctx.scale).flatten(0, 1),
            *(x.flatten(0, 1) for x in parts[1:]),
        )
        scores = torch.bmm(query, key.transpose(1, 2))
        scores += torch.full((length, length), -torch.inf, dtype=scores.dtype).triu_(1)
        shares = torch.softmax(scores, -1, dtype=torch.float32).to(scores.dtype)
        mixed = torch.bmm(shares, value)
        ctx.shape = shape
        ctx.save_for_backward(query, key, value, shares, mixed, cos, sin)
        return mixed.view(batch, heads, length, -1).transpose(1, 2).reshape(batch * length, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        batch, length, heads = ctx.shape
        query, key, value, shares, mixed, cos, sin = ctx.saved_tensors
        grad = grads[0].view(batch, length, heads, -1).transpose(1, 2).flatten(0, 1)
        out = torch.empty(3, *grad.shape, dtype=grad.dtype)
        torch.bmm(shares.transpose(1, 2), grad, out=out[2])
        scores = torch.bmm(grad, value.transpose(1, 2))
        scores.sub_((grad * mixed).sum(-1, keepdim=True)).mul_(shares)
        torch.bmm(scores, key, out=out[0]).mul_(ctx.scale)
        torch.bmm(scores.transpose(1, 2), query, out=out[1])
        parts = out.view(3, batch, heads, length, -1)
        _rotate(parts[:2], cos, -sin)
        return parts.permute(1, 3, 0, 2, 4).reshape(batch * length, -1), None, None, None


def _rotate(parts: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turns pairs of values in place; the two of a pair stand half the rotary width apart."""
    half = cos.shape[1]
    first, second = parts[..., :half], parts[..., half : 2 * half]
    turned = first * cos - second * sin
    second.mul_(cos).addcmul_(first, sin)
    first.copy_(turned)


class Norm(torch.autograd.Function):
    """Root mean square norm of float32 rows; returns bfloat16."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        scale = torch.rsqrt(torch.linalg.vecdot(rows, rows)[:, None] / rows.shape[1] + epsilon)
        plain = rows * scale
        ctx.save_for_backward(plain, scale, weight)
        return (plain * weight).to(torch.bfloat16)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        plain, scale, weight = ctx.saved_tensors
        grad = grads[0].float()
        of_weight = (grad * plain).sum(0)
        grad *= weight
        share = torch.linalg.vecdot(grad, plain)[:, None] / plain.shape[1]
        return grad.addcmul_(plain, share, value=-1).mul_(scale), of_weight, None


class Gate(torch.autograd.Function):
    """silu(first half) * second half of each row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        gate, up = rows.chunk(2, 1)
        opened = functional.silu(gate)
        ctx.save_for_backward(rows, opened)
        return opened * up

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        rows, opened = ctx.saved_tensors
        gate, up = rows.chunk(2, 1)
        out = torch.empty_like(rows)
        of_gate, of_up = out.chunk(2, 1)
        torch.mul(grads[0], opened, out=of_up)
        of_gate.copy_(torch.ops.aten.silu_backward(grads[0] * up, gate))
        return out


class Loss(torch.autograd.Function):
    """Mean cross-entropy of `rows @ weight.T`; both gradients are made on the way."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, wanted: Tensor) -> Tensor:
        chances = torch.softmax((rows @ weight.T).float(), -1)
        at = wanted[:, None]
        loss = -chances.gather(1, at).clamp_min(1e-20).log().mean()
        grad = chances.scatter_add_(1, at, torch.full(at.shape, -1.0)).to(torch.bfloat16)
        ctx.save_for_backward(grad @ weight, grad.T @ rows)
        ctx.count = len(rows)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        of_rows, of_weight = ctx.saved_tensors
        return of_rows * (grads[0] / ctx.count), of_weight * (grads[0] / ctx.count), None
