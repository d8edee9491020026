"""A trial pass through a network that is not built in, before it is trained."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from condensation.core.errors import InputError

_IMAGES = 2  # the fewest that batch norm takes
# networks that passed -> their class with `embed`, and the path of their last linear layer
_tried: dict[tuple, tuple[type[nn.Module], str | None]] = {}


def try_out(
    network: Any, name: str, options: dict[str, Any], shape: tuple[int, int, int], classes: int
) -> nn.Module:
    """Try a network on noise, and give it a method ``embed`` if it has none.

    Noise images pass forward in evaluation mode, and forward and backward in training mode.
    Networks of the same ``name`` and ``options`` are tried once. ``embed`` returns the input of the
    last linear layer, images [n, C, H, W] -> [n, features]; it raises InputError if the logits do
    not come from a linear layer.

    Returns
    -------
    The network, in training mode.

    Raises
    ------
    InputError
        If ``network`` is not a torch module, or does not return logits [n, classes].
    """
    if not isinstance(network, nn.Module):
        raise InputError(
            f"architecture {name}: returned {type(network).__name__}; expected a torch.nn.Module"
        )
    key = (name, repr(sorted(options.items())), shape, classes, type(network))
    if key not in _tried:
        images = torch.randn(_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
        last = _last_linear(network, name, images, classes)
        with torch.enable_grad():
            _logits(copy.deepcopy(network).train(), name, images, classes).sum().backward()
        _tried[key] = type(network), None
        if not hasattr(network, "embed"):
            kind = type(network)
            attributes = {"embed": _embedding(name, last), "__module__": kind.__module__}
            _tried[key] = type(kind.__name__, (kind,), attributes), last
    network.__class__, last = _tried[key]
    if last is not None:
        layer = network.get_submodule(last)
        layer.gives_its_input = False
        layer.register_forward_hook(_hook)
    return network.train()


def _logits(network: nn.Module, name: str, images: torch.Tensor, classes: int) -> torch.Tensor:
    way = " in training" if network.training else ""
    try:
        logits = network(images)
    except Exception as error:
        size = " x ".join(map(str, images.shape[1:]))
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(
            f"architecture {name} does not take images of {size}{way}: {reason}"
        ) from error
    expected = (len(images), classes)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != expected:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise InputError(
            f"architecture {name} gives {got} for two images{way}; expected logits {expected}"
        )
    return logits


def _last_linear(network: nn.Module, name: str, images: torch.Tensor, classes: int) -> str | None:
    """Return the path of the linear layer whose output is the logits; None if there is none."""
    calls = []
    hooks = [
        module.register_forward_hook(
            lambda _, inputs, output, path=path: calls.append((path, inputs[0], output))
        )
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear)
    ]
    with torch.no_grad():
        logits = _logits(network.eval(), name, images, classes)
    for hook in hooks:
        hook.remove()
    for path, inputs, output in reversed(calls):
        if inputs.dim() == 2 and output.shape == logits.shape and torch.equal(output, logits):
            return path if _is_the_output(network, path, images, inputs) else None
    return None


def _is_the_output(
    network: nn.Module, path: str, images: torch.Tensor, inputs: torch.Tensor
) -> bool:
    """Return whether the network returns the layer's output, not a mean of several heads."""
    hook = network.get_submodule(path).register_forward_hook(lambda *_: inputs)
    try:
        with torch.no_grad():
            return torch.equal(network(images), inputs)
    except RuntimeError:  # other shapes
        return False
    finally:
        hook.remove()


def _embedding(name: str, last: str | None) -> Callable[[nn.Module, torch.Tensor], torch.Tensor]:
    def embed(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return the input of the last linear layer for images [n, C, H, W]: [n, features]."""
        if last is None:
            raise InputError(
                f"architecture {name} has no embedding: its logits do not come from a linear "
                "layer. Take another one for `dm` and for features"
            )
        layer = network.get_submodule(last)
        layer.gives_its_input = True
        try:
            return network(images)
        finally:
            layer.gives_its_input = False

    return embed


def _hook(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
    # a permanent hook: torch.compile does not follow hooks that are added and removed
    return inputs[0] if layer.gives_its_input else output
