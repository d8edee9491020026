"""The pages followed to the letter, from an empty folder."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, snakemake
from PIL import Image

from condensation import cli
from condensation.config import loading

ADDING, USING = "docs/adding-a-method.md", "docs/using.md"
# the config files that pages say to save, and the page of each
PAGES = {
    "small.yaml": "config/README.md",
    "herding.yaml": ADDING,
    "network.yaml": ADDING,
    "photos.yaml": USING,
}
CODE = {"herding.py": "def herding", "my_network.py": "def build"}  # and what tells its block


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that the pages say to save, which is the current one."""
    for name, page in PAGES.items():
        folder = name.removesuffix(".yaml")
        (text,) = (text for text in blocks(page, "yaml") if f"results/{folder}" in text)
        (tmp_path / name).write_text(text)
    for name, start in CODE.items():
        (text,) = (text for text in blocks(ADDING, "python") if start in text)
        (tmp_path / name).write_text(text)
    for number in range(40):  # photographs of two classes, in two sizes
        path = tmp_path / f"photos/train/{'cat' if number % 2 else 'dog'}/{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 200, (48, 64 - number % 2 * 16, 3))
        pixels += number % 2 * 50
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PAGES)
def test_the_config_of_the_page_is_complete_and_named_there(folder, name):
    assert loading.load(folder / name).experiments
    assert f"--configfile {name}" in (ROOT / PAGES[name]).read_text()


def run(name, *more):
    """Run a config of a page on two cores, with few epochs."""
    here = ["-s", str(ROOT / "Snakefile"), "--workflow-profile", str(ROOT / "profiles/default")]
    quick = ["--config", "evaluation={epochs: 20}", "compute={device: cpu}"]
    folder = Path.cwd()
    done = snakemake(folder, "--cores", "2", *here, "--configfile", name, *quick, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    results = folder / "results" / name.removesuffix(".yaml")
    return pd.read_csv(results / "tables/accuracy.csv", dtype={"ipc": str})


@pytest.mark.slow
def test_the_method_of_the_page_is_ranked(folder):
    table = run("herding.yaml")
    assert set(zip(table["method"], table["ipc"], strict=True)) == {
        (method, ipc) for method in ("random", "herding") for ipc in ("1", "10")
    }
    assert table["mean"].between(5, 100).all()


@pytest.mark.slow
def test_the_networks_of_the_page_are_trained(folder):
    table = run("network.yaml")
    assert set(table["architecture"]) == {"narrow", "mobile", "mine"}
    assert len(table) == 6 and set(table["networks"]) == {2}


@pytest.mark.slow
def test_the_pictures_of_the_page_become_a_set_with_file_names(folder):
    table = run("photos.yaml")
    assert set(table["ipc"]) == {"1", "10"} and set(table["dataset"]) == {"photos"}
    condensed = "results/photos/photos/kcenter/ipc10/set0/condensed.safetensors"
    assert condensed in (ROOT / USING).read_text()
    assert cli.main(["export", condensed, "--to", "folder", "--into", "chosen"]) == 0
    chosen = pd.read_csv("chosen/chosen.csv")
    assert len(chosen) == 20
    for name in chosen.iloc[:, -1]:
        assert list((folder / "photos").rglob(Path(name).name)), name
