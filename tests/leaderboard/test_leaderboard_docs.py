"""docs/leaderboard.md as its reader follows it: a user's set, its row on the page, the report."""

import json
import re
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT, copy_workflow, snakemake

from condensation.core import storage

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/leaderboard.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (content,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return content


def command(folder, words: str) -> str:
    """Run the one command of the page that has these words; return its output."""
    (line,) = [line for line in PAGE.splitlines() if line.startswith("    ") and words in line]
    done = snakemake(folder, *line.split()[1:])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    folder = copy_workflow(tmp_path_factory.mktemp("docs") / "checkout")
    (folder / "my_config.yaml").write_text(block("yaml"))
    command(folder, "prepared_datasets")
    script = [sys.executable, "-c", block("python")]
    subprocess.run(script, cwd=folder, check=True, timeout=600)
    command(folder, "all leaderboard --configfile my_config.yaml")
    return folder


def test_the_page_has_a_row_for_the_users_set(followed):
    html = (followed / "results/mine/leaderboard/index.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr data-row=.*?</tr>", html, flags=re.DOTALL)
    assert len(rows) == 2
    (row,) = [row for row in rows if 'aria-haspopup="dialog">class_means<' in row]
    record = "results/mine/digits/class_means/ipc1/set0/evaluation/mlp/none/sgd/seeds0-2.json"
    values = [network["accuracy"] for network in storage.read_json(followed / record)["rows"]]
    assert f"<b>{sum(values) / 3:.2f}</b>" in row
    assert max(values) > 30, "class means tell digits apart"
    of_rows = html.partition('<script id="details" type="application/json">')[2]
    of_rows = json.loads(of_rows.partition("</script>")[0])
    (set_details,) = of_rows["sets"]["digits/class_means/1"]
    assert set_details["facts"]["options"]["path"] == "class_means_ipc1.npz"
    assert set_details["shown"] == "10 classes, 1 per class"
    assert set_details["picture"].startswith("data:image/png;base64,")


def test_the_report_has_captions_and_categories(followed):
    done = snakemake(
        followed, *("--report", "report.zip", "leaderboard", "--configfile", "my_config.yaml")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(followed / "report.zip") as report:
        names = report.namelist()
        html = report.read("report/report.html").decode()
    assert any(name.endswith("/index.html") for name in names)
    assert any(name.endswith("/accuracy.csv") for name in names)
    for words in ("Leaderboard", "Tables", "sortable and filterable", "counted and not averaged"):
        assert words in html, words
