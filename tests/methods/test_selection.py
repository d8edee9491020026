"""Selection of real images, against brute force, hand-made examples and another implementation."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from conftest import ROOT, small_dataset

from condensation.config.loading import parse
from condensation.core.errors import InputError
from condensation.methods import greedy_kcenter, herding, random, random_labels, scored
from condensation.methods.contract import Problem, finish

STREAM = torch.Generator().manual_seed(3)
FEATURES = torch.randn(60, 4, generator=STREAM)


@pytest.fixture
def problem(dataset):
    return Problem(dataset, ipc=3, seed=0, features=FEATURES)


def by_class(problem, selected):
    """Return the positions within each class that were selected, in order."""
    rows = selected.view(problem.classes, -1)
    return [
        [int((indices == position).nonzero()) for position in row]
        for indices, row in zip(problem.dataset.indices_by_class(), rows, strict=True)
    ]


def test_herding_is_that_of_the_documentation(problem):
    text = (ROOT / "docs/adding-a-method.md").read_text()
    documented: dict = {}
    exec(text.split("```python\n")[1].split("```")[0], documented)
    for normalize in (True, False):
        ours = herding.condense(problem, features="pixels", normalize=normalize)
        assert torch.equal(ours, documented["herding"](problem, normalize=normalize))


def test_herding_adds_the_image_that_brings_the_mean_nearest(problem):
    selected = herding.condense(problem, features="embedding", normalize=False)
    for indices, row in zip(
        problem.dataset.indices_by_class(), by_class(problem, selected), strict=True
    ):
        points = FEATURES[indices].double()
        for count in range(1, 4):
            means = {
                candidate: points[[*row[: count - 1], candidate]].mean(0)
                for candidate in range(len(points))
                if candidate not in row[: count - 1]
            }
            gaps = {key: float((mean - points.mean(0)).norm()) for key, mean in means.items()}
            assert min(gaps, key=gaps.get) == row[count - 1]


def test_greedy_kcenter_on_a_line():
    dataset = small_dataset(classes=1, per_class=5)
    places = torch.tensor([0.0, 1.0, 2.0, 3.0, 9.0])[:, None]  # their mean is 3
    problem = Problem(dataset, ipc=4, seed=0, features=places)
    selected = greedy_kcenter.condense(problem, features="embedding", start="mean")
    assert places[selected].flatten().tolist() == [3.0, 9.0, 0.0, 1.0]  # 1 and 2 are as far


def test_greedy_kcenter_is_at_most_twice_as_far_as_the_best(problem):
    def radius(points, centres):
        return float(torch.cdist(points, points[list(centres)]).min(1).values.max())

    selected = greedy_kcenter.condense(problem, features="embedding", start="random")
    for indices, row in zip(
        problem.dataset.indices_by_class(), by_class(problem, selected), strict=True
    ):
        points = FEATURES[indices].double()
        best = min(radius(points, centres) for centres in combinations(range(len(points)), 3))
        assert radius(points, row) <= 2 * best + 1e-9
        farthest = torch.cdist(points, points[row[:2]]).min(1).values.argmax()
        assert row[2] == int(farthest)


def test_greedy_kcenter_starts_where_the_option_says(problem):
    means = greedy_kcenter.condense(problem, features="embedding", start="mean")
    for indices, row in zip(
        problem.dataset.indices_by_class(), by_class(problem, means), strict=True
    ):
        points = FEATURES[indices]
        assert row[0] == int((points - points.mean(0)).norm(dim=1).argmin())
    starts = {
        tuple(
            greedy_kcenter.condense(
                replace(problem, seed=seed, ipc=1), features="embedding", start="random"
            ).tolist()
        )
        for seed in range(5)
    }
    assert len(starts) > 1


@pytest.mark.parametrize("method", [herding, greedy_kcenter])
def test_equal_images_are_not_selected_twice(problem, method):
    same = replace(problem, features=torch.ones(60, 4))
    options = {"normalize": True} if method is herding else {"start": "mean"}
    selected = method.condense(same, features="embedding", **options)
    assert len(set(selected.tolist())) == 9


@pytest.mark.parametrize("order", ["hardest", "easiest"])
def test_scores_select_the_ends_of_each_class(problem, order):
    scores = torch.rand(60, generator=torch.Generator().manual_seed(1))
    scored_problem = replace(problem, scores={"el2n": scores})
    selected = scored.select(scored_problem, "el2n", "scoring", order).view(3, 3)
    for indices, row in zip(problem.dataset.indices_by_class(), selected, strict=True):
        ranked = sorted(indices.tolist(), key=lambda i: float(scores[i]))
        expected = ranked[::-1][:3] if order == "hardest" else ranked[:3]
        assert row.tolist() == expected


def test_images_never_learned_are_the_hardest_and_equal_scores_come_in_random_order(problem):
    events = torch.zeros(60)
    never = [int(indices[4]) for indices in problem.dataset.indices_by_class()]
    events[never] = torch.inf
    draws = set()
    for seed in range(4):
        scored_problem = replace(problem, seed=seed, scores={"forgetting": events})
        selected = scored.select(scored_problem, "forgetting", "scoring", "hardest").view(3, 3)
        assert selected[:, 0].tolist() == never
        draws.add(tuple(selected[:, 1:].flatten().tolist()))
    assert len(draws) == 4


def test_scores_that_are_missing_are_named(problem):
    with pytest.raises(InputError, match="'embedding' have no scores: set `scores: true`"):
        scored.select(problem, "el2n", "embedding", "hardest")


def test_a_config_names_features_with_scores():
    content = {
        "datasets": {"digits": {"source": "digits"}},
        "methods": {"m": {"algorithm": "forgetting", "features": "embedding"}},
        "experiments": {"e": {"datasets": "digits", "methods": "m", "ipc": 1}},
    }
    with pytest.raises(InputError, match=r"methods.m.features: 'embedding' has no scores; set"):
        parse(content)
    content["features"] = {"embedding": {"scores": True, "epochs": 2}}
    assert parse(content).methods["m"].features == "embedding"
    with pytest.raises(InputError, match="'pixels' has no scores"):
        parse(content | {"methods": {"m": {"algorithm": "el2n", "features": "pixels"}}})


def test_random_labels_shuffle_the_labels_of_random(problem):
    images, labels = random_labels.condense(problem)
    assert torch.equal(images, problem.real(random.condense(problem)))
    assert labels.bincount().tolist() == [3, 3, 3]
    assert not torch.equal(labels, problem.labels)
    finished = finish((images, labels), problem, "random_labels")
    for image, label in zip(images, labels, strict=True):
        (place,) = (finished.images == image).flatten(1).all(1).nonzero()
        assert finished.labels[place] == label


def test_random_labels_agree_with_the_true_ones_by_chance():
    dataset = small_dataset(classes=10, per_class=40)
    problem = Problem(dataset, ipc=40, seed=0)
    labels = random_labels.condense(problem)[1]
    right = int((labels == problem.labels).sum())
    # 400 matches of probability 0.1: 40, with a standard deviation of 6
    assert 16 <= right <= 64
