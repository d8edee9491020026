"""The evaluation protocol (paper, section 4.1; released evaluator).

A network is trained on a condensed set and tested on the real test images after the last epoch.
"""

import importlib
from collections.abc import Callable
from typing import Any

import torch

from condensation import augmentation as augmentations
from condensation import networks
from condensation.core import compute, randomness
from condensation.core.progress import Progress
from condensation.data.datasets import Dataset
from condensation.data.sets import Condensed, by_position
from condensation.training import fitting, jobs, metrics

_ROBUSTNESS = "condensation.training.robustness"
_LABELLED_AT_ONCE = 500  # images in memory while a teacher labels them


def epochs_of(protocol: dict[str, Any], augmentation: dict[str, Any]) -> tuple[int, int]:
    """Return the number of epochs and the index of the epoch that the decay follows.

    For ``epochs: E`` the released code counts 0..E inclusive and decays after epoch index
    E // 2 + 1: with E = 1000, 502 epochs at the first learning rate and 499 at the second.

    Examples
    --------
    >>> protocol = {"epochs": 1000, "inclusive": True, "epochs_without_augmentation": 300}
    >>> epochs_of(protocol, {"policy": "dsa"})
    (1001, 501)
    >>> epochs_of(protocol, {"policy": "none"})
    (301, 151)
    """
    epochs = protocol["epochs"]
    if augmentation["policy"] == "none":
        epochs = protocol["epochs_without_augmentation"] or epochs
    return epochs + (1 if protocol["inclusive"] else 0), epochs // 2 + 1


def evaluate(
    condensed: Condensed,
    dataset: Dataset,
    seeds: list[int],
    *,
    architecture: dict[str, Any],
    augmentation: dict[str, Any],
    optimizer: dict[str, Any],
    protocol: dict[str, Any],
    device: torch.device,
    compile: bool | str = False,
    stack: bool | str = "auto",
    label: str = "",
    labels: str = "own",
    teacher: torch.nn.Module | None = None,
    temperature: float = 1.0,
    corruptions: bool = False,
) -> tuple[list[dict[str, Any]], list[dict[str, float]]]:
    """Train one network per seed on ``condensed`` and test each on the real test images.

    The result of a seed depends on that seed alone, not on the other seeds of the call, up to
    float noise.

    Parameters
    ----------
    condensed, dataset : the set, and the dataset that it condenses.
    seeds : evaluation seeds; each decides initialisation, order and augmentation.
    architecture, augmentation, optimizer, protocol : complete entries of the config.
    compile : True, False, or ``auto``: for jobs long enough to repay compiling.
    stack : True, False, or ``auto``: train the networks as one computation where it is faster.
    label : shown beside the progress.
    labels : ``own`` for those of the set, ``hard``, ``distilled`` or ``distilled_views``, as the
        axis ``labels`` of the config.
    teacher, temperature : of the distilled labels; the network is on ``device``.
    corruptions : also test each network on corrupted test images.

    Returns
    -------
    rows : ``{seed, **metrics, curve}`` per seed (``training.metrics.measure``); the curve holds
        pairs (epochs done, training loss). With ``corruptions``, a row has these too, as
        ``training.robustness.measure`` returns them.
    costs : ``{seed, seconds}`` per seed.

    Raises
    ------
    InputError
        If the network cannot take the images, or the optimizer its options.

    Examples
    --------
    >>> import torch
    >>> from condensation.data.datasets import Dataset
    >>> from condensation.data.sets import Condensed
    >>> images = torch.arange(20 * 64, dtype=torch.int64).remainder(256).to(torch.uint8)
    >>> images, labels = images.view(20, 1, 8, 8), torch.arange(20) % 2
    >>> dataset = Dataset("made up", ("a", "b"), images, labels, images, labels, (0.5,), (0.3,))
    >>> condensed = Condensed(dataset.standardize(images[:4]), labels[:4])
    >>> rows, costs = evaluate(
    ...     condensed,
    ...     dataset,
    ...     seeds=[0, 1],
    ...     architecture={"network": "mlp", "width": 8},
    ...     augmentation={"policy": "none"},
    ...     optimizer={"algorithm": "sgd", "lr": 0.01, "weight_decay": 0.0005, "decay": True},
    ...     protocol={
    ...         "epochs": 3,
    ...         "epochs_without_augmentation": None,
    ...         "inclusive": True,
    ...         "batch_size": 256,
    ...     },
    ...     device=torch.device("cpu"),
    ... )
    >>> [(row["seed"], row["status"], 0 <= row["accuracy"] <= 100) for row in rows]
    [(0, 'ok', True), (1, 'ok', True)]
    """
    shape, classes = dataset.shape, len(dataset.classes)
    # by name, so that the digests of other evaluations do not cover it
    robustness = importlib.import_module(_ROBUSTNESS) if corruptions else None

    def build(seed: int) -> torch.nn.Module:
        return networks.build(architecture, shape, classes, seed, "evaluation network").to(device)

    condensed = condensed.formed()
    example = build(seeds[0])
    augment = augmentations.build(augmentation, dataset)
    # raises before anything is trained if the optimizer does not take its options
    fitting.build_optimizer(list(example.parameters()), optimizer, optimizer["lr"])
    batch = by_position(condensed, dataset, device)
    targets = condensed.labels.to(device)
    if labels == "hard" and targets.dim() == 2:
        targets = targets.argmax(1)

    taught_at_once = None if teacher is None else compute.shown_at_once(teacher, shape, device)

    def distilled(images: torch.Tensor) -> torch.Tensor:
        """Return the teacher's shares of the classes for images [..., C, H, W]."""
        assert teacher is not None
        with torch.inference_mode():
            logits = compute.in_parts(teacher, images.flatten(0, -4), taught_at_once)
        return (logits / temperature).softmax(1).view(*images.shape[:-3], classes).clone()

    if labels == "distilled":
        positions = torch.arange(len(targets), device=device).split(_LABELLED_AT_ONCE)
        targets = torch.cat([distilled(batch(part)) for part in positions])
    epochs, decay_after = epochs_of(protocol, augmentation)
    at_once = compute.images_at_once(example, shape, device)
    fewest = compute.fewest_at_once(example, shape)
    batches = compute.batches(torch.arange(len(targets)), protocol["batch_size"], fewest)
    steps = epochs * len(batches)
    passes = len(seeds) * (3.0 * epochs * len(targets) + len(dataset.test_labels))
    mode = compute.choose_mode(
        compile, "float32", example, shape, device, passes, len(seeds) * steps
    )

    def fit(
        group: list[int], forward: jobs.Forward, parameters: list, progress: Progress
    ) -> list[fitting.Curve]:
        with randomness.seeded(group[0], "evaluation dropout"):
            return fitting.fit(
                *(forward, parameters, batch, targets),
                epochs=epochs,
                batch_size=protocol["batch_size"],
                optimizer=optimizer,
                decay_after=decay_after if optimizer["decay"] else None,
                augment=augment,
                generators=[randomness.generator(seed, "evaluation training") for seed in group],
                at_once=jobs.images_each(at_once, len(group)),
                fewest=fewest,
                progress=progress,
                relabel=distilled if labels == "distilled_views" else None,
                temperature=temperature,
            )

    def test(group: list[int], forward: jobs.Forward, curves: list[fitting.Curve]) -> jobs.Rows:
        most = compute.shown_at_once(example, shape, device, len(group))
        rows = metrics.measure(forward, len(group), dataset, device, most)
        if robustness is not None:
            accuracies = robustness.measure(forward, len(group), dataset, device, most)
            rows = [row | {"corruptions": a} for row, a in zip(rows, accuracies, strict=True)]
        return [row | {"curve": curve} for row, curve in zip(rows, curves, strict=True)]

    return jobs.train_networks(
        *(seeds, build, fit, test),
        example=example,
        shape=shape,
        batch_size=min(len(targets), protocol["batch_size"]),
        steps=steps,
        stack=stack,
        compile=mode.compile,
        at_once=at_once,
        label=label,
    )


def outcome(
    load: Callable[[], Condensed | None],
    status: str,
    dataset: Dataset,
    seeds: list[int],
    **options: Any,
) -> tuple[list[dict[str, Any]], list[dict[str, float]]]:
    """Return rows and costs as ``evaluate`` does; rows without a result if memory runs out.

    Parameters
    ----------
    load : returns the set; None if its method failed.
    status : the status of the set: ``ok``, ``oom`` or ``diverged``.
    options : the keyword arguments of ``evaluate``.
    """

    def results() -> tuple[list[dict[str, Any]], list[dict[str, float]]]:
        condensed = load()
        if condensed is None:
            return failed_rows(seeds, status), []
        return evaluate(condensed, dataset, seeds, **options)

    rows, costs = jobs.unless_out_of_memory(results) or (failed_rows(seeds, "oom"), [])
    if rows[0]["status"] == "oom":
        compute.make_room()
    return rows, costs


def failed_rows(seeds: list[int], status: str) -> list[dict[str, Any]]:
    """Return the rows of networks without a result; ``status`` is ``oom`` or ``diverged``."""
    return [{"seed": seed, **metrics.failed(status), "curve": []} for seed in seeds]
