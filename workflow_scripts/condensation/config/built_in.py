"""Entries that every config has without naming them, section by section."""

from typing import Any

from condensation.config.entries import OPTIMIZERS

BUILT_IN: dict[str, dict[str, dict[str, Any]]] = {
    "architectures": {
        "convnet": {"network": "convnet"},
        "mlp": {"network": "mlp"},
        "resnet18": {"network": "resnet", "depth": 18},
        "resnet152": {"network": "resnet", "depth": 152},
        "vit": {"network": "vit"},
    },
    "augmentations": {
        "none": {"policy": "none"},
        "dsa": {"policy": "dsa"},
        "imagenet_aug": {
            "policy": "torchvision",
            "transforms": [
                {"RandomCrop": {"padding": 4}},
                {"RandomHorizontalFlip": {}},
                {
                    "ColorJitter": {
                        "brightness": 0.4,
                        "contrast": 0.4,
                        "saturation": 0.4,
                        "hue": 0.2,
                    }
                },
            ],
        },
        "randaug": {
            "policy": "torchvision",
            "transforms": [{"RandAugment": {"num_ops": 1, "magnitude": 9}}],
        },
        "autoaug": {"policy": "torchvision", "transforms": [{"AutoAugment": {}}]},
    },
    "optimizers": {name: {"algorithm": name} for name in OPTIMIZERS},
    "features": {"embedding": {}, "scoring": {"epochs": 20, "scores": True}},
    "trajectories": {"experts": {}},
}
