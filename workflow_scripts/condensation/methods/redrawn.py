"""A network whose parameters are drawn anew in each iteration, and arrive in one copy."""

import torch
from torch import nn

from condensation.methods.derivatives import values


class Redrawn:
    """A network on the device, its parameters one block of memory.

    Its norms are in training mode, all else in evaluation mode: dropout would draw from torch's
    global generator, and depend on which classes share a pass.

    Attributes
    ----------
    structure : the network; it stays the same object and keeps its place in memory.
    """

    def __init__(self, structure: nn.Module, device: torch.device):
        self.structure = structure.to(device).eval().requires_grad_(False)
        for module in self.structure.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):  # batch and instance norms
                module.training = True
        self._block = values(self.structure)
        parameters = list(self.structure.parameters())
        parts = self._block.split([parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.data = part.view(parameter.shape)

    def load(self, vector: torch.Tensor, network: nn.Module) -> None:
        """Take the parameters in ``vector``, on the device, and the buffers of ``network``."""
        self._block.copy_(vector)
        for buffer, fresh in zip(self.structure.buffers(), network.buffers(), strict=True):
            buffer.copy_(fresh)
