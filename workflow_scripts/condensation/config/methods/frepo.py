"""FRePo: regression on the features of a pool of networks."""

from typing import Literal

from pydantic import Field

from condensation.config.base import Preprocessing
from condensation.config.methods.base import Synthesis


class FRePo(Synthesis):
    """Images and labels learned by regression on the features of a pool of trained networks.

    The defaults are those of the authors' scripts for CIFAR-10. There, the ConvNet has batch norm
    and no bias, and doubles its width from layer to layer; here it is the one of ``architecture``.
    """

    citation = "Zhou, Nezhadarya & Ba (2022), arXiv:2206.00719"
    network_use = "embed"

    algorithm: Literal["frepo"] = Field(description="Selects this algorithm.")
    iterations: int = Field(500_000, ge=0, description="Updates of the images.")
    lr: float = Field(
        3e-4,
        gt=0,
        description="Learning rate of LAMB on images and labels; it falls along a cosine to a "
        "tenth.",
    )
    batch_real: int = Field(1024, ge=1, description="Real images per iteration.")
    ridge: float = Field(
        1e-6, ge=0, description="Ridge, as a multiple of the mean of the kernel's diagonal."
    )
    learn_labels: bool = Field(True, description="Learn the labels too; they become soft labels.")
    flip: bool = Field(
        True,
        description="Each image also counts as its mirror image; never for datasets whose images "
        "must not be flipped. The authors switch it off for CIFAR-100 and TinyImageNet above "
        "IPC 1.",
    )
    networks: int = Field(10, ge=1, description="Networks in the pool.")
    max_updates: int = Field(
        100,
        ge=0,
        description="Steps of a network on the set, after which a new one takes its place.",
    )
    lr_network: float = Field(3e-4, gt=0, description="Learning rate of Adam on the networks.")
    architecture: str = Field("convnet", description="A name under `architectures`.")
    preprocessing: Preprocessing = Field(
        "zca_kip", description="Preprocessing of the images, in condensation and in evaluation."
    )
