"""The pages followed to the letter, from an empty folder."""

import re

import pandas as pd
import pytest
from conftest import ROOT, snakemake

from condensation.config import loading

PAGES = {"small.yaml": "config/README.md", "herding.yaml": "docs/adding-a-method.md"}


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that the pages say to save, which is the current one."""
    for name, page in PAGES.items():
        (tmp_path / name).write_text(blocks(page, "yaml")[0])
    (tmp_path / "herding.py").write_text(blocks("docs/adding-a-method.md", "python")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PAGES)
def test_the_config_of_the_page_is_complete_and_named_there(folder, name):
    assert loading.load(folder / name).experiments
    assert f"--configfile {name}" in (ROOT / PAGES[name]).read_text()


@pytest.mark.slow
def test_the_method_of_the_page_is_ranked(folder):
    quick = ["--config", "evaluation={epochs: 20}", "compute={device: cpu}"]
    snakefile = [
        "-s",
        str(ROOT / "Snakefile"),
        "--workflow-profile",
        str(ROOT / "profiles/default"),
    ]
    done = snakemake(folder, "--cores", "2", *snakefile, "--configfile", "herding.yaml", *quick)
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv("results/herding/tables/accuracy.csv")
    assert set(zip(table["method"], table["ipc"].astype(str), strict=True)) == {
        (method, ipc) for method in ("random", "herding") for ipc in ("1", "10")
    }
    assert table["mean"].between(5, 100).all()
