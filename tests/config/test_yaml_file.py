"""Config files: YAML is read as it is written, or refused."""

import json
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

from condensation.config import yaml_file
from condensation.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice, first in line 1"),
        ("m:\n  x: {y: 1, y: 2}\n", 2, "'y' is given twice, first in line 2"),
        ("m:\n- {y: 1}\n- y: 1\n  z: 1\n  'y': 2\n", 5, "'y' is given twice, first in line 3"),
        ('{"a": 1,\n\t"b": 2,\n\t"a": 3}', 3, "'a' is given twice, first in line 1"),
        ("x: &x {a: 1}\ny:\n  <<: *x\n  <<: *x\n", 4, "'<<' is given twice"),
        ("ipc: [1,\n  010]\n", 2, "010 is 8 in YAML .octal.; write 10, or '010' for text"),
        ("a:\n  b: -0_17\n", 2, "-0_17 is -15 in YAML .octal.; write -17,"),
        ("010: {source: digits}\n", 1, "010 is 8 in YAML"),
        ("seeds: 1:30\n", 1, "1:30 is 90 in YAML .base 60.; write 90, or '1:30' for text"),
        ("lr: 1:30.5\n", 1, "1:30.5 is 90.5 in YAML"),
        ("a:\n\tb: 2\n", 2, "not valid YAML: .*a tab; YAML is indented with spaces only"),
        ("a: [1\nb: 2\n", 2, "not valid YAML: while parsing a flow sequence that begins in line 1"),
        ("a: 'open\n\nb: 1\n", 4, "not valid YAML: .*quoted scalar that begins in line 1"),
        ("a: 1\n b: 2\n", 2, "not valid YAML: mapping values are not allowed"),
        ("a: 1\n---\nb: 1\n", 2, "not valid YAML: expected a single document"),
        ("a: *none\n", 1, "not valid YAML: found undefined alias"),
        ("a: 1\nb: \x01\n", 2, "not valid YAML: special characters"),
        (b"a: 1\nb: \xe9\n", 2, "it is not UTF-8"),
    ],
)
def test_misleading_yaml_is_refused_with_file_and_line(tmp_path, text, line, expected):
    path = tmp_path / "my config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=rf"my config.yaml, line {line}: .*{expected}") as caught:
        yaml_file.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: 0\nb: -0\nc: 0.5\nd: 00\n",
        "a: '010'\nb: \"1:30\"\nc: 0x10\nd: 1_000\ne: 08\n",
        "base: &base {a: 1, b: 2}\nother: {<<: *base, a: 3}\n",
        "a: {x: 1}\nb: {x: 1}\n'1': 2\n1: 3\n",
        "\ufeffa: 1\n",
        "",
    ],
)
def test_clear_yaml_is_read_as_pyyaml_reads_it(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    assert yaml_file.read(path) == yaml.safe_load(text.removeprefix("\ufeff"))


def test_json_is_read_too(tmp_path):
    content = {"a": [1, 2.5, None, True], "b": {"c": "010", "d\t": "é/\\"}}
    (tmp_path / "c.json").write_text(json.dumps(content, indent="\t"))
    assert yaml_file.read(tmp_path / "c.json") == content


@pytest.mark.parametrize("path", sorted(ROOT.glob("config/**/*.yaml")), ids=lambda path: path.name)
def test_the_configs_of_the_repository_are_read_as_pyyaml_reads_them(path):
    assert yaml_file.read(path) == yaml.safe_load(path.read_text())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mx.yaml", "mx.yaml: .*there is no such file; did you mean 'my.yaml'"),
        ("evaluations", "evaluations: .*targets stand before --configfile"),
        ("", r"cannot read the config \(Is a directory\)"),
    ],
)
def test_an_unreadable_file_gives_an_error_of_one_line(tmp_path, name, expected):
    (tmp_path / "my.yaml").write_text("a: 1\n")
    with pytest.raises(InputError, match=expected) as caught:
        yaml_file.read(tmp_path / name)
    assert "\n" not in str(caught.value) and "Errno" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("tables --configfile a.yaml b.yaml --cores all", ["a.yaml", "b.yaml"]),
        ("--configfiles a.yaml -n", ["a.yaml"]),
        ("--cores 2 --configfile=a.yaml --config x=1", ["a.yaml"]),
        ("--configfile a.yaml --configfile b.yaml", ["a.yaml", "b.yaml"]),
        ("--cores 2 -n tables", []),
    ],
)
def test_the_config_files_of_a_command_are_found(command, expected):
    assert yaml_file.named(command.split()) == expected


def test_reading_a_config_loads_no_slow_package():
    code = "import sys; sys.path.insert(0, 'workflow_scripts')\n"
    code += "from condensation.config import yaml_file\n"
    code += "from condensation.core import devices\n"
    code += "from condensation.workflow import made_from\n"
    code += "print([m for m in ('torch', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
