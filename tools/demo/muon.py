"""Muon for many small matrices: those of one shape are made orthogonal together.

torch.optim.Muon takes them one by one, which a CPU does half as fast.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from tools.demo import compiled, halves

_MOMENTUM, _DECAY = 0.95, 0.01
_SIZE = 0.17  # root mean square of a step at rate 1, as of AdamW; singular values exceed one a bit
_STEPS = (  # coefficients of odd polynomials that bring all singular values near one: Polar Express
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
)


def orthogonalize(stack: Tensor) -> Tensor:
    """Nearly orthogonal matrices with the singular vectors of those in `stack` [n, rows, columns]."""
    if compiled.number() == torch.float16:
        return _in_halves(stack)
    found = stack.to(compiled.number())
    wide = found.shape[1] < found.shape[2]
    found = found.mT.contiguous() if wide else found
    found = found / (found.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7)
    for first, third, fifth in _STEPS:
        gram = found.mT @ found
        factor = torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth)
        found = torch.baddbmm(found, found, factor, beta=first)
    return found.mT if wide else found


def _in_halves(stack: Tensor) -> Tensor:
    wide = stack.shape[1] < stack.shape[2]
    found = (stack.mT if wide else stack).contiguous().clone()
    halves.orthogonalize(found, _STEPS)
    return found.mT if wide else found


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonal matrices, as large as AdamW's."""

    def __init__(self, matrices: Iterable[Parameter], lr: float) -> None:
        shapes: dict[tuple[int, ...], list[Parameter]] = defaultdict(list)
        for matrix in matrices:
            shapes[tuple(matrix.shape)].append(matrix)
        super().__init__([{"params": group} for group in shapes.values()], {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One step of every matrix; all of them need gradients."""
        for group in self.param_groups:
            update = orthogonalize(self._mix(group["params"]))
            size = group["lr"] * _SIZE * math.sqrt(max(update.shape[1:]))
            for matrix, change in zip(group["params"], update, strict=True):
                matrix.mul_(1 - group["lr"] * _DECAY).add_(change, alpha=-size)

    def _mix(self, matrices: list[Parameter]) -> Tensor:
        """Gradient and momentum of all matrices, with Nesterov's look ahead."""
        grads = torch.stack([matrix.grad for matrix in matrices if matrix.grad is not None])
        state = self.state[matrices[0]]
        state["momentum"] = state.get("momentum", torch.zeros_like(grads)).lerp_(
            grads, 1 - _MOMENTUM
        )
        return grads.lerp_(state["momentum"], _MOMENTUM)
