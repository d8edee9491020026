"""Networks of one structure, trained side by side as one computation.

Every parameter gains a leading dimension, one entry a network, and the forward
pass is mapped over it (torch.func). The gradient of the sum of the networks'
losses holds each network's own gradient, so nothing is shared but the launches.
"""

import copy
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from condensation import compute

# the attention of these sizes is mapped by a loop inside torch, which is as fast as ours would be
warnings.filterwarnings("ignore", "There is a performance drop because we have not yet implement")

# Below this many operations per step and parameter tensor, one network's step is mostly launches,
# and five at once take 0.3 to 0.6 of the time of five in turn. Above, grouped convolutions on the
# CPU are up to twice as slow (benchmarks/evaluation.py --stacking).
_MOSTLY_LAUNCHES = 5e5


class Stack:
    """Networks as one.

    Parameters
    ----------
    members : networks of one structure, on one device; statistics that they keep are kept for each.

    Attributes
    ----------
    parameters : the stacked parameters, leaves; each [networks, ...].
    """

    def __init__(self, members: list[nn.Module], compile: bool, device: torch.device):
        stacked, self._buffers = stack_module_state(members)
        self._named = {name: p.detach().requires_grad_() for name, p in stacked.items()}
        self._structure = copy.deepcopy(members[0]).requires_grad_(False)
        self._forward = compute.compiled(self._mapped, compile, device)
        self.parameters = list(self._named.values())

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits [networks, n, classes] of images [networks, n, C, H, W]."""
        return self._forward(self._named, self._buffers, images)

    def train(self, training: bool = True) -> None:
        """Switch between training and testing, as ``nn.Module.train``."""
        self._structure.train(training)

    def _mapped(
        self,
        parameters: dict[str, torch.Tensor],
        buffers: dict[str, torch.Tensor],
        images: torch.Tensor,
    ) -> torch.Tensor:
        def one(own: dict, kept: dict, shown: torch.Tensor) -> torch.Tensor:
            return functional_call(self._structure, (own, kept), (shown,))

        return vmap(one)(parameters, buffers, images)


def alone(forward: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    """Return the pass of a single network with the dimension that ``Stack`` has."""
    return lambda images: forward(images[0])[None]


def obstacle(network: nn.Module, shape: tuple[int, int, int]) -> str | None:
    """Return why networks like this one cannot be stacked, or None if they can."""
    if any(True for _ in network.buffers()):
        return "it keeps statistics or other buffers"
    device = next(network.parameters()).device
    try:
        stack = Stack([copy.deepcopy(network).train() for _ in range(2)], False, device)
        stack.train()
        with torch.no_grad():
            stack(torch.zeros(2, 2, *shape, device=device))
    except RuntimeError as error:
        text = str(error).splitlines()[0]
        return "it draws random numbers (dropout)" if "randomness" in str(error) else text
    return None


def pays(network: nn.Module, shape: tuple[int, int, int], batch: int, device: torch.device) -> bool:
    """Return whether stacking is faster than one network after the other.

    It depends on the job alone, never on a clock, so that a rerun computes alike.
    """
    if device.type == "cuda":
        return True
    tensors = sum(1 for _ in network.parameters())
    return compute.operations(network, shape) * batch / tensors < _MOSTLY_LAUNCHES
