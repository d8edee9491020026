"""The plan of a run."""

import math

import pytest
import torch
from builders import pack, plain
from conftest import small_dataset

from condensation import networks
from condensation.config import entries, loading, schema
from condensation.core import storage
from condensation.data import datasets, readers
from condensation.networks import measure
from condensation.planning import forecast, requests, sizes, worklist
from condensation.workflow import grid

PASS, STEP = 1e-4, 1e-3  # seconds


def make_config(**sections) -> schema.Config:
    content = {
        "datasets": {"cifar10": {"source": "cifar10"}},
        "methods": {
            "dm": {"algorithm": "dm", "iterations": 100},
            "tm": {"algorithm": "tm", "experts": 2, "gradient": "unroll"},
        },
        "evaluation": {"epochs": 9},
        "experiments": {
            "e": {
                **{"datasets": ["cifar10"], "methods": ["dm", "tm"], "ipc": [1, 10, 50]},
                **{"architectures": ["convnet", "mlp"], "evaluation_seeds": 2},
            }
        },
    }
    return loading.parse(content | sections)


def calibrated(memory_mb=40_000.0) -> dict:
    speed = {"seconds_per_pass": PASS, "seconds_per_step": STEP}
    return {
        **{"device": "cuda", "device_name": "a GPU", "threads": 1, "memory_mb": memory_mb},
        "operations_per_second": 1e12,
        "networks": {name: {"cifar10": speed} for name in ("convnet", "mlp")},
    }


def planned(results, config=None, **known) -> forecast.Plan:
    config = config or make_config()
    return forecast.forecast(config, grid.expand(config), results, calibrated(**known))


def row(plan: forecast.Plan, rule: str) -> dict:
    return next(row for row in plan.rules if row["rule"] == rule)


def networks_used(config, results) -> list:
    return forecast.networks_used(config, grid.expand(config), results)


START = 5.0  # seconds that each job takes before it begins


def test_the_hours_are_passes_times_the_seconds_of_a_pass(tmp_path):
    plan = planned(tmp_path)
    assert (plan.sets, plan.evaluations, plan.networks) == (6, 12, 24)
    seconds = 0.0
    for ipc in (1, 10, 50):
        images, batches = 10 * ipc, -(-10 * ipc // 256)
        # two methods, two architectures, two networks each, ten epochs, three passes a step
        seconds += 4 * (2 * (10 * 3 * images + 10_000) * PASS + 2 * 10 * batches * STEP + START)
    assert row(plan, "evaluate")["hours_left"] == pytest.approx(seconds / 3600)
    # an expert reads 2 epochs after starts below 40 at IPC 50: 41 epochs of 196 batches
    seconds = 41 * (3 * 50_000 * PASS + 196 * STEP) + START
    assert row(plan, "train_expert")["longest_hours"] == pytest.approx(seconds / 3600)
    assert row(plan, "train_expert")["jobs"] == 2


def test_finished_jobs_time_the_others_and_are_no_longer_left(tmp_path):
    before = planned(tmp_path)
    config = make_config()
    job = next(
        job
        for job in worklist.all_jobs(config, grid.expand(config))
        if job.rule == "condense" and job.name == "dm" and job.wildcards["ipc"] == "1"
    )
    took = 100 * (10 * 256 + 3 * 10) * PASS + 2 * 100 * 3 * STEP  # three groups of classes
    storage.write_json(tmp_path / job.cost, {"seconds": 10 * took})
    after = planned(tmp_path)
    assert row(after, "condense")["done"] == 1
    assert "records" in row(after, "condense")["basis"]
    durations = {10: 0.0, 50: 0.0}
    for ipc in durations:
        durations[ipc] = 100 * (10 * 256 + 3 * 10 * ipc) * PASS + 600 * STEP
    tm = row(before, "condense")["hours_left"] - sum(
        (seconds + START) / 3600 for seconds in (took, *durations.values())
    )
    left = tm + sum((10 * seconds + START) / 3600 for seconds in durations.values())
    assert row(after, "condense")["hours_left"] == pytest.approx(left)
    assert row(after, "evaluate")["hours_left"] == row(before, "evaluate")["hours_left"]


def test_jobs_in_which_a_teacher_labels_each_view_are_timed_apart(tmp_path):
    axes = {"datasets": "cifar10", "methods": "dm", "ipc": [1, 10]}
    config = make_config(experiments={"e": axes | {"labels": ["own", "distilled_views"]}})
    cells = grid.expand(config)
    asked = requests.Requests(config, cells, tmp_path, calibrated())
    jobs = [job for job in worklist.all_jobs(config, cells) if job.rule == "evaluate"]
    before = [asked.seconds(job.rule, job.wildcards) for job in jobs]
    own, by_views = ([job for job in jobs if bool(job.wildcards["labels"]) == v] for v in (0, 1))
    for job, slower in ((own[0], 2), (by_views[0], 5)):
        seconds = slower * before[jobs.index(job)]
        storage.write_json(tmp_path / job.cost, {"rows": [{"seconds": seconds}]})
    asked = requests.Requests(config, cells, tmp_path, calibrated())
    for job, slower in ((own[1], 2), (by_views[1], 5)):
        after = asked.seconds(job.rule, job.wildcards)
        assert after == pytest.approx(slower * before[jobs.index(job)])


def test_a_damaged_record_is_ignored(tmp_path):
    config = make_config()
    for job in worklist.all_jobs(config, grid.expand(config)):
        if job.rule == "condense":
            path = tmp_path / job.cost
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('{"seconds": 1e9}')
    assert row(planned(tmp_path), "condense")["basis"] == "calibration"


def test_what_cannot_fit_the_device_is_named(tmp_path):
    assert [name for name, _ in planned(tmp_path).too_large] == [
        "condense: cifar10, tm, IPC 50, set 0"
    ]
    exact = make_config(methods={"dm": {"algorithm": "dm"}, "tm": {"algorithm": "tm"}})
    assert planned(tmp_path, exact).too_large == []
    declared = make_config(compute={"device_memory_mb": 80_000})
    assert planned(tmp_path, declared).too_large == []
    small = {name for name, _ in planned(tmp_path, memory_mb=2_000.0).too_large}
    assert "condense: cifar10, tm, IPC 10, set 0" in small


def test_the_plan_is_written_in_sentences(tmp_path):
    text = forecast.render(planned(tmp_path))
    assert (
        "6 condensed sets, 12 evaluation jobs with 24 networks. The device: a GPU with 40.0" in text
    )
    assert "Expected not to fit 40.0 GB" in text
    assert "- condense: cifar10, tm, IPC 50, set 0: about" in text


def made_of(on_gpu: bool, rows: list[tuple[str, float, float]], threads=1) -> forecast.Plan:
    """A plan of rows (device or CPU, hours left, hours of the longest open job)."""
    columns = {"jobs": 9, "done": 0, "unknown": 0, "minutes_asked": 5, "memory_gb": 1.0}
    columns |= {"device_gb": 1.0, "disk_gb": 1.0, "basis": "calibration"}
    rules = [
        columns | {"rule": "r", "on": on, "hours_left": left, "longest_hours": longest}
        for on, left, longest in rows
    ]
    return forecast.Plan(
        **{"sets": 1, "evaluations": 1, "networks": 1, "device": "d", "device_gb": None},
        **{"rules": rules, "longest": [], "unknown": [], "too_large": [], "assumed": []},
        **{"operations": 1.0, "threads": threads, "on_gpu": on_gpu},
        longest_left=max(longest for _, _, longest in rows),
    )


@pytest.mark.parametrize(
    ("on_gpu", "rows", "threads", "expected"),
    [
        # 768 h of one thread: 48 h on 16 cores; on 64 cores the longest job is longer than 12 h
        (
            *(False, [("device", 760.0, 20.0), ("CPU", 8.0, 1.0)], 1),
            "With 16 cores: about 2 days; with 64 cores: about 20 h, the longest job. These are",
        ),
        # jobs of four threads: 4 or 16 at a time
        (
            *(False, [("device", 768.0, 20.0)], 4),
            "With 16 cores: about 8 days; with 64 cores: about 2 days. These",
        ),
        # jobs without a GPU run beside the others
        (
            *(True, [("device", 400.0, 20.0), ("CPU", 8.0, 1.0)], 1),
            "With 4 GPUs: about 4.17 days; with 16 GPUs: about 25 h. These are lower bounds: some",
        ),
    ],
)
def test_the_plan_says_what_several_cores_or_gpus_would_take(on_gpu, rows, threads, expected):
    assert f"\n{expected}" in forecast.render(made_of(on_gpu, rows, threads))


def test_only_open_jobs_bound_the_time_of_a_run(tmp_path):
    config = make_config()
    plan = planned(tmp_path)
    assert plan.on_gpu and plan.longest_left == plan.longest[0][1]
    assert "\nWith 4 GPUs: about " in forecast.render(plan)
    for job in worklist.all_jobs(config, grid.expand(config)):
        storage.write_json(tmp_path / job.output, {"seconds": 5.0})
    done = planned(tmp_path)
    assert done.longest_left == 0 and " GPUs: " not in forecast.render(done)


def test_a_calibration_on_a_gpu_leaves_jobs_on_cpus_as_slow_as_they_are(tmp_path):
    config = make_config(
        methods={"kip": {"algorithm": "kip", "iterations": 1}},
        compute={"device": "cuda"},
        experiments={"e": {"datasets": ["cifar10"], "methods": ["kip"], "ipc": [1]}},
    )

    def seconds(rule):
        asked = requests.Requests(config, grid.expand(config), tmp_path)
        jobs = [job for job in worklist.all_jobs(config, grid.expand(config)) if job.rule == rule]
        return asked.seconds(rule, jobs[0].wildcards)

    before = {rule: seconds(rule) for rule in ("fit_whitening", "condense")}
    fast = calibrated() | {"operations_per_second": 1e15}
    storage.write_json(tmp_path / "plan/calibration.json", fast)
    assert seconds("fit_whitening") == pytest.approx(before["fit_whitening"])
    assert seconds("condense") < before["condense"]


def test_without_a_calibration_the_plan_names_its_assumptions(tmp_path):
    config = make_config(
        datasets={"cifar10": {"source": "image_folder", "path": "x.tar"}},
        methods={"random": {"algorithm": "random"}},
        experiments={"e": {"datasets": ["cifar10"], "methods": ["random"], "ipc": [1]}},
    )
    plan = forecast.forecast(config, grid.expand(config), tmp_path)
    assert {row["basis"] for row in plan.rules} == {"assumption"}
    assert plan.too_large == []
    assert "Sizes assumed, not known: " in forecast.render(plan)


def folder(path, train: int, test: int):
    files = {
        f"{split}/{name}/{number}.png": plain((number % 250, 0, 9), 20, 24)
        for split, count in (("train", train), ("test", test))
        for name in ("a", "b")
        for number in range(count)
    }
    files |= {"train/a/notes.txt": b"", "readme.png": b""}
    return pack(path, files, "folder")


def test_a_folder_is_planned_by_the_images_that_it_holds(tmp_path):
    """The plan is the same before and after the folder is prepared."""
    photos = folder(tmp_path / "photos", train=20, test=5)
    mine = {"source": "image_folder", "path": str(photos)}
    config = make_config(datasets={"cifar10": mine})
    before = planned(tmp_path / "results", config)
    assert before.assumed == []
    path = tmp_path / "results/cifar10/dataset.safetensors"
    path.parent.mkdir(parents=True)
    entry = entries.Dataset(**mine).model_dump()
    datasets.write(readers.read("cifar10", entry, [photos]), path)
    after = planned(tmp_path / "results", config)
    assert after.operations == before.operations
    assert row(after, "prepare_dataset")["done"] == 1
    columns = ["rule", "hours_left", "minutes_asked", "memory_gb", "device_gb", "disk_gb"]
    rows = [[[row[key] for key in columns] for row in plan.rules[1:]] for plan in (before, after)]
    assert rows[0] == rows[1]


USERS = "def mine(problem):\n    return problem.draw_real(problem.ipc, problem.generator('mine'))\n"


def test_a_users_method_is_unknown_until_one_job_has_run(tmp_path):
    (tmp_path / "mine.py").write_text(USERS)
    config = make_config(
        methods={name: {"algorithm": f"{tmp_path}/mine.py:mine"} for name in ("dm", "tm")}
    )
    before = planned(tmp_path, config)
    assert before.unknown == ["condense: dm", "condense: tm"] and before.assumed == []
    condense = row(before, "condense")
    assert (condense["hours_left"], condense["unknown"], condense["basis"]) == (0, 6, "nothing")
    text = forecast.render(before)
    assert "| condense | device | 6 | 0 | unknown | unknown | 8 h |" in text
    assert "and 6 jobs of unknown time" in text
    assert "Unknown until one job has run: condense: dm; condense: tm." in text
    job = next(job for job in worklist.all_jobs(config, grid.expand(config)) if job.name == "dm")
    storage.write_json(tmp_path / job.cost, {"seconds": 40.0})
    after = planned(tmp_path, config)
    condense = row(after, "condense")
    assert condense["hours_left"] == pytest.approx(2 * (40 + START) / 3600)
    assert (condense["unknown"], after.unknown) == (3, ["condense: tm"])
    assert "| 90 s, 3 unknown |" in forecast.render(after)


def test_the_plan_shows_what_the_jobs_request(tmp_path):
    """Both use one estimate, from a calibration in the results or from a record."""
    config = make_config()
    for seconds in (None, 5000.0):
        if seconds:
            job = next(
                job for job in worklist.all_jobs(config, grid.expand(config)) if job.name == "dm"
            )
            storage.write_json(tmp_path / job.cost, {"seconds": seconds})
        else:
            storage.write_json(tmp_path / "plan/calibration.json", calibrated())
        plan = forecast.forecast(config, grid.expand(config), tmp_path)
        assert "assumption" not in " ".join(row["basis"] for row in plan.rules)
        job_requests = requests.Requests(config, grid.expand(config), tmp_path)
        for rule in (row["rule"] for row in plan.rules):
            rule_jobs = [
                job for job in worklist.all_jobs(config, grid.expand(config)) if job.rule == rule
            ]
            seconds = [row(plan, rule)["longest_hours"] * 3600 - START]
            assert max(
                job_requests.seconds(rule, job.wildcards) for job in rule_jobs
            ) == pytest.approx(seconds[0])
            minutes = max(job_requests.minutes(rule, job.wildcards) for job in rule_jobs)
            assert minutes == 5 * math.ceil((10 + 3 * seconds[0] / 60) / 5 - 1e-9)
            assert row(plan, rule)["minutes_asked"] == minutes
            memory = max(job_requests.memory_mb(rule, job.wildcards) for job in rule_jobs)
            assert row(plan, rule)["memory_gb"] == memory / 1e3


def test_a_calibrated_library_network_has_its_counted_sizes(tmp_path):
    network = {"network": "torchvision:squeezenet1_1"}
    config = make_config(architectures={"convnet": network})
    data = sizes.OFFICIAL["cifar10"]
    assert "evaluate: convnet" in planned(tmp_path, config).assumed
    measured = measure.calibrate(networks_used(config, tmp_path), torch.device("cpu"))
    plan = forecast.forecast(config, grid.expand(config), tmp_path, measured)
    assert "evaluate: convnet" not in plan.assumed
    counted = measured["networks"]["convnet"]["cifar10"]["sizes"]
    built = networks.build(network, data.shape, data.classes, 0)
    assert counted["parameters"] == sum(parameter.numel() for parameter in built.parameters())


def test_networks_with_batch_norm_are_timed():
    network = "timm:lcnet_035"
    data = sizes.Images((3, 32, 32), 10, 100, 100)
    uses = [("n", "d", {"network": network}, data.shape, data.classes)]
    measured = measure.calibrate(uses, torch.device("cpu"))
    timings = measured["networks"]["n"]["d"]
    assert timings["seconds_per_pass"] > 0
    assert timings["sizes"]["features"] > 0 and timings["sizes"]["outputs"] > 0


def test_a_prepared_folder_is_timed_by_its_own_size(tmp_path):
    config = make_config(datasets={"cifar10": {"source": "image_folder", "path": "x.tar"}})
    path = tmp_path / "cifar10/dataset.safetensors"
    path.parent.mkdir()
    datasets.write(small_dataset(shape=(3, 16, 16)), path)
    uses = forecast.networks_used(config, grid.expand(config), tmp_path)
    assert {(name, shape) for name, _, _, shape, _ in uses} == {
        ("convnet", (3, 16, 16)),
        ("mlp", (3, 16, 16)),
    }


def test_a_calibration_has_plausible_numbers():
    entry = {"network": "convnet", "width": 64, "depth": 3}
    data = sizes.Images((3, 32, 32), 10, 100, 100)
    measured = measure.calibrate(
        [("net", "data", entry, data.shape, data.classes)], torch.device("cpu")
    )
    timings = measured["networks"]["net"]["data"]
    assert timings["seconds_per_pass"] > 0 and timings["seconds_per_step"] >= 0
    operations = sizes.network(entry, data).operations
    reached = operations / timings["seconds_per_pass"]
    # no network is far above the product of matrices, nor a hundred times below it
    assert 0.01 < reached / measured["operations_per_second"] < 5
    assert measured["memory_mb"] > 1000
