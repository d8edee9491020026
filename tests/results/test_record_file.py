"""Files of records: written and read, joined, and refused where they do not belong together."""

import lzma
import os
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

from condensation.commands import join_evidence
from condensation.config import loading
from condensation.core.errors import InputError
from condensation.paper import evidence, printed
from condensation.results import record_file


def record(accuracy, images="aaaa", seed=0):
    cell = {"dataset": "d", "method": "dm", "ipc": "1", "condensation_seed": 0, "iteration": None}
    return {
        "cell": cell,
        "rows": [{"seed": seed, "accuracy": accuracy}],
        "set": {"content": images},
    }


def written(folder, name, contents):
    (folder / name).write_bytes(record_file.pack(contents))
    return folder / name


def test_what_is_packed_is_read_and_packed_again_to_the_same_bytes(tmp_path):
    contents = {"d/a.json": record(1.5), "d/a.cost.json": {"seconds": 2.0}}
    path = written(tmp_path, "one.jsonl.xz", contents)
    assert record_file.unpack(path) == contents
    assert record_file.pack(record_file.unpack(path)) == path.read_bytes()


def test_of_two_files_all_records_count_and_of_a_shared_path_the_first(tmp_path):
    first = written(tmp_path, "1", {"d/0.json": record(10.0), "d/1.json": record(11.0, seed=1)})
    second = written(tmp_path, "2", {"d/1.json": record(99.0, seed=1), "d/2.json": record(12.0)})
    joined = record_file.join([first, second])
    accuracies = {path: held["rows"][0]["accuracy"] for path, held in joined.items()}
    assert accuracies == {"d/0.json": 10.0, "d/1.json": 11.0, "d/2.json": 12.0}


def test_networks_of_other_images_under_one_name_are_refused(tmp_path):
    first = written(tmp_path, "1", {"d/0.json": record(10.0)})
    second = written(tmp_path, "2", {"d/1.json": record(11.0, "bbbb", seed=1)})
    with pytest.raises(InputError, match=r"d/1\.json in .*2 and d/0\.json in .*bbbb and aaaa"):
        record_file.join([first, second])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        lzma.compress(b"[1]\n"),
        lzma.compress(b"{}\n"),
        lzma.compress(b"3\n"),
        lzma.compress(b'{"path": []}\n'),
        lzma.compress(b'{"path": 3}\n'),
        lzma.compress(b'{"path": ""}\n'),
        lzma.compress(b'{"path": "a.json"}\n{"path": "a.json"}\n'),
        lzma.compress(b'{"path": "/etc/a.json"}\n'),
        lzma.compress(b'{"path": "../a.json"}\n'),
        lzma.compress(b'{"path": "a.json"}\n')[:-9],
        lzma.compress(b"\xff\n"),
    ],
)
def test_what_is_no_file_of_records_is_named(tmp_path, data):
    path = tmp_path / "records.jsonl.xz"
    path.write_bytes(data)
    with pytest.raises(InputError, match="records.jsonl.xz"):
        record_file.unpack(path)


def test_the_command_names_what_is_wrong_and_writes_nothing(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")}
    command = [sys.executable, "-m", "condensation", "join-evidence"]
    command += ["--config", ROOT / "config/cifar10-cpu.yaml", "--into", tmp_path / "into"]
    done = subprocess.run([*command, "none.xz"], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "none.xz: no such file of records" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "into").exists()
    (tmp_path / "into").mkdir()
    (tmp_path / "into/report.md").write_text("mine")
    command += [ROOT / "docs/reproduction/records.jsonl.xz"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "into: holds other files" in done.stderr
    assert (tmp_path / "into/report.md").read_text() == "mine"


def test_a_join_goes_into_an_earlier_one_and_not_into_the_evidence_of_a_run(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    command = ["--config", str(ROOT / "config/cifar10-cpu.yaml"), "--into", str(tmp_path / "into")]
    command.append(str(ROOT / "docs/reproduction/records.jsonl.xz"))
    monkeypatch.setattr(join_evidence.style, "save", interrupted)
    for _ in range(2):  # the second time over what is left of the first
        with pytest.raises(KeyboardInterrupt):
            join_evidence.main(command)
    (tmp_path / "into/accuracy.csv").unlink()
    with pytest.raises(InputError, match="holds other files"):
        join_evidence.main(command)


@pytest.fixture
def published():
    return record_file.unpack(ROOT / "docs/reproduction/records.jsonl.xz")


def tables(contents, **changes):
    loaded = yaml.safe_load((ROOT / "config/cifar10-cpu.yaml").read_text())
    loaded["evaluation"] |= changes
    as_printed = printed.load(sorted((ROOT / "config/paper").glob("*.csv")))
    return evidence.tables_from_records(loading.parse(loaded), contents, as_printed)


def test_a_record_without_its_cost_is_named(published):
    lost = next(path for path in published if path.endswith("seeds0-0.cost.json"))
    del published[lost]
    with pytest.raises(InputError, match=f"{lost}: missing, although its record"):
        tables(published)


def test_records_that_the_config_does_not_ask_for_are_refused(published):
    foreign = {path.replace("/random/", "/other/"): held for path, held in published.items()}
    count = sum("/other/" in path for path in foreign)
    message = f"^{count} of {len(published)} records and costs do not belong"
    with pytest.raises(InputError, match=message):
        tables(foreign)
    with pytest.raises(InputError, match="`protocol.epochs` 1000, but .* 300") as error:
        tables(published, epochs=300)
    message = str(error.value)
    assert message.startswith("cifar10/") and "Delete" not in message


@pytest.mark.slow
def test_records_that_hold_the_same_seeds_in_another_division_are_accepted(published):
    """As of two runs of a config, of which one raised its number of seeds on the way."""
    folder = "cifar10/random/ipc1/set0/evaluation/convnet/dsa/sgd"
    records = [published[f"{folder}/seeds{seed}-{seed}.json"] for seed in range(2)]
    costs = [published[f"{folder}/seeds{seed}-{seed}.cost.json"] for seed in range(2)]
    joined = records[0] | {"rows": [record["rows"][0] for record in records]}
    more = {
        f"{folder}/seeds0-1.json": joined,
        f"{folder}/seeds0-1.cost.json": costs[0] | {"rows": [cost["rows"][0] for cost in costs]},
    }
    cells = [
        by_name["cells"].filter(regex="^(?!network_)")  # what they cost is that of the other record
        for by_name, _ in (tables(published), tables(published | more))
    ]
    assert cells[0].equals(cells[1])
    altered = joined | {"rows": [row | {"accuracy": 99.0} for row in joined["rows"]]}
    overlap = (
        f"{folder}/seeds1-1.json and {folder}/seeds1-2.json hold the same seeds.*seeds_per_job"
    )
    with pytest.raises(InputError, match=overlap):
        tables(
            published
            | {f"{folder}/seeds1-2.json": altered}
            | {f"{folder}/seeds1-2.cost.json": costs[0]}
        )
