"""Networks of one structure, trained side by side as one computation.

Each parameter gains a leading dimension with one entry per network, and ``torch.func.vmap`` maps
the forward pass over it. The gradient of the sum of the networks' losses holds the gradient of
each network, so the networks share nothing but kernel launches.
"""

import copy
import logging
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from condensation.core import compute

log = logging.getLogger("condensation")

# torch maps attention by a loop, which is as fast as a loop of ours
warnings.filterwarnings("ignore", "There is a performance drop because we have not yet implement")

# Below this many operations per step and parameter tensor, launches dominate a network's step, and
# five stacked networks take 0.3 to 0.6 of the time of five in turn. Above it, grouped convolutions
# on the CPU are up to twice as slow (benchmarks/evaluation.py --stacking).
_MOSTLY_LAUNCHES = 5e5


class Stack:
    """Networks of one structure as one function.

    Parameters
    ----------
    members : networks of one structure on one device; buffers such as the statistics of batch norm
        stay separate.
    compile : pass through torch.compile.
    full : most images of a network in one pass (``compute.compiled``).

    Attributes
    ----------
    parameters : the stacked parameters, leaf tensors [networks, ...].
    """

    def __init__(
        self,
        members: list[nn.Module],
        compile: bool,
        device: torch.device,
        full: int | None = None,
    ):
        stacked, self._buffers = stack_module_state(members)
        self._named = {name: p.detach().requires_grad_() for name, p in stacked.items()}
        self._structure = copy.deepcopy(members[0]).requires_grad_(False)
        self._forward = compute.compiled(self._mapped, compile, device, full, images_at=(-1, 1))
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
        def call(parameters: dict, buffers: dict, images: torch.Tensor) -> torch.Tensor:
            return functional_call(self._structure, (parameters, buffers), (images,))

        return vmap(call)(parameters, buffers, images)


def train_in_groups(
    seeds: list[int], together: int, train: Callable[[list[int]], None]
) -> list[int]:
    """Call ``train(group)`` for groups of ``together`` seeds and return the remaining seeds.

    A group that does not fit into memory is retried as groups of half as many. Groups of one are
    not trained: their seeds are returned.
    """
    pending = list(seeds)
    while together > 1 and pending:
        try:
            train(pending[:together])
        except Exception as error:
            if not compute.is_out_of_memory(error):
                raise
            failed = True
        else:
            failed = False
            pending = pending[together:]
        if failed:  # outside `except`: the error keeps the memory alive
            compute.free_memory()
            log.warning("%d networks at once do not fit: %d", together, together // 2)
            together //= 2
    return pending


def alone(forward: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    """Return the forward pass of one network with the leading dimension that ``Stack`` has."""
    return lambda images: forward(images[0])[None]


def obstacle(network: nn.Module, shape: tuple[int, int, int]) -> str | None:
    """Return why networks of this structure cannot be stacked, or None if they can."""
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

    The answer depends on the job alone and not on measured times, so that a rerun computes alike.
    """
    if device.type == "cuda":
        return True  # a guess: launches bound small networks there; benchmarks/gpu.py measures it
    tensors = sum(1 for _ in network.parameters())
    return compute.operations(network, shape) * batch / tensors < _MOSTLY_LAUNCHES
