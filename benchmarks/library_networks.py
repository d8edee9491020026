"""Networks of torchvision and timm at three sizes of image: trained for a few steps, or refused.

    python benchmarks/library_networks.py                       writes docs/networks.md
    python benchmarks/library_networks.py --networks timm:resnet10t --sizes 32

Each is trained as an evaluation does: one epoch on three images, two at a time, so that one is left
over, and tested on two. What is refused is refused by the trial before any job, for the reason
that stands there. The embedding is what DM and features take. How well they do is not looked at: a
step or two leave the statistics of batch norm near those of a new network.
"""

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from condensation import networks  # noqa: E402
from condensation.config.entries import SGD, Evaluation  # noqa: E402
from condensation.core.errors import InputError  # noqa: E402
from condensation.data.datasets import Dataset  # noqa: E402
from condensation.data.sets import Condensed  # noqa: E402
from condensation.training import evaluation  # noqa: E402

SIZES = (32, 64, 224)
NETWORKS = [
    *(
        f"torchvision:{name}"
        for name in (
            *("alexnet", "convnext_tiny", "efficientnet_b0"),
            *("googlenet", "inception_v3", "maxvit_t", "mnasnet0_5", "mobilenet_v2"),
            *("mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnet50"),
            *("shufflenet_v2_x0_5", "squeezenet1_1", "swin_t"),
            *("vgg11", "vit_b_32"),
        )
    ),
    *(
        f"timm:{name}"
        for name in (
            *("convit_tiny", "convnext_atto", "crossvit_tiny_240", "cspnext_tiny", "dla46x_c"),
            *("edgenext_xx_small", "efficientformer_l1", "efficientnet_lite0", "efficientvit_b0"),
            *("fasternet_t0", "ghostnet_050", "hgnetv2_b0", "inception_next_atto"),
            *("lcnet_035", "levit_128s", "mambaout_femto", "mobilenetv3_small_050"),
            *("mobilevit_xxs", "pit_ti_224", "pvt_v2_b0", "regnetx_002", "repvit_m1", "resnet10t"),
            *("rexnet_100", "sequencer2d_s", "swiftformer_xs", "test_vit", "vit_tiny_patch16_224"),
        )
    ),
]
CLASSES = 3


def trained(network: str, side: int) -> str:
    """Return ``trained`` with the size of the embedding, or why the network is refused."""
    shape, entry = (3, side, side), {"network": network}
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, *shape), generator=generator, dtype=torch.uint8)
    labels = torch.arange(2) % CLASSES
    names = tuple(map(str, range(CLASSES)))
    constants = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    dataset = Dataset("random", names, pixels, labels, pixels, labels, **constants)
    images = torch.randn(3, *shape, generator=generator)
    protocol = Evaluation(epochs=1, batch_size=2, inclusive=False)
    try:
        built = networks.build(entry, shape, CLASSES, 0)
        rows, _ = evaluation.evaluate(
            *(Condensed(images, torch.arange(3) % CLASSES), dataset, [0]),
            architecture=entry,
            augmentation={"policy": "none"},
            optimizer=SGD(algorithm="sgd").model_dump(),
            protocol=protocol.model_dump(exclude={"seeds_per_job"}),
            device=torch.device("cpu"),
        )
    except InputError as error:
        reason = " ".join(str(error).split())  # a row of the table is a line
        return reason.removeprefix(f"architecture {network} ")
    try:
        with torch.no_grad():
            embedding = f"embedding of {built.embed(images[:2]).shape[1]}"
    except InputError:
        embedding = "no embedding"
    (_, loss), *_ = rows[0]["curve"]
    return f"trained, {embedding}" if loss is not None else "trained to a loss that is no number"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--output", default=ROOT / "docs" / "networks.md", type=Path)
    arguments = parser.parse_args()
    heads = [f"{side} x {side}" for side in arguments.sizes]
    lines = [
        "# Networks of torchvision and timm",
        "",
        "Made by `python benchmarks/library_networks.py` with torch "
        f"{torch.__version__.partition('+')[0]}: each is trained on three images, two at a time, "
        "and tested; what is refused is refused before any job, for the reason that stands there. "
        "*Embedding*: the values that its last linear layer takes, for DM and features.",
        "",
        f"| network | {' | '.join(heads)} |",
        "|---" * (1 + len(heads)) + "|",
    ]
    for network in arguments.networks:
        cells = [trained(network, side).replace("|", "\\|") for side in arguments.sizes]
        lines.append(f"| `{network}` | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
