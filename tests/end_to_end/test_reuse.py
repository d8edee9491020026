"""The workflow from other folders: by -s, as a module, with blanks in every path; and refusals.

The real runs are as small as can be: two methods on digits, an MLP of width 8.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import copy_workflow, snakemake

CONFIG = {
    "datasets": {"digits": {"source": "digits"}},
    "methods": {"random": {"algorithm": "random"}},
    "architectures": {"small": {"network": "mlp", "width": 8}},
    "evaluation": {"epochs": 2},
    "compute": {"device": "cpu"},
    "experiments": {
        "main": {
            **{"datasets": ["digits"], "methods": ["random"], "ipc": [1]},
            **{"architectures": ["small"], "augmentations": ["none"], "evaluation_seeds": 1},
        }
    },
}
pytestmark = pytest.mark.slow  # each test starts Snakemake several times

RECORD = "digits/random/ipc1/set0/evaluation/small/none/sgd/seeds0-0.json"


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reuse") / "it's a folder (with blanks)"
    folder.mkdir()
    return copy_workflow(folder / "clone")


def write(path: Path, content: dict) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def run(folder: Path, *arguments: str, python: str = sys.executable, **environment: str):
    done = subprocess.run(
        [python, "-m", "snakemake", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=900,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def elsewhere(clone) -> Path:
    """A folder beside the clone in which it has run by -s, with a Python in a path with blanks."""
    folder = clone.parent / "else where"
    folder.mkdir()
    write(folder / "mine.yaml", CONFIG | {"results_dir": "my results"})
    # an environment in a path with blanks
    (clone.parent / "env").symlink_to(Path(sys.prefix).resolve())
    python = clone.parent / "env/bin" / Path(sys.executable).name
    command = ("evaluations", "--cores", "2", "-s", str(clone / "Snakefile"))
    code, output = run(folder, *command, "--configfile", "mine.yaml", python=str(python))
    assert code == 0, output
    return folder


def test_it_runs_from_another_folder_by_its_snakefile(clone, elsewhere):
    assert (elsewhere / "my results" / RECORD).is_file()
    made_from = yaml.safe_load((elsewhere / "my results/made_from.yaml").read_text())
    assert made_from["config"] == "mine.yaml"
    assert not (clone / "results").exists()
    log = next((elsewhere / "my results/logs/evaluate").rglob("*.log")).read_text()
    assert "digits random 1 small none sgd, set 0: " in log and "None" not in log


def test_the_default_config_is_the_folders_or_else_the_clones(clone, tmp_path):
    snakefile = ("-n", "--quiet", "rules", "-s", str(clone / "Snakefile"))
    code, output = run(tmp_path, *snakefile)
    assert code == 0 and re.search(r"train_expert +3\n", output), output
    (tmp_path / "config").mkdir()
    write(tmp_path / "config/config.yaml", CONFIG)
    code, output = run(tmp_path, *snakefile)
    assert code == 0 and re.search(r"evaluate +1\n", output), output


def test_it_runs_as_a_module_beside_the_users_rules(clone, tmp_path):
    """Its config is a part of the user's, whose `compute` and `data` mean other things."""
    (tmp_path / "Snakefile").write_text(
        'configfile: "all.yaml"\n'
        "module dc:\n"
        f'    snakefile: "{clone}/Snakefile"\n'
        '    config: config["condensing"]\n'
        "use rule * from dc as dc_*\n"
        "rule mine:\n"
        '    input: "out/tables/accuracy.md"\n'
        '    output: "mine.txt"\n'
        "    params: config['data'] + config['compute']\n"
        '    shell: "echo {params} > {output}"\n'
    )
    config = CONFIG | {"results_dir": "out", "figures_dir": "pictures"}
    write(tmp_path / "all.yaml", {"data": "my", "compute": "own", "condensing": config})
    code, output = run(tmp_path, "--cores", "2", "mine")
    assert code == 0, output
    assert (tmp_path / "mine.txt").read_text() == "myown\n"
    table = pd.read_csv(tmp_path / "out/tables/accuracy.csv")
    assert table["mean"].between(5, 100).all() and list(table["method"]) == ["random"]
    code, output = run(tmp_path, "-n", "dc_all", "--quiet", "rules")
    assert code == 0 and "dc_make_leaderboard" in output and "dc_condense " not in output, output


# --- another config -------------------------------------------------------------------------------


def test_another_config_in_the_same_folders_is_refused_with_the_remedy(clone, elsewhere):
    other = CONFIG | {"results_dir": "my results", "evaluation": {"epochs": 3}}
    write(elsewhere / "other.yaml", other)
    snakefile = ("-n", "-s", str(clone / "Snakefile"))
    code, output = run(elsewhere, *snakefile, "--configfile", "other.yaml")
    assert code != 0 and "Traceback" not in output
    assert "my results holds what mine.yaml made, and other.yaml is another config" in output
    assert "results_dir: results/NAME" in output and "remove my results/made_from.yaml" in output
    # folders of its own; the same content under another name; an edit of the first
    write(elsewhere / "other.yaml", other | {"results_dir": "other"})
    assert run(elsewhere, *snakefile, "--configfile", "other.yaml")[0] == 0
    write(elsewhere / "same.yaml", CONFIG | {"results_dir": "my results"})
    assert run(elsewhere, *snakefile, "--configfile", "same.yaml")[0] == 0
    edit = ("--config", "evaluation={epochs: 3}")
    assert run(elsewhere, *snakefile, "--configfile", "mine.yaml", *edit)[0] == 0


def test_figures_are_not_overwritten_either(clone, elsewhere):
    (elsewhere / "figures").mkdir(exist_ok=True)
    (elsewhere / "figures/made_from.yaml").write_text("config: first.yaml\ndigest: '1'\n")
    write(elsewhere / "third.yaml", CONFIG | {"results_dir": "third"})
    snakefile = ("-n", "-s", str(clone / "Snakefile"), "--configfile", "third.yaml")
    code, output = run(elsewhere, *snakefile)
    (elsewhere / "figures/made_from.yaml").unlink()
    assert code != 0 and "figures holds what first.yaml made, and third.yaml is" in output


# --- what Snakemake would read itself -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("methods: {}\nmethods: {}\n", "my.yaml, line 2: 'methods' is given twice"),
        ("a:\n  ipc: [010]\n", "my.yaml, line 2: 010 is 8 in YAML"),
        ("a:\n\tb: 1\n", "my.yaml, line 2: not valid YAML: .*a tab"),
        ("a: [1\nb: 2\n", "my.yaml, line 2: not valid YAML"),
        (None, "my.yaml: cannot read the config: there is no such file"),
    ],
    ids=["twice", "octal", "tab", "bracket", "missing"],
)
@pytest.mark.parametrize("profile", [True, False])
def test_a_config_file_is_refused_in_one_sentence(clone, tmp_path, text, expected, profile):
    """By the profile before Snakemake reads it, and, where that is not used, by the rules."""
    if text is not None:
        (tmp_path / "my.yaml").write_text(text)
    elif not profile:
        pytest.skip("Snakemake reads it before the rules are")
    if not profile and "not valid" in expected:
        pytest.skip("Snakemake reads it before the rules are")
    arguments = ["-n", "-s", str(clone / "Snakefile"), "--cores", "1", "--configfile", "my.yaml"]
    code, output = run(tmp_path, *arguments, *([] if profile else ["--workflow-profile", "none"]))
    assert code != 0 and re.search(expected, output), output
    assert "Traceback" not in output and "site-packages" not in output, output


def test_a_key_given_twice_in_the_default_config_is_refused(checkout):
    path = checkout / "config/config.yaml"
    path.write_text(path.read_text() + "\ndatasets: {}\n")
    done = snakemake(checkout, "-n")
    assert done.returncode != 0
    assert re.search(r"config.yaml, line \d+: 'datasets' is given twice", done.stdout + done.stderr)


# --- groups ---------------------------------------------------------------------------------------


def test_a_group_requests_what_a_job_needs_whatever_the_command_line_says(clone, elsewhere):
    """Snakemake's own sum over a group, as its plugin hands it to `sbatch`: a stand-in here."""
    main = CONFIG["experiments"]["main"] | {"evaluation_seeds": 8}
    more = {"evaluation": {"epochs": 2, "seeds_per_job": 1}, "compute": {"device": "auto"}}
    more |= {"experiments": {"main": main}, "results_dir": "my results"}
    write(elsewhere / "mine.yaml", CONFIG | more)
    programs = elsewhere / "programs"
    programs.mkdir()
    for name in ("scontrol", "squeue", "sacct", "sinfo", "scancel", "sbatch"):
        body = 'printf "%s\\n" "$@" >> sbatch.txt; exit 1' if name == "sbatch" else "exit 0"
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    run(  # and fails: there is no cluster
        elsewhere,
        *("evaluations", "-s", str(clone / "Snakefile"), "--configfile", "mine.yaml"),
        *("--profile", str(clone / "profiles/slurm"), "--retries", "0"),
        *("--default-resources", "slurm_partition=x", "--resources", "gpu=2"),
        PATH=f"{programs}:{os.environ['PATH']}",
    )
    arguments = (elsewhere / "sbatch.txt").read_text()
    (together,) = re.findall(r"--target-jobs (.*?) --allowed-rules", arguments)
    count = together.count("evaluate:")
    assert count in (7, 8)  # the first may be there
    assert re.findall(r"--gpus=(\d+)", arguments) == ["1"], arguments
    assert re.findall(r"--cpus-per-task=(\d+)", arguments) == ["1"]
    minutes, memory = (
        int(re.search(rf"^{option}\n(\d+)", arguments, re.M)[1]) for option in ("-t", "--mem")
    )
    assert minutes % count == 0 and 10 <= minutes / count <= 20, "one after the other"
    assert memory < 12_000, "of one job"
