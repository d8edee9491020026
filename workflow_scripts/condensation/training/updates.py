"""SGD and Adam by torch's own functions, without torch's optimizer classes.

The first optimizer of a process loads torch's compiler: seconds that most jobs need for nothing.
The functions are those that the classes call, so on a CPU parameters get the same bytes. On a GPU
Adam counts its steps there, as with ``capturable=True``.
"""

from collections.abc import Sequence

import torch
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from condensation.core import capture


class _Updates:
    """Parameters that change by their gradients; ``lr`` may be set between steps."""

    def __init__(self, parameters: Sequence[torch.Tensor], lr: float, weight_decay: float):
        self.parameters, self.lr, self.weight_decay = list(parameters), lr, weight_decay

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def _with_gradient(self) -> list[int]:
        return [i for i, parameter in enumerate(self.parameters) if parameter.grad is not None]


class SGD(_Updates):
    """Stochastic gradient descent with momentum, as ``torch.optim.SGD``."""

    def __init__(
        self,
        parameters: Sequence[torch.Tensor],
        *,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr, weight_decay)
        self.momentum = momentum
        self._velocities: list[torch.Tensor | None] = [None] * len(self.parameters)

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient."""
        chosen = self._with_gradient()
        velocities = [self._velocities[i] for i in chosen]
        sgd(
            [self.parameters[i] for i in chosen],
            [self.parameters[i].grad for i in chosen],
            velocities,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=self.lr,
            dampening=0,
            nesterov=False,
            maximize=False,
        )
        for i, velocity in zip(chosen, velocities, strict=True):
            self._velocities[i] = velocity


class Adam(_Updates):
    """Adam with its usual betas, as ``torch.optim.Adam``."""

    def __init__(self, parameters: Sequence[torch.Tensor], *, lr: float, weight_decay: float = 0.0):
        super().__init__(parameters, lr, weight_decay)
        self._means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        # a step that a GPU repeats must count on the GPU
        self._on_device = capture.pays(self.parameters[0].device)
        place = self.parameters[0].device if self._on_device else None
        self._steps = [torch.zeros((), device=place) for _ in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient."""
        chosen = self._with_gradient()
        adam(
            [self.parameters[i] for i in chosen],
            [self.parameters[i].grad for i in chosen],
            [self._means[i] for i in chosen],
            [self._squares[i] for i in chosen],
            [],
            [self._steps[i] for i in chosen],
            capturable=self._on_device,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.lr,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )
