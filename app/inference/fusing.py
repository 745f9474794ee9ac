"""Makes a loaded transformers model faster on a CPU without changing its classes.

Matrices are packed for oneDNN once instead of at every product; norms, gated MLPs and rotary
positions run in one pass (kernels.cpp). Each replacement is tried on random input first and kept
only where it answers as the original does, so an unknown model just stays as it is.
"""

import inspect
import logging
import types
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from app.inference import kernels

logger = logging.getLogger(__name__)

_ROTARY = "apply_rotary_pos_emb"  # the name in every modeling file of transformers
_ROWS = 3  # of random input for a trial


@torch.inference_mode()
def fuse(model: nn.Module) -> None:
    """Replaces what can be replaced in `model`, on a CPU, in place."""
    if not kernels.is_served(model.dtype, model.device):
        return
    _replace_children(model, model.dtype)
    for module in model.modules():
        _rebind_rotary(module, model.dtype)


def _replace_children(parent: nn.Module, dtype: torch.dtype) -> None:
    for name, child in list(parent.named_children()):
        made = _replace(child)
        if made is not None and _holds(partial(_agrees, child, made, dtype)):
            setattr(parent, name, made)
        else:
            _replace_children(child, dtype)


def _replace(child: nn.Module) -> nn.Module | None:
    if type(child) is nn.Linear:
        return Packed(child.weight, child.bias) if torch.backends.mkldnn.is_available() else None
    if type(child).__name__.endswith("RMSNorm") and hasattr(child, "variance_epsilon"):
        return Norm(child) if len(child.weight) % kernels.LANES == 0 else None
    if isinstance(getattr(child, "down_proj", None), nn.Linear):
        return Gated(child) if _has_gates(child) else None
    return None


def _holds(trial: Callable[[], bool]) -> bool:
    """Whether the trial succeeds; a module that cannot be called like that stays as it is."""
    try:
        return trial()
    except Exception as error:
        logger.info("a module stays as it is", exc_info=error)
        return False


def _agrees(original: nn.Module, made: nn.Module, dtype: torch.dtype) -> bool:
    x = torch.randn(1, _ROWS, made.width, generator=torch.manual_seed(0)).to(dtype)
    return _is_close(original(x), made(x))


def _is_close(expected: torch.Tensor, found: torch.Tensor) -> bool:
    """Within a few roundings of the largest number."""
    tolerance = 8 * torch.finfo(expected.dtype).eps * float(expected.abs().max())
    return bool(((expected.float() - found.float()).abs() <= tolerance).all())


class Packed(nn.Module):
    """A linear layer whose matrix (out, in) lies in oneDNN's order."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.width = weight.shape[1]
        self.bias = bias
        self._matrix = torch.ops.mkldnn._reorder_linear_weight(weight.detach())

    @property
    def weight(self) -> torch.Tensor:
        """The matrix (out, in) as it was, copied, for a module that multiplies by it itself."""
        return self._matrix.to_dense()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., in) -> (..., out)."""
        return torch.ops.mkldnn._linear_pointwise(x, self._matrix, self.bias, "none", [], "")


class Norm(nn.Module):
    """RMS norm in one pass."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.weight = original.weight
        self.width = len(original.weight)
        self._epsilon = original.variance_epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., width) -> the same shape."""
        return kernels.normalize(x, self.weight, self._epsilon)


class Gated(nn.Module):
    """down(silu(gate(x)) * up(x)), gate and up as one product."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        gates = _join_gates(original)
        self.width = gates.shape[1]
        self._gate_up = Packed(gates, None)
        self._down = Packed(original.down_proj.weight, original.down_proj.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., width) -> the same shape."""
        return self._down(kernels.gate(*self._gate_up(x).chunk(2, dim=-1)))


def _has_gates(mlp: Any) -> bool:
    """Whether it is gated, without biases there, and as wide as the kernels want."""
    pair = [getattr(mlp, name, None) for name in ("gate_proj", "up_proj")]
    gates = [mlp.gate_up_proj] if hasattr(mlp, "gate_up_proj") else pair
    is_plain = all(isinstance(each, nn.Linear) and each.bias is None for each in gates)
    return is_plain and mlp.down_proj.in_features % kernels.LANES == 0


def _join_gates(mlp: Any) -> torch.Tensor:
    """The rows of the gate, then those of the up projection."""
    if hasattr(mlp, "gate_up_proj"):
        return mlp.gate_up_proj.weight
    return torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])


def _rebind_rotary(module: Any, dtype: torch.dtype) -> None:
    """Gives this instance its class's own forward, with the rotary function replaced by ours."""
    forward = inspect.unwrap(type(module).forward)
    original = getattr(forward, "__globals__", {}).get(_ROTARY)
    if original is None or not hasattr(module, "head_dim"):
        return
    fitting = (
        each for each in _ROTARIES if _holds(partial(_turns_alike, original, each, module, dtype))
    )
    if (ours := next(fitting, None)) is None:
        return
    scope = forward.__globals__ | {_ROTARY: ours}
    bound = types.FunctionType(
        forward.__code__, scope, forward.__name__, forward.__defaults__, forward.__closure__
    )
    bound.__kwdefaults__ = forward.__kwdefaults__
    module.forward = types.MethodType(bound, module)


def _turns_alike(
    original: Callable[..., Any], ours: Callable[..., Any], module: Any, dtype: torch.dtype
) -> bool:
    share = getattr(module.config, "partial_rotary_factor", None)
    share = share or (module.config.rope_parameters or {}).get("partial_rotary_factor", 1.0)
    angles = torch.arange(int(module.head_dim * share) // 2) + torch.arange(_ROWS)[:, None]
    angles = torch.cat((angles, angles), dim=-1)[None].float()
    query, key = torch.randn(2, 1, 2, _ROWS, module.head_dim, generator=torch.manual_seed(0))
    tensors = [x.to(dtype) for x in (query, key, angles.cos(), angles.sin())]
    pairs = zip(original(*tensors), ours(*(x.clone() for x in tensors)), strict=True)
    return all(_is_close(expected, found) for expected, found in pairs)


def _turn_neighbours(
    query: torch.Tensor, key: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs are neighbours, as in GLM."""
    turn = [kernels.rotate(x, cosine, sine, is_interleaved=True) for x in (query, key)]
    return turn[0], turn[1]


def _turn_halves(
    query: torch.Tensor, key: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs are a half apart, as in Llama."""
    turn = [kernels.rotate(x, cosine, sine, is_interleaved=False) for x in (query, key)]
    return turn[0], turn[1]


_ROTARIES = (_turn_neighbours, _turn_halves)
