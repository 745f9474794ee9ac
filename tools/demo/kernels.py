"""Pieces of the network with backward passes of their own, for training on a CPU, in bfloat16 or
float32, whichever multiplies faster here.

PyTorch's own take many passes over the numbers; these, in kernels.cpp, take one, and leave the
matrix products to PyTorch. A C++ compiler is needed.
"""

import ctypes
import functools
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")
_LONGEST, _WORDS = 4096, 65536  # what a row on the stack of kernels.cpp holds
_SOURCE = Path(__file__).with_name("kernels.cpp")


@functools.cache
def number() -> torch.dtype:
    """The type of the numbers that are multiplied. Some CPUs know bfloat16, but not faster."""
    both = (torch.bfloat16, torch.float32)
    return min(both, key=lambda dtype: min(_time(dtype) for _ in range(3)))


def _time(dtype: torch.dtype) -> float:
    """Seconds that some products of the usual size take."""
    rows, weight = torch.ones(2048, 160, dtype=dtype), torch.ones(160, 576, dtype=dtype)
    begun = time.process_time()
    for _ in range(20):
        rows @ weight
    return time.process_time() - begun


@functools.cache
def _library() -> ctypes.CDLL:
    flags = (*_FLAGS, "-DFLOAT") if number() == torch.float32 else _FLAGS
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "kernels.so"
        subprocess.run(["c++", *flags, "-o", str(made), str(_SOURCE)], check=True)
        library = ctypes.CDLL(str(made))
    library.entropy.restype = ctypes.c_double
    return library


def _call(name: str, *arguments: Tensor | int | float) -> Any:
    return getattr(_library(), name)(*map(_pass, arguments))


def _pass(argument: Tensor | int | float) -> Any:
    if isinstance(argument, Tensor):
        assert argument.is_contiguous(), "kernels need whole rows"
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_float(argument) if isinstance(argument, float) else ctypes.c_int64(argument)


class Attention(torch.autograd.Function):
    """Causal attention of `heads` heads with rotary positions on the first `2 * cos.shape[1]` values.

    Takes [batch * length, 3 * heads * width]: queries, keys, values; returns [batch * length, heads * width].
    """

    @staticmethod
    def forward(
        ctx: Any, stacked: Tensor, shape: tuple[int, int, int], cos: Tensor, sin: Tensor
    ) -> Tensor:
        batch, length, heads = shape
        assert length <= _LONGEST, "a row of scores must fit into the kernel's"
        width = stacked.shape[1] // 3 // heads
        parts = stacked.new_empty(3, batch * heads, length, width)
        ctx.sizes = (batch, length, heads, width, cos.shape[1], width**-0.5)
        _call("split", stacked, parts, cos, sin, *ctx.sizes, 0)
        query, key, value = parts
        shares = torch.bmm(query, key.transpose(1, 2))
        _call("shares", shares, batch * heads, length)
        mixed = torch.bmm(shares, value)
        ctx.save_for_backward(parts, shares, mixed, cos, sin)
        return mixed.view(batch, heads, length, -1).transpose(1, 2).reshape(batch * length, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        batch, length, heads, width = ctx.sizes[:4]
        parts, shares, mixed, cos, sin = ctx.saved_tensors
        query, key, value = parts
        grad = grads[0].view(batch, length, heads, -1).transpose(1, 2).reshape(mixed.shape)
        out = torch.empty_like(parts)
        torch.bmm(shares.transpose(1, 2), grad, out=out[2])
        scores = torch.bmm(grad, value.transpose(1, 2))
        _call("shares_back", scores, shares, grad, mixed, batch * heads, length, width)
        torch.bmm(scores, key, out=out[0])
        torch.bmm(scores.transpose(1, 2), query, out=out[1])
        stacked = out.new_empty(batch * length, 3 * heads * width)
        _call("split", stacked, out, cos, sin, *ctx.sizes, 1)
        return stacked, None, None, None


class Norm(torch.autograd.Function):
    """Root mean square norm of float32 rows; returns what is multiplied."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        scales = rows.new_empty(len(rows))
        out = torch.empty_like(rows, dtype=number())
        _call("norm", rows, weight, out, scales, *rows.shape, float(epsilon))
        ctx.save_for_backward(rows, weight, scales)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, weight, scales = ctx.saved_tensors
        out, of_weight = torch.empty_like(rows), torch.zeros_like(weight)
        grad = grads[0].contiguous()
        _call("norm_back", grad, rows, weight, scales, out, of_weight, *rows.shape)
        return out, of_weight, None


class Gate(torch.autograd.Function):
    """silu(first half) * second half of each row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        width = rows.shape[1] // 2
        out = rows.new_empty(len(rows), width)
        _call("gate", rows, out, len(rows), width)
        ctx.save_for_backward(rows)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        out = torch.empty_like(rows)
        _call("gate_back", grads[0].contiguous(), rows, out, len(rows), rows.shape[1] // 2)
        return out


class Loss(torch.autograd.Function):
    """Mean cross-entropy of `rows @ weight.T` where `wanted` is not negative; both gradients are
    made on the way."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, wanted: Tensor) -> Tensor:
        assert len(weight) <= _WORDS, "a row of logits must fit into the kernel's"
        grad = rows @ weight.T
        total = _call("entropy", grad, wanted, *grad.shape)
        ctx.save_for_backward(grad @ weight, grad.T @ rows)
        ctx.count = int((wanted >= 0).sum())
        return torch.tensor(total / ctx.count)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        of_rows, of_weight = ctx.saved_tensors
        return of_rows * (grads[0] / ctx.count), of_weight * (grads[0] / ctx.count), None
