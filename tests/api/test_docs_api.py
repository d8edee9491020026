"""The examples of docs/api.md run."""

import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs/api.md").read_text()


@pytest.mark.parametrize("example", re.findall(r"```python\n(.*?)```", PAGE, flags=re.S))
def test_the_example_of_the_page_runs(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/api.md", "exec"), {})
    shown = capsys.readouterr().out
    assert "CondensedSet(100 images 1x8x8 of digits" in shown and "(2 networks)" in shown
    assert (tmp_path / "digits_dm.safetensors").is_file()
