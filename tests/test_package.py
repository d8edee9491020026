"""The package as `pip install .` installs it."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from conftest import ROOT

PACKAGE = ROOT / "workflow_scripts/condensation"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The content of the wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, source / PACKAGE.relative_to(ROOT), ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-q", "-w", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("condensation-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(installed):
    def files(folder):
        paths = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)) for path in paths if "__pycache__" not in path.parts}

    assert files(installed / "condensation") == files(PACKAGE)


@pytest.mark.slow
def test_the_installed_command_knows_its_subcommands(installed):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, function = project["scripts"]["condensation"].split(":")
    program = f"import sys, {module}; sys.argv[1:] = ['--help']; {module}.{function}()"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=installed,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("evaluate", "export", "verify", "join-evidence"))
