"""What jobs are expected to compute and hold, against what is counted as they run."""

from dataclasses import replace

import pytest
import torch
from conftest import ROOT, small_dataset
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from condensation.config import loading, schema
from condensation.data import set_measures
from condensation.data.sets import Condensed
from condensation.methods import contract, experts
from condensation.planning import requests, work
from condensation.planning.sizes import Images
from condensation.training.evaluation import evaluate
from condensation.workflow import grid, jobs

SHORT = {"architecture": "small", "batch_real": 16}
METHODS = {
    "dc": {"algorithm": "dc", "iterations": 2, "outer": 3, "inner": 2, **SHORT},
    "dsa": {"algorithm": "dsa", "iterations": 2, "outer": 2, "inner": 2, **SHORT},
    "dm": {"algorithm": "dm", "iterations": 3, **SHORT},
    "tm": {
        **{"algorithm": "tm", "iterations": 2, "experts": 1, "steps": 4, "expert_epochs": 1},
        **{"max_start": 1, "lr": 1.0, "lr_step": 1e-7, "step_size": 0.01},
    },
    "datm": {
        **{"algorithm": "datm", "iterations": 2, "experts": 1, "steps": 4, "expert_epochs": 1},
        **{"min_start": 0, "first_max_start": 1, "max_start": 1, "growth": 0, "lr": 1.0},
        **{"lr_labels": 1.0, "lr_step": 1e-7, "threshold": 2.0, "init": "random"},
    },
    "kip": {"algorithm": "kip", "iterations": 3, "batch_real": 60, "preprocessing": "standardize"},
    "conv": {
        **{"algorithm": "kip", "kernel": "conv_features", "iterations": 2, "batch_real": 30},
        **{"networks": 2, "width": 16, "preprocessing": "standardize"},
    },
    "frepo": {
        **{"algorithm": "frepo", "iterations": 3, "batch_real": 30, "networks": 2},
        **{"architecture": "small", "preprocessing": "standardize"},
    },
    "dm_factor": {
        **{"algorithm": "dm", "factor": 2, "iterations": 3, "batch_real": 10},
        "architecture": "small",
    },
    "random": {"algorithm": "random"},
    "mine": {"algorithm": f"{__file__}:mine"},
}


def mine(problem):
    """A method of a user's own."""
    return problem.real(problem.draw_real(problem.ipc, problem.generator("mine")).flatten())


def make_config(**sections) -> schema.Config:
    content = {
        "datasets": {"small": {"source": "image_folder", "path": "small.tar"}},
        "methods": METHODS,
        "architectures": {"small": {"network": "convnet", "width": 16, "depth": 2}},
        "trajectories": {"experts": {"architecture": "small", "epochs": 2}},
        "evaluation": {"epochs": 5},
        "experiments": {
            "e": {
                **{"datasets": ["small"], "methods": [*METHODS], "ipc": [4]},
                **{"architectures": ["small", "mlp"], "evaluation_seeds": 2},
            }
        },
    }
    return loading.parse(content | sections)


@pytest.fixture
def data():
    return small_dataset(classes=3, per_class=40, shape=(3, 16, 16), test_per_class=10)


@pytest.fixture
def estimator(data) -> work.Estimator:
    config = make_config()
    estimator = work.Estimator(config, grid.expand(config))
    estimator.images = lambda _: Images(data.shape, 3, 120, 30)
    return estimator


class Count(TorchDispatchMode):
    """Counts the operations of every product and convolution that torch is asked for."""

    total = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        count = flop_registry.get(func.overloadpacket)
        if count is None:  # in inference mode an operator may come whole
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        self.total += count(*args, **kwargs, out_val=out) if count else 0
        return out


def counted(function) -> float:
    with Count() as counter:
        function()
    return counter.total


CELL = {"dataset": "small", "ipc": "4", "condensation_seed": "0"}


@pytest.mark.parametrize(
    "method", ["dc", "dsa", "dm", "dm_factor", "tm", "datm", "kip", "conv", "frepo"]
)
def test_a_condensation_computes_what_is_expected(method, data, estimator):
    config = make_config()
    job = jobs.condense(config, grid.SetId("small", method, "4", 0))
    problem = contract.Problem(data, 4, 0)
    if method in ("tm", "datm"):
        options = jobs.train_expert(config, grid.expand(config), "small", "experts")["options"]
        for handled in ("preprocessing", "together"):
            options.pop(handled)
        snapshots, entry = experts.train(problem, [0], **options), options["architecture"]
        problem = replace(problem, trajectories=experts.Trajectories([*snapshots], entry))
    run = contract.resolve(job["function"])
    operations = counted(lambda: run(problem, **job["options"]))
    expected = estimator.operations_of(estimator.of("condense", CELL | {"method": method}), "small")
    assert 0.5 < expected / operations < 2, (expected, operations)


# no gradient of the first layer's input is computed, which is much of an MLP
@pytest.mark.parametrize(("architecture", "most"), [("small", 1.25), ("mlp", 1.5)])
def test_an_evaluation_computes_what_is_expected(architecture, most, data, estimator):
    config = make_config()
    condensed = Condensed(torch.randn(12, *data.shape), torch.arange(3).repeat_interleave(4))
    options = jobs.evaluate(config, architecture, "dsa", "sgd")["options"]
    operations = counted(
        lambda: evaluate(
            condensed, data, [0, 1], device=torch.device("cpu"), stack=False, **options
        )
    )
    way = {"method": "random", "architecture": architecture, "augmentation": "dsa"}
    way |= {"optimizer": "sgd", "first": "0", "last": "1", "snapshot": ""}
    expected = estimator.operations_of(estimator.of("evaluate", CELL | way), "small")
    assert 0.8 < expected / operations < most, (expected, operations)


def test_measures_of_sets_compute_what_is_expected(data, estimator, tmp_path, monkeypatch):
    path, sizes, cdist = tmp_path / "neighbours", [], torch.cdist

    def count(first, second):
        sizes.append(2.0 * len(first) * len(second) * first.shape[1])
        return cdist(first, second)

    monkeypatch.setattr(torch, "cdist", count)
    set_measures.write_neighbours(data, path)
    around = sum(sizes)
    neighbours = set_measures.load_neighbours(path, data)
    condensed = Condensed(torch.randn(12, *data.shape), torch.arange(3).repeat_interleave(4))
    set_measures.measure(condensed, data, neighbours)
    for rule, wildcards, operations in (
        ("find_neighbours", {"dataset": "small", "view": "standardize"}, around),
        ("measure_set", CELL | {"method": "dm"}, sum(sizes) - around),
    ):
        expected = estimator.of(rule, wildcards).operations
        assert 0.9 < expected / operations < 4, (rule, expected, operations)


def test_an_expert_computes_what_is_expected(data, estimator):
    config = make_config()
    options = jobs.train_expert(config, grid.expand(config), "small", "experts")["options"]
    for handled in ("preprocessing", "together"):
        options.pop(handled)
    operations = counted(lambda: experts.train(contract.Problem(data, None, 0), [0], **options))
    expected = estimator.of("train_expert", {"dataset": "small", "trajectories": "experts"})
    assert 0.8 < estimator.operations_of(expected, "small") / operations < 1.25


def test_experts_of_one_job_take_as_much_as_each_of_them(data):
    works = []
    for together in (1, 3):
        entry = {"architecture": "small", "epochs": 2, "together": together}
        config = make_config(trajectories={"experts": entry})
        estimator = work.Estimator(config, grid.expand(config))
        estimator.images = lambda _: Images(data.shape, 3, 120, 30)
        works.append(estimator.of("train_expert", {"dataset": "small", "trajectories": "experts"}))
    single, several = works
    assert several.passes == 3 * single.passes and several.steps == single.steps
    assert several.disk_bytes == 3 * single.disk_bytes
    assert single.device_bytes < several.device_bytes < 3 * single.device_bytes


# --- on the device --------------------------------------------------------------------------------


def paper(**method) -> work.Estimator:
    config = make_config(
        datasets={"cifar10": {"source": "cifar10"}},
        methods={"tm": {"algorithm": "tm"} | method},
        architectures={"convnet": {"network": "convnet"}},
        trajectories={},
        experiments={"e": {"datasets": ["cifar10"], "methods": ["tm"], "ipc": [1, 10, 50]}},
    )
    return work.Estimator(config, grid.expand(config))


def tm(ipc: int, **method) -> float:
    wildcards = {"dataset": "cifar10", "method": "tm", "ipc": str(ipc), "condensation_seed": "0"}
    return requests.device_mb(paper(**method).of("condense", wildcards))


def test_the_unrolled_gradient_runs_out_of_40_gb_where_the_paper_did():
    """Table 8: TM on CIFAR-10 ran at IPC 1 and 10, and out of memory at IPC 50 on 40 GB."""
    sizes = [tm(ipc, gradient="unroll") for ipc in (1, 10, 50)]
    assert sizes[0] < sizes[1] < 40_000 < sizes[2], sizes
    assert max(tm(ipc) for ipc in (1, 10, 50)) < 8_000, "the exact gradient fits"


# peak MB by side in pixels (docs/measurements.md, Memory of large images)
MEASURED = {
    "dm": {64: 1077, 128: 2534, 224: 6681},
    "kcenter": {64: 821, 128: 913, 224: 1207},
    "rded": {64: 864, 128: 973, 224: 1576},
}


@pytest.mark.parametrize("method", MEASURED)
def test_a_job_on_large_images_asks_for_what_was_measured_and_fits_a_gpu(method):
    config = make_config(
        datasets={"mine": {"source": "image_folder", "path": "mine.tar", "like": "tinyimagenet"}},
        methods={method: {"algorithm": method}},
        features={"scoring": {"epochs": 2, "scores": True}},
        experiments={"e": {"datasets": "mine", "methods": method, "ipc": 10}},
        compute={"device": "cpu"},
    )
    for side, peak in MEASURED[method].items():
        images = {"mine": Images((3, side, side), 10, 2560, 10)}
        asks = requests.Requests(config, grid.expand(config), images=images)
        wildcards = {"dataset": "mine", "method": method, "ipc": "10", "condensation_seed": "0"}
        assert peak <= asks.memory_mb("condense", wildcards) <= 10 * peak
        if method != "dm":  # which takes as many real images as fit
            assert requests.device_mb(asks.estimator.of("condense", wildcards)) < 16_000


# --- requests -------------------------------------------------------------------------------------


@pytest.fixture
def paper_requests() -> requests.Requests:
    config = loading.load(ROOT / "config/paper.yaml")
    return requests.Requests(config, grid.expand(config))


def evaluation(**changes) -> dict[str, str]:
    cell = {"dataset": "cifar10", "method": "random", "ipc": "10", "condensation_seed": "0"}
    cell |= {"architecture": "convnet", "augmentation": "dsa", "optimizer": "sgd"}
    return cell | {"first": "0", "last": "4", "snapshot": ""} | changes


@pytest.mark.parametrize(
    "more", [{"ipc": "50"}, {"architecture": "resnet152"}, {"dataset": "tinyimagenet"}]
)
def test_more_images_larger_networks_and_larger_datasets_ask_for_more_time(paper_requests, more):
    small, large = (
        paper_requests.minutes("evaluate", evaluation(**changes)) for changes in ({}, more)
    )
    assert large > small


def test_each_attempt_asks_for_twice_as_much(paper_requests):
    for rule, wildcards in (
        ("evaluate", evaluation()),
        ("prepare_dataset", {"dataset": "tinyimagenet"}),
    ):
        for request in (paper_requests.memory_mb, paper_requests.minutes):
            first, second, third = (request(rule, wildcards, attempt) for attempt in (1, 2, 3))
            assert (second, third) == (2 * first, 4 * first)


def test_a_users_method_is_assumed_and_gets_ample_memory(estimator):
    estimate = estimator.of("condense", CELL | {"method": "mine"})
    assert not estimate.known
    assert estimate.device_bytes >= 4e9
