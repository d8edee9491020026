"""Networks of timm and torchvision by name, for any image size and number of channels."""

import inspect
from typing import Any

from torch import nn

from condensation.core.errors import InputError, nearest
from condensation.networks.trial import try_out

# what prints the names of all networks
LISTING = {
    "timm": "import timm; print(*timm.list_models())",
    "torchvision": "from torchvision import models; print(*models.list_models(module=models))",
}
_CLOSE_NAMES = 3  # to suggest
# image sides to suggest where a network refuses smaller images
_SIDES = (48, 64, 75, 96, 112, 128, 160, 192, 224, 240, 256, 299)


def build(shape: tuple[int, int, int], classes: int, *, source: str, **options: Any) -> nn.Module:
    """Return an untrained network for images of ``shape`` (C, H, W).

    Parameters
    ----------
    source : ``timm:NAME`` or ``torchvision:NAME``.
    options : further arguments for the library. Channels, classes and image size are filled in
        where the network takes them. Auxiliary classifiers are left out: the loss uses the logits
        only.

    Raises
    ------
    InputError
        If the library does not have the network or refuses the arguments, or the network refuses
        the images; the message then names a larger size that works, if there is one.
    """
    try:
        return _tried(shape, classes, source, options)
    except InputError as error:
        if "has no network" in str(error):
            raise
        larger = (side for side in _SIDES if side > max(shape[1:]))
        side = next((side for side in larger if _takes(side, shape[0], source, options)), None)
        if side is None:
            raise
        raise InputError(f"{error}; it takes {side} x {side}") from error


def _takes(side: int, channels: int, source: str, options: dict[str, Any]) -> bool:
    try:
        _tried((channels, side, side), 2, source, options)
    except InputError:
        return False
    return True


def _tried(
    shape: tuple[int, int, int], classes: int, source: str, options: dict[str, Any]
) -> nn.Module:
    library, _, name = source.partition(":")
    make = _timm if library == "timm" else _torchvision
    try:
        network = make(name, shape, classes, options)
    except InputError:
        raise
    except Exception as error:  # the libraries raise many kinds
        raise InputError(f"architecture {source}({options}): {error}") from error
    return try_out(network, source, options, shape, classes)


def _timm(
    name: str, shape: tuple[int, int, int], classes: int, options: dict[str, Any]
) -> nn.Module:
    import timm

    if not timm.is_model(name):
        raise InputError(_unknown("timm", name, timm.list_models()))
    arguments = {"in_chans": shape[0], "num_classes": classes} | options
    try:  # transformers need the image size; most other networks do not take it
        return timm.create_model(name, img_size=shape[1:], **arguments)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return timm.create_model(name, **arguments)


def _unknown(library: str, name: str, known: list[str]) -> str:
    close = nearest(name, known, _CLOSE_NAMES) or "."
    return (
        f"{library} has no network {name!r}{close} This command lists its "
        f"{len(known)} networks: "
        f'python -c "{LISTING[library]}"'
    )


def _torchvision(
    name: str, shape: tuple[int, int, int], classes: int, options: dict[str, Any]
) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise InputError(_unknown("torchvision", name, known))
    arguments = {"num_classes": classes} | options
    accepted = inspect.signature(_class_of(models, name)).parameters
    if "image_size" in accepted:
        arguments.setdefault("image_size", shape[1])
    if "input_size" in accepted:
        arguments.setdefault("input_size", shape[1:])
    if "aux_logits" in accepted:
        arguments.setdefault("aux_logits", False)
    if "init_weights" in accepted:  # torchvision warns about its default
        arguments.setdefault("init_weights", True)
    network = models.get_model(name, weights=None, **arguments)
    if shape[0] != 3:
        _take_channels(network, shape[0])
    return network


def _class_of(models: Any, name: str) -> type:
    """Return the class that a torchvision builder returns; the builder hides its arguments."""
    returned = inspect.signature(models.get_model_builder(name)).return_annotation
    return returned if inspect.isclass(returned) else nn.Module


def _take_channels(network: nn.Module, channels: int) -> None:
    """Replace the first convolution by one for ``channels`` input channels."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            fresh = nn.Conv2d(
                *(channels, module.out_channels, module.kernel_size),
                stride=module.stride,
                padding=module.padding,
                bias=module.bias is not None,
            )
            parent, _, attribute = name.rpartition(".")
            setattr(network.get_submodule(parent), attribute, fresh)
            return
