"""Adam without the checks that torch makes anew in every step."""

from __future__ import annotations

from typing import Any

import torch

#: Not public in torch, which may rename it: without it every step is torch's own.
_KERNEL: Any = getattr(torch, "_fused_adam_", None)


class FusedAdam(torch.optim.Adam):
    """``torch.optim.Adam(fused=True)``, its kernel called directly after the first step.

    What surrounds the kernel in torch costs three times as much as the kernel itself on the
    networks of small tables. For one group of parameters, no weight decay, no AMSGrad.

    Parameters
    ----------
    params : iterable of torch.nn.Parameter
        What is updated.
    lr : float
        The learning rate.
    """

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr, fused=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update once with the gradients that are there."""
        (group,) = self.param_groups
        updated = [p for p in group["params"] if p.grad is not None]
        states = [self.state[p] for p in updated]
        if _KERNEL is None or closure is not None or not all(states):
            # the first step makes the state
            return super().step(closure)
        steps = [state["step"] for state in states]
        for step in steps:
            step += 1
        beta1, beta2 = group["betas"]
        _KERNEL(
            updated,
            [p.grad for p in updated],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )
        return None

    # torch would record every step for its profiler, which takes as long as the step itself
    step.hooked = True  # type: ignore[attr-defined]
