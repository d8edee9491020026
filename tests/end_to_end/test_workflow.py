"""The workflow as its users meet it: dry runs, a whole run, what reruns, what errors say."""

import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, SMALL, build_once, contents, copy_run, copy_workflow, snakemake
from PIL import Image

from condensation.config import loading
from condensation.core import storage
from condensation.networks import cells201
from condensation.planning import requests, worklist
from condensation.workflow import grid
from condensation.workflow.layout import Layout
from condensation.workflow.targets import Targets

EXAMPLE = (ROOT / "docs/adding-a-method.md").read_text().split("```python\n")[1].split("```")[0]
TINY = ("--configfile", "config/test/tiny.yaml")
RESULTS = "results/test"
CONDENSED = ("random", "kcenter", "kcenter_pixels", "dc", "dsa", "dm", "dm_from_kcenter", "tm")
CONDENSED += ("kip", "herding", "theirs")


def planned(folder: Path, *arguments: str) -> list[str]:
    """The messages of the jobs that a dry run would start, sorted."""
    done = snakemake(folder, "-n", *(arguments or TINY))
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout + done.stderr
    jobs = re.findall(r"^ *(?:Job \d+|localrule \w+|rule \w+): ?(.*)$", text, flags=re.M)
    if not jobs:
        assert "Nothing to be done" in text
    return sorted(job for job in jobs if job)


def kinds(jobs: list[str]) -> dict[str, int]:
    """How many jobs there are by the first word of their message."""
    counted: dict[str, int] = {}
    for job in jobs:
        counted[job.split()[0]] = counted.get(job.split()[0], 0) + 1
    return counted


def edit_config(folder: Path, change) -> None:
    path = folder / TINY[1]
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def tiny_run(folder: Path) -> None:
    """Run the tiny config with a user's method, an imported set and a folder of images."""
    copy_workflow(folder)
    (folder / "herding.py").write_text(EXAMPLE)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(20, 1, 8, 8, generator=generator)
    torch.save({"images": images}, folder / "theirs_ipc2.pt")
    for name in ("train/a/1", "train/a/2", "train/b/1", "train/b/2", "test/a/1", "test/b/1"):
        path = folder / "pictures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(0, 256, (8, 8, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(path)

    def more(content):
        content["methods"]["herding"] = {"algorithm": "herding.py:herding"}
        content["methods"]["theirs"] = {"algorithm": "imported", "path": "theirs_ipc{ipc}.pt"}
        content["experiments"]["main"]["methods"] += ["herding", "theirs"]
        content["datasets"]["2024"] = {"source": "image_folder", "path": "pictures"}
        images = {"datasets": ["2024"], "methods": ["random"], "ipc": [1], "evaluation_seeds": 1}
        content["experiments"]["own"] = images | {"architectures": ["mlp"]}

    edit_config(folder, more)
    done = snakemake(folder, "--cores", "2", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "output.txt").write_text(done.stdout + done.stderr)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A checkout in which the tiny config has run."""
    return build_once(tmp_path_factory, "tiny_run", tiny_run)


# --- dry runs -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_paper_grid_is_planned_with_shared_cells_once(checkout):
    jobs = planned(checkout, "--configfile", "config/paper.yaml")
    paper = grid.expand(loading.load(ROOT / "config/paper.yaml"))
    total = sum(len(cells) for cells in paper.experiments.values())
    assert len(paper.cells) < total, "the paper's tables share cells"
    # the paper's cells, and those along figures 4 and 6: DM at ten iterations, DC and DSA at two,
    # from three starts, at three IPC
    assert len(paper.cells) == 634 + 3 * 3 * (10 + 2 + 2)
    counted = kinds(jobs)
    assert counted["Evaluating"] == len(paper.cells)
    assert counted["Condensing"] == len(paper.sets) == 136 + 3
    assert counted["Preparing"] == counted["Extracting"] == 3
    assert counted["Downloading"] == 3 + 1, "and the accuracies of NAS-Bench-201"
    assert counted["Sampling"] == 1
    # a hundred experts a dataset, figure 7's networks, and architectures on 7 sets and 2 references
    assert counted["Training"] == 3 * 100 + 2 + (7 + 2) * 10
    assert counted["Fitting"] == 2, "KIP's whitening of CIFAR-10 and CIFAR-100"
    assert counted["Taking"] == 3 * 3 * (10 + 2 + 2)
    assert len(jobs) == len(set(jobs))


@pytest.mark.slow
def test_a_config_file_replaces_the_default_one(checkout):
    assert not any("cifar" in job for job in planned(checkout, *TINY))
    assert not any("kcenter_pixels" in job for job in planned(checkout, "--cores", "1"))


@pytest.mark.slow
def test_each_stage_plans_its_jobs_for_a_single_set(checkout):
    content = {
        "datasets": {"digits": {"source": "digits"}},
        "methods": {"random": {"algorithm": "random"}},
        "experiments": {"main": {"datasets": "digits", "methods": "random", "ipc": 1}},
    }
    (checkout / "single.yaml").write_text(yaml.safe_dump(content))
    jobs = {}
    for stage, kind in [
        ("prepared_datasets", "Preparing"),
        ("condensed_sets", "Condensing"),
        ("evaluations", "Evaluating"),
    ]:
        jobs |= {kind: 1}
        assert kinds(planned(checkout, stage, "--configfile", "single.yaml")) == jobs, stage


@pytest.mark.slow
def test_the_slurm_profile_plans_the_same_jobs(checkout):
    jobs = planned(checkout, *TINY)
    assert planned(checkout, "--profile", "slurm", *TINY) == jobs


@pytest.mark.slow
def test_the_paper_grid_is_hundreds_of_submissions_and_not_thousands(checkout):
    """What a dry run starts: groups, and jobs outside of them (those of a group are indented)."""
    done = snakemake(checkout, "-n", "--profile", "slurm", "--configfile", "config/paper.yaml")
    groups = re.findall(r"^\[.*\] Group job (\w+?)_", done.stdout + done.stderr, flags=re.M)
    single = re.findall(r"^Job \d+: (\w+)", done.stdout + done.stderr, flags=re.M)
    assert groups.count("evaluate") < 300
    assert groups.count("experts") == 3 * 10
    assert groups.count("architectures") == 9
    at_home = {"Downloading", "Taking", "Writing"}  # where snakemake runs
    assert len(groups) + sum(word not in at_home for word in single) < 500


def test_a_partial_run_trains_nothing(checkout):
    config = loading.load(checkout / TINY[1])
    files = Targets(config, grid.expand(config), Layout(RESULTS, config.figures_dir))
    sets = [*map(files.condensed, files.sets), *files.costs]
    # the sample is newest, so that a whole run would train its architectures again
    for path in (*files.datasets, *sets, *files.records, *files.rankings, files.architectures):
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).touch()
    (checkout / RESULTS / "digits/whitening").mkdir()
    (checkout / RESULTS / "digits/whitening/zca_kip.safetensors").touch()
    jobs = planned(checkout, *TINY, "--config", "partial=true")
    assert "Ranking" in kinds(jobs) and "Training" not in kinds(jobs)


@pytest.mark.slow
def test_the_plan_counts_the_jobs_that_a_run_has(checkout):
    for name in ("config", "paper"):
        arguments = ("--configfile", f"config/{name}.yaml")
        config = loading.load(ROOT / f"config/{name}.yaml")
        counts = Counter(job.rule for job in worklist.all_jobs(config, grid.expand(config)))
        done = snakemake(checkout, "-n", "--quiet", "rules", "--cores", "1", *arguments)
        counted = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.M))
        for rule in counts:
            assert counts[rule] == int(counted[rule]), (name, rule)
        assert {"condense", "evaluate", "train_expert", "train_architectures"} <= counts.keys()


def test_the_lists_of_rules_that_want_a_gpu_agree(checkout):
    """Those of the rules, of their requests, and of the profile, which cannot import ours."""
    rules = [
        rule.partition(":")[0]
        for path in checkout.glob("rules/*.smk")
        for rule in path.read_text().split("\nrule ")[1:]
        if "gpu=GPU" in rule
    ]
    profile = (checkout / "profiles/slurm/config.yaml").read_text()
    listed = re.findall(r'"(\w+)"', re.search(r"gpu_rules = \[(.*?)\]", profile, re.S)[1])
    assert sorted(rules) == sorted(listed) == sorted([*requests.ON_DEVICE, "calibrate"])


def test_every_rule_that_computes_declares_a_gpu_and_no_other_does(checkout):
    for path in checkout.glob("rules/*.smk"):
        for rule in path.read_text().split("\nrule ")[1:]:
            name = rule.partition(":")[0]
            computes = name in ("extract_features", "train_expert", "condense", "evaluate")
            computes |= name in ("train_embedder", "embed_class", "train_architectures")
            computes |= name == "calibrate"
            assert ("gpu=GPU" in rule) == computes, name
            requests = "**light(" in rule or "**estimated(" in rule
            requests |= "mem_mb=" in rule and "runtime=" in rule
            assert name == "write_config" or requests, name


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (
            "methods={dm: {algorithm: dmm}}",
            "methods.dm: unknown algorithm 'dmm'.*did you mean 'dm'",
        ),
        ("evaluation={epoch: 3}", "evaluation: unknown option 'epoch'.*did you mean 'epochs'"),
    ],
)
def test_a_bad_config_is_refused_before_anything_runs(checkout, argument, expected):
    done = snakemake(checkout, "--cores", "1", "--config", argument, *TINY)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert re.search(expected, text), text
    assert "config/test/tiny.yaml: " in text
    assert "Traceback" not in text
    assert not (checkout / "results").exists()


# --- a small run: this part of the tests is fast ------------------------------------------------


def test_a_small_run_leaves_its_results_and_a_second_has_nothing_to_do(small_run):
    table = pd.read_csv(small_run / "results/tables/accuracy.csv").set_index("method")
    assert set(table.index) == {"random", "mine", "dm"}
    assert table["mean"].between(5, 100).all()
    for path in ("results/leaderboard/index.html", "figures/condensed_digits.png"):
        assert (small_run / path).stat().st_size > 1000
        assert path in (small_run / "output.txt").read_text()
    assert planned(small_run, *SMALL) == []


# --- a whole run ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_more_seeds_train_only_the_new_networks(small_run, tmp_path):
    folder = copy_run(small_run, tmp_path / "checkout")
    records = folder / "results/digits/dm/ipc1/set0/evaluation/small/dsa/sgd"
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in records.iterdir()}
    content = yaml.safe_load((folder / "small.yaml").read_text())
    content["experiments"]["e"]["evaluation_seeds"] = 3
    (folder / "small.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    jobs = [job for job in planned(folder, *SMALL) if job.startswith(("Cond", "Eval", "Prep"))]
    assert [job.rpartition(": ")[2] for job in jobs] == ["small, dsa, sgd, seeds 1-2"] * 3
    done = snakemake(folder, "--cores", "2", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in records.iterdir()}
    assert {name: after[name] for name in before} == before
    new = json.loads((records / "seeds1-2.json").read_text())
    assert [row["seed"] for row in new["rows"]] == [1, 2]
    table = pd.read_csv(folder / "results/tables/accuracy.csv")
    assert set(table["networks"]) == {3}
    assert "Nothing to be done" in snakemake(folder, "--cores", "2", *SMALL).stderr


@pytest.mark.slow
def test_a_run_leaves_its_tables_and_figures_and_says_where(finished):
    for path in (
        *(f"{RESULTS}/tables/{name}" for name in ("accuracy.csv", "accuracy.md", "runs.csv")),
        *(f"{RESULTS}/tables/{name}" for name in ("nas.csv", "nas.md", "nas_architectures.csv")),
        *(f"{RESULTS}/tables/{name}" for name in ("per_class.csv", "table1.md", "table9.md")),
        f"{RESULTS}/tables/statistics.md",
        f"{RESULTS}/leaderboard/index.html",
        *(f"figures/test/figure{number}.{form}" for number in "12478" for form in ("png", "pdf")),
        *(f"figures/test/condensed_{name}.png" for name in ("digits", "2024")),
        "figures/test/cost_accuracy.pdf",
        "figures/test/critical_difference.png",
        "figures/test/nas_digits.png",
    ):
        assert (finished / path).stat().st_size > 100
    end = (finished / "output.txt").read_text().partition("Open first:")[2]
    for path in ("tables/accuracy.md", "leaderboard/index.html"):
        assert f"{RESULTS}/{path}" in end
    assert f"Condensed sets: {RESULTS}/<dataset>/<method>/" in end and "The run took" in end


@pytest.mark.slow
def test_the_table_holds_the_numbers_of_the_records(finished):
    table = pd.read_csv(
        finished / RESULTS / "tables/accuracy.csv", dtype={"ipc": str, "dataset": str}
    )
    cells = {tuple(row) for row in table[["experiment", "method", "ipc", "architecture"]].values}
    main = {("main", m, "2", "small") for m in CONDENSED}
    assert cells == main | {
        ("along_the_way", "dm", "2", "small"),
        ("other_ways", "random", "2", "mlp"),
        ("other_ways", "whole", "all", "mlp"),
        ("own", "random", "1", "mlp"),
    }
    for _, row in table.iterrows():
        along = "" if row["iteration"] == "end" else f"snapshots/iteration{row['iteration']}/"
        values = [
            network["accuracy"]
            for path in (finished / RESULTS / row["dataset"] / row["method"]).glob(
                f"ipc{row['ipc']}/set*/{along}evaluation/{row['architecture']}/{row['augmentation']}/sgd/"
                "seeds*-?.json"
            )
            for network in json.loads(path.read_text())["rows"]
        ][: row["networks"]]
        assert len(values) == row["networks"]
        mean = sum(values) / len(values)
        assert row["mean"] == pytest.approx(mean, abs=1e-4)
        spread = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
        expected = spread if len(values) > 1 else float("nan")
        assert row["std"] == pytest.approx(expected, abs=1e-4, nan_ok=True)
    assert list(table[table["sets"] > 1]["method"]) == ["random"] * 2


@pytest.mark.slow
def test_every_record_names_its_set_code_and_cost(finished):
    records = list((finished / RESULTS).rglob("evaluation/**/seeds*-?.json"))
    assert len(records) == len(CONDENSED) + 6 + 1 + 2
    for path in records:
        record = storage.read_json(path)
        condensed = storage.read_metadata(path.parents[4] / "condensed.safetensors")
        assert record["status"] == "ok"
        assert record["set"]["content"] == condensed["content"]
        assert record["options"]["protocol"]["epochs"] == 3
        assert re.fullmatch(r"[0-9a-f]{16}", record["source"])
        cost = storage.read_json(path.with_suffix(".cost.json"))
        assert cost["peak_rss_mb"] > 50 and all(row["seconds"] > 0 for row in cost["rows"])
    cost = storage.read_json(finished / RESULTS / "digits/dm/ipc2/set0/cost.json")
    assert cost["iterations"] == 2 and cost["seconds"] > 0
    chosen = storage.read_json(finished / RESULTS / "digits/kcenter/ipc2/set0/cost.json")
    assert chosen["seconds"] > 0


@pytest.mark.slow
def test_the_provenance_counts_the_jobs_and_their_time(finished):
    rules = storage.read_json(finished / RESULTS / "provenance.json")["rules"]
    assert all(rule["timed"] == rule["jobs"] for rule in rules.values())
    assert rules["condense"]["jobs"] == len(CONDENSED) + 2 + 1  # random once more, whole; 2024
    assert rules["evaluate"]["jobs"] == len(CONDENSED) + 2 * 3 + 1 + 2
    assert rules["train_expert"]["jobs"] == 2
    assert rules["make_leaderboard"]["jobs"] == 1
    folder = finished / RESULTS / "benchmarks/prepare_dataset"
    seconds = sum(float(path.read_text().split()[-10]) for path in folder.glob("*.tsv"))
    assert rules["prepare_dataset"]["seconds"] == pytest.approx(seconds, abs=0.02)


@pytest.mark.slow
def test_the_ranking_holds_the_numbers_of_its_records(finished):
    results = finished / RESULTS
    names = storage.read_json(results / "digits/nas/architectures.json")["architectures"]
    assert len(set(names)) == 4
    table = pd.read_csv(results / "tables/nas_architectures.csv", dtype={"ipc": str})
    assert list(dict.fromkeys(table["set"])) == ["random/2/0", "dm/2/0"]

    def proxies(folder):
        records = [results / folder / f"architectures{c}.json" for c in ("0-2", "3-3")]
        rows = [row for path in records for row in storage.read_json(path)["rows"]]
        assert [(row["architecture"], row["seed"]) for row in rows] == [
            (name, seed) for name in names for seed in (0, 1)
        ]
        values = [row["accuracy"] for row in rows]
        return [(a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=True)]

    for method in ("random", "dm"):
        rows = table[table["method"] == method]
        expected = proxies(f"digits/{method}/ipc2/set0/nas")
        assert list(rows["proxy"]) == pytest.approx(expected, abs=1e-4)
        assert list(rows["truth"]) == pytest.approx(proxies("digits/nas/whole"), abs=1e-4)
    cost = storage.read_json(results / "digits/nas/whole/architectures0-2.cost.json")
    assert len(cost["rows"]) == 6 and all(row["seconds"] > 0 for row in cost["rows"])


@pytest.mark.slow
def test_the_config_in_the_results_is_the_config_of_the_run(finished, monkeypatch):
    monkeypatch.chdir(finished)
    used = loading.load(finished / RESULTS / "config.yaml")
    assert used == loading.load(finished / TINY[1])


@pytest.mark.slow
def test_two_runs_give_the_same_bytes(finished, tmp_path):
    first = contents(finished)
    assert len(first) > 25
    copy = tmp_path / "again"

    def ignore(folder, names):  # what was made; the library has a folder of figures too
        return {"results", "figures", ".snakemake"} if Path(folder) == finished else set()

    shutil.copytree(finished, copy, ignore=ignore)
    done = snakemake(copy, "--cores", "2", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    again = contents(copy)
    assert first.keys() == again.keys()
    assert [name for name in first if first[name] != again[name]] == []


# --- what reruns ----------------------------------------------------------------------------------


@pytest.fixture
def settled(finished, tmp_path):
    """A copy of the finished run with times and metadata kept, for a test to change."""
    return copy_run(finished, tmp_path / "settled")


@pytest.mark.slow
def test_the_evidence_of_a_finished_run_holds_every_record_and_set(settled):
    done = snakemake(settled, "--cores", "1", "evidence", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    results = settled / "results/test"
    folder = results / "evidence"
    with lzma.open(folder / "records.jsonl.xz", "rt") as file:
        lines = [json.loads(line) for line in file]
    for line in lines:
        path = line.pop("path")
        assert line == storage.read_json(results / path)
    paths = {*results.glob("*/*/*/*/evaluation/**/*.json"), *results.glob("*/*/*/*/cost.json")}
    paths |= set(results.glob("*/*/*/*/snapshots/*/evaluation/**/*.json"))
    assert len(lines) == len(paths)
    runs = pd.read_csv(results / "tables/runs.csv", keep_default_na=False, dtype=str)
    final = runs[runs["iteration"] == "end"]
    cells = pd.read_csv(folder / "cells.csv", keep_default_na=False)
    assert cells["networks"].sum() == len(final)
    assert (cells["network_seconds"].astype(float) > 0).all()
    for name, ipc in final[["dataset", "ipc"]].drop_duplicates().to_numpy():
        assert ipc == "all" or Image.open(folder / f"sets_{name}_ipc{ipc}.png").size[0] > 200
    assert all(
        line in (folder / "report.md").read_text() for line in ("## Cell by cell", "| herding")
    )
    statements = pd.read_csv(folder / "statements.csv").set_index(["source", "number"])
    assert statements.loc[("records", 8), "comparisons"] == 1  # of DM, on whose set some are ranked
    assert pd.read_csv(folder / "curves.csv")["iteration"].tolist() == [0, 1, 2]
    # the records alone give the same tables
    command = [sys.executable, "-m", "condensation", "join-evidence", "--into", "joined"]
    command += ["--config", f"{RESULTS}/config.yaml", "--ranking", f"{RESULTS}/tables/nas.csv"]
    command += [folder / "records.jsonl.xz"]
    environment = os.environ | {"PYTHONPATH": str(settled / "workflow_scripts")}
    subprocess.run(command, cwd=settled, check=True, capture_output=True, env=environment)
    tables = {f"{name}.csv" for name in ("cells", "statements", "augmentation", "curves", "ends")}
    for name in (*tables, "start.csv", "spread.csv", "curves.png", "records.jsonl.xz"):
        assert (settled / "joined" / name).read_bytes() == (folder / name).read_bytes()
    for name in ("gains.csv", "scores.csv"):
        assert (settled / "joined" / name).read_bytes() == (folder / name).read_bytes()
        of_run = pd.read_csv(results / "tables" / name)
        pd.testing.assert_frame_equal(pd.read_csv(folder / name), of_run, atol=1e-4)


@pytest.mark.slow
def test_a_finished_run_has_nothing_to_do_even_if_touched_or_recommented(settled):
    assert planned(settled) == []
    scripts = settled / "workflow_scripts"
    for path in (*scripts.rglob("*.py"), *settled.glob("rules/*.smk"), settled / "herding.py"):
        path.touch()
    for name in ("methods/dm.py", "training/fitting.py", "core/storage.py", "networks/convnet.py"):
        path = scripts / "condensation" / name
        path.write_text("# a comment\n" + path.read_text().replace('"""', '"""Other words. ', 1))
    assert planned(settled) == []
    shutil.rmtree(settled / ".snakemake")  # a clone whose results came from elsewhere
    assert planned(settled) == []


def added(jobs: list[str]) -> set[str]:
    """The condensing and evaluating jobs, as (kind, method)."""
    cells = set()
    for job in jobs:
        if match := re.match(r"Condensing (\S+) by (\S+),", job):
            cells.add(("condense", match[2] + (" 2024" if match[1] == "2024" else "")))
        if match := re.match(r"Evaluating (\S+) on (\S+),", job):
            cells.add(("evaluate", match[1] + (" 2024" if match[2] == "2024" else "")))
    return cells


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def both(*methods: str) -> set[tuple[str, str]]:
    return {(kind, method) for kind in ("condense", "evaluate") for method in methods}


METHODS = (*CONDENSED, "whole", "random 2024")
LIBRARY = "workflow_scripts/condensation"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (
            f"{LIBRARY}/methods/dm.py",
            "_MOST_REAL = 1024",
            "_MOST_REAL = 512",
            both("dm", "dm_from_kcenter"),
        ),
        (
            f"{LIBRARY}/methods/kcenter.py",
            "n_init=restarts",
            "n_init=restarts + 1",
            both("kcenter", "kcenter_pixels", "dm_from_kcenter"),
        ),
        (f"{LIBRARY}/methods/dc.py", "norms + 1e-6", "norms + 1e-5", both("dc", "dsa")),
        (f"{LIBRARY}/methods/experts.py", "alpha=lr)", "alpha=2 * lr)", both("tm")),
        (
            f"{LIBRARY}/methods/kernels.py",
            "BIAS_STD = math.sqrt(2), 0.1",
            "BIAS_STD = 1, 0.1",
            both("kip"),
        ),
        (f"{LIBRARY}/methods/random.py", '"random"', '"other"', both("random", "random 2024")),
        ("herding.py", "number in range(1,", "number in range(2,", both("herding")),
        (
            f"{LIBRARY}/training/fitting.py",
            "lr * 0.1",
            "lr * 0.2",
            # the features of K-Center are trained too
            {("evaluate", m) for m in METHODS} | both("kcenter", "dm_from_kcenter"),
        ),
        (
            f"{LIBRARY}/networks/mlp.py",
            "nn.ReLU()",
            "nn.GELU()",
            {("evaluate", "random"), ("evaluate", "whole"), ("evaluate", "random 2024")},
        ),
    ],
    ids=lambda value: value.rpartition("/")[2] if isinstance(value, str) and "/" in value else "",
)
def test_an_edit_reruns_what_it_can_change_and_nothing_else(settled, file, old, new, expected):
    rewrite(settled / file, old, new)
    assert added(planned(settled)) == expected


@pytest.mark.slow
def test_an_option_of_one_method_reruns_that_method(settled):
    edit_config(settled, lambda content: content["methods"]["dm"].update(lr=0.5))
    assert added(planned(settled)) == both("dm")


@pytest.mark.slow
def test_a_changed_imported_set_and_a_new_image_rerun_their_methods(settled):
    torch.save({"images": torch.randn(20, 1, 8, 8)}, settled / "theirs_ipc2.pt")
    assert added(planned(settled)) == both("theirs")
    picture = settled / "pictures/train/a/1.png"
    shutil.copy(picture, picture.with_name("3.png"))
    assert added(planned(settled)) == both("theirs", "random 2024")


@pytest.mark.slow
def test_another_kind_of_device_reruns_all_that_computes(settled):
    edit_config(settled, lambda content: content.update(compute={"device": "cuda"}))
    computed = both(*CONDENSED, "random 2024", "whole")
    assert added(planned(settled)) == computed
    # the way to go on with what another kind has made
    assert added(planned(settled, *TINY, "--rerun-triggers", "mtime", "input")) == set()


@pytest.mark.slow
def test_what_changes_no_result_computes_nothing(settled):
    def elsewhere(content):
        content["data"] = {"mirror": "somewhere"}
        content["compute"] = {"device": "cpu", "threads": 2}

    edit_config(settled, elsewhere)
    # the config as used is written anew, and what is made from it in seconds
    assert set(kinds(planned(settled))) == {"Writing", "Making", "Comparing", "Plotting"}


@pytest.mark.slow
def test_a_new_default_reruns_its_users_and_a_figure_edit_no_training(settled):
    dm, kip = (settled / LIBRARY / f"config/methods/{name}.py" for name in ("dm", "kip"))
    rewrite(dm, "iterations: int = Field(20_000", "iterations: int = Field(2")
    assert added(planned(settled)) == set(), "the config says how many"
    rewrite(dm, "iterations: int = Field(2,", "iterations: int = Field(20_000,")
    rewrite(kip, "0.04, gt=0", "0.05, gt=0")
    assert added(planned(settled)) == both("kip")
    rewrite(kip, "0.05, gt=0", "0.04, gt=0")
    rewrite(settled / LIBRARY / "figures/style.py", "dpi=150", "dpi=100")
    assert set(kinds(planned(settled))) == {"Plotting", "Drawing", "Writing"}


@pytest.mark.slow
def test_the_plan_of_a_finished_run_has_nothing_left_and_makes_nothing_anew(settled):
    done = snakemake(settled, "plan", "--cores", "1", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| rule | on | jobs | done | time left |" in done.stdout + done.stderr
    plan = pd.read_csv(settled / RESULTS / "plan/plan.csv").set_index("rule")
    for rule in ("condense", "evaluate", "train_expert", "train_architectures"):
        assert plan.loc[rule, "done"] == plan.loc[rule, "jobs"] > 0, rule
        assert plan.loc[rule, "hours_left"] == 0
        assert "records" in plan.loc[rule, "basis"]
    assert planned(settled) == []


@pytest.mark.slow
def test_an_edit_of_the_page_makes_the_page_anew(settled):
    rewrite(settled / LIBRARY / "leaderboard/page.css", "font-size: 26px", "font-size: 27px")
    assert set(kinds(planned(settled))) == {"Making", "Writing"}


@pytest.mark.slow
def test_one_more_method_runs_alone(settled):
    def more(content):
        content["methods"]["mine"] = {"algorithm": "herding.py:herding", "normalize": False}
        content["experiments"]["main"]["methods"].append("mine")

    edit_config(settled, more)
    assert added(planned(settled)) == both("mine")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        # two jobs of training on each of two sets and a reference
        (
            f"{LIBRARY}/nas/proxies.py",
            "math.pi",
            "3.0",
            {"Training": 6, "Ranking": 1, "Plotting": 1},
        ),
        (f"{LIBRARY}/networks/nasbench201.py", "bias=False", "bias=True", {"Training": 6}),
        (f"{LIBRARY}/nas/ranking.py", "[2.5, 97.5]", "[5, 95]", {"Ranking": 1, "Plotting": 1}),
    ],
    ids=["proxies", "network", "ranking"],
)
def test_an_edit_of_the_ranking_reruns_no_condensation(settled, file, old, new, expected):
    rewrite(settled / file, old, new)
    counted = kinds(planned(settled))
    # Table 3, the figure and the provenance follow
    assert set(counted) <= {"Training", "Ranking", "Plotting", "Making", "Writing"}
    assert {kind: counted[kind] for kind in expected} == expected


@pytest.mark.slow
def test_a_users_table_is_ranked_against_and_its_mistakes_are_named(settled):
    def use_table(content):
        content["nas"] |= {"truth": "benchmark", "table": "mine.csv", "column": "mine"}
        content["nas"]["sets"]["methods"] = ["random"]

    edit_config(settled, use_table)
    names = [cells201.text(cell) for cell in cells201.every_cell()[-6:]]
    lines = [f"{name},{50 + number}" for number, name in enumerate(names)]
    for content, expected in [
        (["ArchitectureString,mine", *lines[:3]], "architectures: 4, but mine.csv has 3"),
        (["ArchitectureString,other", *lines], "mine.csv: no column 'mine'"),
        (["ArchitectureString,mine", *lines, "|none~0|,3"], "line 8: .*character 9"),
    ]:
        (settled / "mine.csv").write_text("\n".join(content))
        done = snakemake(settled, "--cores", "1", "nas", *TINY)
        output = done.stdout + done.stderr
        assert done.returncode != 0 and re.search(expected, output), output
        assert "Traceback" not in output
    (settled / "mine.csv").write_text("\n".join(["ArchitectureString,mine", *lines]))
    done = snakemake(settled, "--cores", "2", "nas", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(settled / RESULTS / "tables/nas_architectures.csv")
    assert set(table["set"]) == {"random/2/0", "whole"}
    truth = dict(zip(names, range(50, 56), strict=True))
    assert list(table["truth"]) == [truth[name] for name in table["architecture"]]


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "    return problem.real(problem.draw_real(1, problem.generator('x')).flatten())",
            "expected",
        ),
        ("    raise RuntimeError('of my own')", "RuntimeError: of my own"),
    ],
)
def test_a_users_broken_method_leaves_nothing_and_its_error_is_shown(settled, code, expected):
    (settled / "broken.py").write_text(f"def broken(problem):\n{code}\n")

    def more(content):
        content["methods"]["mine"] = {"algorithm": "broken.py:broken"}
        content["experiments"]["main"]["methods"].append("mine")

    edit_config(settled, more)
    done = snakemake(settled, "--cores", "1", *TINY)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert expected in text, text
    left = [p.name for p in (settled / RESULTS / "digits/mine").rglob("*") if p.is_file()]
    assert left == []


@pytest.mark.slow
def test_an_altered_result_is_refused_before_its_use(settled):
    path = settled / RESULTS / "digits/random/ipc2/set0/condensed.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    done = snakemake(settled, "--cores", "1", *TINY)
    assert done.returncode != 0
    assert "does not match the checksum inside it" in done.stdout + done.stderr


@pytest.mark.slow
def test_running_out_of_memory_and_divergence_are_results(checkout):
    """With a real limit on memory: the long unroll does not fit, the exact gradient does."""
    tm = {
        **{"algorithm": "tm", "iterations": 1, "experts": 1, "steps": 150, "expert_epochs": 1},
        **{"max_start": 1, "lr": 1.0, "lr_step": 0.0, "step_size": 0.01},
    }
    content = {
        "datasets": {"digits": {"source": "digits"}},
        "methods": {
            "exact": tm,
            "unrolled": tm | {"gradient": "unroll"},
            "falling": tm | {"steps": 2, "lr_step": 1e3, "iterations": 5, "snapshots": [0]},
        },
        "architectures": {"small": {"network": "convnet", "width": 64, "depth": 1}},
        "trajectories": {"experts": {"architecture": "small"}},
        "evaluation": {"epochs": 1},
        "compute": {"memory_limit_mb": 1500},
        "experiments": {
            "e": {
                **{"datasets": ["digits"], "methods": ["exact", "unrolled", "falling"]},
                **{"ipc": [10], "evaluation_seeds": 1, "snapshots": True},
                **{"architectures": ["small"]},
            }
        },
    }
    (checkout / "failing.yaml").write_text(yaml.safe_dump(content))
    done = snakemake(checkout, "--cores", "2", "--configfile", "failing.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(checkout / "results/tables/accuracy.csv").set_index(["method", "iteration"])
    assert table.loc[("exact", "end"), "mean"] > 0
    assert table.loc[("unrolled", "end"), "oom"] == 1
    assert table.loc[("falling", "end"), "diverged"] == 1
    assert table.loc[("falling", "0"), "mean"] > 0, "the snapshot before the failure is evaluated"
    folder = checkout / "results/digits"
    metadata = storage.read_metadata(folder / "unrolled/ipc10/set0/condensed.safetensors")
    assert metadata["status"] == "oom" and "allocate memory" in metadata["cause"]
    metadata = storage.read_metadata(folder / "falling/ipc10/set0/condensed.safetensors")
    assert metadata["status"] == "diverged" and "step size fell" in metadata["cause"]
    assert metadata["iteration"] >= 0
    assert "OOM" in (checkout / "results/tables/accuracy.md").read_text()
