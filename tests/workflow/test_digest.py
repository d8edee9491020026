"""Source digests: what changes them and what does not."""

import ast
import textwrap

import pytest

from condensation.workflow import digest


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "ROOT", tmp_path)
    files = {
        "condensation/__init__.py": "",
        "condensation/a.py": "from condensation import b\nfrom condensation.sub.c import f\n",
        "condensation/b.py": "import json\nX = 1\n",
        "condensation/sub/__init__.py": "",
        "condensation/sub/c.py": "from . import d\nfrom ..b import X\ndef f():\n    return 1\n",
        "condensation/sub/d.py": "Y = 2\n",
        "condensation/other.py": "Z = 3\n",
        "script.py": "def main():\n    from condensation import a\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def edit(package, name, text):
    path = package / name
    path.write_text(textwrap.dedent(text))
    # a file system may not tell two writes within one tick apart
    stat = path.stat()
    import os

    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))


def test_imports_are_followed_wherever_they_stand(package):
    assert digest.imported_modules(package / "script.py") >= {
        "script.py",
        "condensation/a.py",
        "condensation/b.py",
        "condensation/sub/c.py",
        "condensation/sub/d.py",
    }
    assert "condensation/other.py" not in digest.imported_modules(package / "script.py")


@pytest.mark.parametrize(
    "name", ["condensation/a.py", "condensation/b.py", "condensation/sub/d.py", "script.py"]
)
def test_an_edit_of_anything_imported_changes_the_digest(package, name):
    before = digest.source_digest(package / "script.py")
    edit(package, name, (package / name).read_text() + "\nNEW = 1\n")
    assert digest.source_digest(package / "script.py") != before


@pytest.mark.parametrize(
    ("statement", "edited", "covered"),
    [
        ("import beside", "beside.py", True),
        ("import beside", "folder/inner.py", False),
        ("import helpers", "helpers/__init__.py", True),
        ("import helpers", "helpers/used_by_init.py", True),
        ("import helpers", "helpers/a.py", False),
        ("import helpers.a", "helpers/__init__.py", True),
        ("from helpers import a", "helpers/a.py", True),
        ("from helpers.a import f", "helpers/a.py", True),
        ("from helpers.a import f", "helpers/deep/c.py", True),
        ("from helpers.a import f", "beside.py", True),
        ("from helpers.a import f", "condensation/b.py", True),
        ("from folder import inner", "folder/inner.py", True),
    ],
)
def test_what_a_users_file_imports_beside_it_is_followed(
    package, tmp_path_factory, statement, edited, covered
):
    folder = tmp_path_factory.mktemp("users")
    files = {
        "mine.py": f"def f():\n    {statement}\n",
        "beside.py": "from condensation import b\n",
        "helpers/__init__.py": "from . import used_by_init\n",
        "helpers/used_by_init.py": "",
        "helpers/a.py": "import beside\nfrom .deep import c\ndef f():\n    return 1\n",
        "helpers/deep/__init__.py": "",
        "helpers/deep/c.py": "",
        "folder/inner.py": "",  # a folder without `__init__.py` is a package too
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    home = package if edited.startswith("condensation/") else folder
    before = digest.source_digest(folder / "mine.py")
    edit(home, edited, (home / edited).read_text() + "\nNEW = 1\n")
    assert (digest.source_digest(folder / "mine.py") != before) is covered


def test_an_edit_elsewhere_keeps_the_digest(package):
    before = digest.source_digest(package / "script.py")
    edit(package, "condensation/other.py", "Z = 4\n")
    assert digest.source_digest(package / "script.py") == before


def test_comments_layout_and_docstrings_keep_the_digest(package):
    before = digest.source_digest("condensation.sub.c")
    edit(
        package,
        "condensation/sub/c.py",
        '''
        """A module."""
        from . import (
            d,  # why
        )
        from ..b import X

        def f():
            """Return one."""
            return (1)
        ''',
    )
    assert digest.source_digest("condensation.sub.c") == before
    edit(
        package, "condensation/sub/c.py", "from . import d\nfrom ..b import X\ndef f():\n  return 2"
    )
    assert digest.source_digest("condensation.sub.c") != before


def test_a_string_that_is_no_docstring_changes_the_digest(package):
    edit(package, "condensation/b.py", "X = 'one'\n")
    before = digest.source_digest("condensation.b")
    edit(package, "condensation/b.py", "X = 'two'\n")
    assert digest.source_digest("condensation.b") != before


def test_the_digest_does_not_depend_on_where_the_clone_is(package, tmp_path_factory, monkeypatch):
    import shutil

    before = digest.source_digest(package / "script.py")
    moved = tmp_path_factory.mktemp("elsewhere") / "clone"
    shutil.copytree(package, moved)
    monkeypatch.setattr(digest, "ROOT", moved)
    assert digest.source_digest(moved / "script.py") == before


def test_empty_fields_of_newer_pythons_keep_the_dump():
    node = ast.parse("def f(x): return x").body[0]
    before = digest._dump(node)
    node._fields = (*node._fields, "new_in_a_later_python")
    node.new_in_a_later_python = []
    assert digest._dump(node) == before


def test_the_real_methods_do_not_cover_each_other():
    reached = {
        name: digest.imported_modules(f"condensation.methods.{name}")
        for name in ("random", "kcenter", "dm", "whole", "imported")
    }
    for name, modules in reached.items():
        others = {f"condensation/methods/{other}.py" for other in reached if other != name}
        assert f"condensation/methods/{name}.py" in modules
        assert not modules & others, name
        assert "condensation/config/entries.py" not in modules  # a new default reruns by its value
        assert "condensation/training/evaluation.py" not in modules
    assert "condensation/networks/mlp.py" not in reached["dm"]
    evaluation = digest.imported_modules(digest.ROOT / "evaluate.py")
    assert "condensation/training/evaluation.py" in evaluation
    assert not {m for m in evaluation if m.startswith("condensation/methods/")}


def test_a_missing_module_is_named():
    with pytest.raises(FileNotFoundError, match=r"condensation\.nothing"):
        digest.source_digest("condensation.nothing")


@pytest.mark.parametrize("method", ["random", "kcenter", "dc", "dm", "tm", "kip"])
def test_how_images_are_read_and_jobs_planned_reruns_no_condensation(method):
    covered = digest.imported_modules(f"condensation.methods.{method}")
    readers = {"archives", "image_files", "readers", "sizes", "work", "requests"}
    assert not covered & {f"condensation/{name}.py" for name in readers}
