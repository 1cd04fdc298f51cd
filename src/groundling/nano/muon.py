"""Muon, the optimiser of the hidden matrices, in the precision that the machine multiplies fast.

Source: Jordan et al. 2024 (momentum made orthogonal by five Newton-Schulz steps), with the step size of Moonlight (arXiv 2502.16982, 2.2).
torch.optim.Muon always works in bf16, which a processor without bf16 instructions emulates a hundred times slower; and one matrix at a time. Here
it is bf16 where that is fast.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_A, _B, _C = 3.4445, -4.7750, 2.0315  # the quintic of Newton-Schulz: slope at zero as steep as can be
_STEPS, _MOMENTUM = 5, 0.95


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Each of [n, rows, columns] with its singular values brought near one."""
    import torch

    from ..llm.local import bf16_is_fast

    flip = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if flip else matrices
    x = (x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)).to(torch.bfloat16 if bf16_is_fast() else x.dtype)
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return (x.mT if flip else x).to(matrices.dtype)


def muon(matrices: Iterable[torch.nn.Parameter], lr: float, weight_decay: float = 0.0) -> torch.optim.Optimizer:
    """For matrices only. `lr` is as large as AdamW's: a step has root mean square 0.2 · lr. Matrices of one shape go together."""
    import torch

    class Muon(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure: None = None) -> None:
            for group in self.param_groups:
                alike: dict[torch.Size, list[torch.nn.Parameter]] = {}
                for p in group["params"]:
                    if p.grad is not None:
                        alike.setdefault(p.shape, []).append(p)
                for shape, parameters in alike.items():
                    updates = orthogonal(torch.stack([self._nesterov(p) for p in parameters]))
                    rate = group["lr"] * 0.2 * max(shape) ** 0.5
                    for p, update in zip(parameters, updates, strict=True):
                        p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

        def _nesterov(self, p: torch.nn.Parameter) -> torch.Tensor:
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(p.grad, 1 - _MOMENTUM)
            return p.grad.lerp(momentum, _MOMENTUM)

    return Muon(matrices, {"lr": lr, "weight_decay": weight_decay})
