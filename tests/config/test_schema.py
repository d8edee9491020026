"""The config: what it accepts, and the error that each mistake gives."""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import ROOT

from condensation.config import reference
from condensation.config.built_in import BUILT_IN
from condensation.config.checks import SMALLEST_CLASS
from condensation.config.loading import load, parse
from condensation.core.errors import InputError

GOOD = {
    "datasets": {"digits": {"source": "digits"}, "cifar10": {"source": "cifar10"}},
    "methods": {
        **{"random": {"algorithm": "random"}, "dm": {"algorithm": "dm"}},
        "all": {"algorithm": "whole"},
    },
    "experiments": {"main": {"datasets": ["digits"], "methods": ["random"], "ipc": [1]}},
}
AXES = {"datasets": "digits", "methods": "random", "ipc": 1}
RANKED = {"dataset": "cifar10", "sets": {"methods": ["random"], "ipc": [10]}}
CONFIGS = sorted([*ROOT.glob("config/*.yaml"), *ROOT.glob("config/test/*.yaml")])


def changed(path: str, value) -> dict:
    content = copy.deepcopy(GOOD)
    *folders, last = path.split(".")
    place = content
    for folder in folders:
        place = place.setdefault(folder, {})
    place[last] = value
    return content


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_every_config_in_the_repository_is_valid_for_us_and_for_the_schema(path):
    load(path)
    schema = json.loads((ROOT / "config/schema.json").read_text())
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)


def test_the_schema_refuses_what_we_refuse():
    schema = json.loads((ROOT / "config/schema.json").read_text())
    for path, value in [("methods.dm.itrations", 3), ("methods.dm.init", "rand"), ("more", {})]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed(path, value), schema)


def test_schema_and_reference_are_fresh():
    again = "python workflow_scripts/condensation/config/reference.py"
    assert (ROOT / "config/schema.json").read_text() == reference.schema(), f"run {again}"
    assert (ROOT / "config/README.md").read_text() == reference.page(), f"run {again}"


def test_every_key_is_documented():
    page = reference.page()
    for line in page.splitlines():
        if line.startswith("| `"):
            assert line.rsplit("|", 2)[1].strip(), line
    for name in re.findall(r"^\| `(\w+)` \| mapping", page.partition("## data")[0], re.M):
        assert re.search(rf"^## {name}\b", page, re.M), name
    assert set(re.findall(r"`(\w+)`.*the built-in ones", page)) == set(BUILT_IN)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "methods.dm.itrations",
            3,
            "x.yaml: methods.dm: unknown option 'itrations' .*'iterations'",
        ),
        (
            "methods.k",
            {"algorithm": "kcentre"},
            "methods.k: unknown algorithm 'kcentre'.*'kcenter'",
        ),
        ("methods.k", {"algorthm": "kcenter"}, "methods.k: expected a mapping with `algorithm`"),
        (
            "methods.dm.init",
            "nois",
            "methods.dm.init: .*'noise'.* got 'nois'; did you mean 'noise'",
        ),
        ("methods.dm.iterations", "many", "methods.dm.iterations: .*integer.*got 'many'"),
        ("methods.dm.momentum", 1.5, "methods.dm.momentum: .*less than 1, got 1.5"),
        ("methods.dm.architecture", "convnt", "methods.dm.architecture: unknown archit.*'convnet'"),
        (
            "methods.dm.augmentation",
            "DSA",
            "methods.dm.augmentation: unknown augm.*known: autoaug, dsa, .*'dsa'",
        ),
        (
            "methods.dm.augmentation",
            "randaug",
            "methods.dm.augmentation: 'randaug' .*cannot be differentiated.*'dsa' or 'none'",
        ),
        ("methods.dm.features", "embeding", "methods.dm.features: unknown features.*'embedding'"),
        ("methods.features", {"algorithm": "random"}, "methods.features: this name is taken in"),
        ("methods.m", {"algorithm": "no.py:f"}, "methods.m: no.py: cannot read the file"),
        ("datasets.d", {"source": "cifar-10"}, "datasets.d.source: .*did you mean 'cifar10'"),
        ("datasets.a/b", {"source": "digits"}, "datasets.a/b: 'a/b' is not allowed"),
        (
            "methods.my method",
            {"algorithm": "random"},
            r"my method: 'my method' is not allowed as a name: use letters, digits, '_', '.' and "
            "'-', and begin with a letter or a digit, for example 'my_method'$",
        ),
        ("methods._é à-", {"algorithm": "random"}, "for example 'e_a'$"),
        ("methods./", {"algorithm": "random"}, "begin with a letter or a digit$"),
        ("experiments.main.ipc", 0, r"x.yaml: experiments.main.ipc: .*equal to 1, got 0$"),
        ("experiments.main.ipc", "many", r"x.yaml: experiments.main.ipc: .*integer.* 'many'$"),
        ("experiments.main.ipc", [1, 0], r"x.yaml: experiments.main.ipc \(item 2\): .*got 0$"),
        ("experiments.main.datasets", "digts", "x.yaml: experiments.main.datasets: unknown data"),
        (
            "experiments.main",
            [AXES, AXES | {"ipc": [1, 0]}],
            r"x.yaml: experiments.main \(item 2\).ipc \(item 2\): .*got 0$",
        ),
        (
            "experiments.main",
            [AXES, AXES | {"methods": "rndom"}],
            r"x.yaml: experiments.main \(item 2\).methods: unknown method 'rndom'",
        ),
        ("experiments.main", {"datasets": "digits"}, "x.yaml: experiments.main.ipc: required"),
        ("nas", RANKED | {"sets": {"methods": "random", "ipc": 0}}, "x.yaml: nas.sets.ipc: .*got"),
        ("methods.dm.snapshots", "a", "x.yaml: methods.dm.snapshots: .*integer.*got 'a'"),
        ("compute.compile", "maybe", "x.yaml: compute.compile: .*boolean.*got 'maybe'"),
        ("datasets.tables", {"source": "digits"}, "datasets.tables: this name is taken"),
        ("datasets.d", {"source": "image_folder"}, "datasets.d: `image_folder` needs `path`"),
        ("datasets.digits.path", "x", "datasets.digits: .*takes no `path`"),
        ("datasets.cifar10.checksum", "md5:" + 32 * "0", "cifar10: .*takes no `checksum`.*pickles"),
        ("datasets.cifar10.mean", [0.5], "datasets.cifar10: give both `mean` and `std`"),
        *(
            ("datasets.cifar10", {"source": "cifar10"} | options, expected)
            for options, expected in (
                ({"mean": [125.0], "std": [0.5]}, r"`mean` .*0 to 255 by 255.*, got \[125.0\]"),
                ({"mean": -0.1, "std": 0.5}, "`mean` must be from 0 to 1"),
                ({"mean": float("nan"), "std": 0.5}, "`mean` must be from 0 to 1"),
                ({"mean": [0.5], "std": [60.0]}, r"`std` .*0 to 255 by 255.*, got \[60.0\]"),
                ({"mean": [0.5], "std": [0.0]}, "`std` must be above 0 and at most 1"),
                ({"mean": 0.5, "std": float("inf")}, "`std` must be above 0 and at most 1"),
                ({"channels": 1}, "`channels` is for `image_folder`, not for `cifar10`"),
                ({"image_size": 8}, "`image_size` is for `image_folder`, not for `cifar10`"),
            )
        ),
        ("datasets.cifar10.like", "cifar100", "`like` is for `image_folder`"),
        (
            "experiments.main.methods",
            ["rndom"],
            "experiments.main.methods: unknown method.*'random'",
        ),
        ("experiments.main.datasets", ["dgits"], "main.datasets: unknown dataset.*'digits'"),
        ("experiments.main.architectures", ["convent"], "unknown architecture.*'convnet'"),
        ("experiments.main.augmentations", ["dsaa"], "unknown augmentation 'dsaa'.*'dsa'"),
        ("experiments.main.optimizers", ["sdg"], "unknown optimizer 'sdg'.*'sgd'"),
        (
            "experiments.main.ipc",
            [141],
            "main.ipc: 141 is more than the smallest class .* .140 train",
        ),
        (
            "experiments.main.ipc",
            [0],
            "experiments.main.ipc: .*greater than or equal to 1, got 0",
        ),
        ("experiments.main.ipcs", [1], "experiments.main: unknown option 'ipcs'.*'ipc'"),
        ("experiments", {}, "experiments: .*at least 1 item"),
        ("compute.device", "gpu", "compute.device: .*got 'gpu'"),
        ("results_dir", "a{b}", "results_dir: .*got 'a{b}'"),
        ("methods.k", {"algorithm": ["random"]}, "methods.k: unknown algorithm"),
        ("methods.i", {"algorithm": "imported", "path": "{method}.pt"}, "only {dataset}, {ipc}"),
        ("methods.i", {"algorithm": "imported", "path": "{0}.pt"}, "only {dataset}, {ipc} and"),
        *(
            ("methods.i", {"algorithm": "imported", "path": "s.pt"} | options, expected)
            for options, expected in (
                ({"mean": [0.5], "std": [0]}, r"`std` must be above 0, got \[0.0\]"),
                ({"mean": [], "std": []}, r"`std` must be above 0, got \[\]"),
                ({"mean": [0.5], "std": [float("inf")]}, "finite"),
                ({"restandardize": True}, "`restandardize` needs the `mean` and `std`"),
                ({"mean": [0.5], "std": [1], "scale": "unit"}, "remove them, or `scale: unit`"),
                ({"run": -1}, "`run` counts from 0, got -1"),
                ({"run": "sed"}, "seed"),
                ({"labels": "soft "}, "'soft' or 'hard'"),
                ({"classes": [1, 2, "1"]}, "`classes` names '1' twice"),
                ({"preprocessing": "zca", "scale": "unit"}, "used unchanged"),
            )
        ),
        ("nas", RANKED | {"dataset": "digts"}, "nas.dataset: unknown dataset.*'digits'"),
        (
            "nas",
            RANKED | {"dataset": "digits"},
            "no accuracies on digits; name the column",
        ),
        ("nas", RANKED | {"architectures": 20_000}, "nas.architectures: .*equal to 15625, got 2"),
        (
            "nas",
            RANKED | {"sets": {"methods": ["dn"], "ipc": [1]}},
            "sets.methods: unknown method 'dn'",
        ),
        (
            "nas",
            RANKED | {"sets": [RANKED["sets"], {"methods": ["random"], "ipc": [9999]}]},
            r"nas.sets \(item 2\).ipc: 9999 is more than the smallest class of cifar10",
        ),
        ("nas", RANKED | {"sets": {"methods": ["all"], "ipc": [1]}}, "is a reference: `nas.refer"),
        ("nas", RANKED | {"truth": "whole"}, "`truth: whole` needs a reference without `images`"),
        (
            "nas",
            RANKED | {"truth": "whole", "references": {"all": {}}, "table": "a.csv"},
            "`table` and `column` are for `truth: benchmark`",
        ),
        ("nas", RANKED | {"references": {"a/b": {}}}, "nas.references: 'a/b' is not allowed"),
        ("nas", RANKED | {"validation": 1.0}, "nas.validation: .*less than 1, got 1.0"),
        ("nas", RANKED | {"network": {"cels": 5}}, "unknown option 'cels'.*'cells'"),
        ("experments", {}, "unknown option 'experments'.*'experiments'"),
    ],
)
def test_each_mistake_names_the_key_the_value_and_what_is_allowed(path, value, expected):
    with pytest.raises(InputError) as caught:
        parse(changed(path, value), "x.yaml")
    assert re.search(expected, str(caught.value)), str(caught.value)


def test_several_mistakes_are_reported_at_once():
    content = changed("methods.dm.iterations", -1)
    content["datasets"]["d"] = {"source": "nothing"}
    with pytest.raises(InputError) as caught:
        parse(content)
    assert len(str(caught.value).splitlines()) == 2


SINGLE_VALUES = {
    "experiments.main": {
        **{"datasets": "digits", "methods": "random", "ipc": 2, "augmentations": "none"},
        **{"architectures": "mlp", "optimizers": "adam"},
    },
    "nas.sets": {"methods": "random", "ipc": 10},
    "figure7": {"datasets": "digits", "methods": "random"},
    "methods.dm": {"snapshots": 0},
    "methods.file": {"mean": 0.5, "std": 0.25},
    "datasets.mine": {"mean": 0.5, "std": 0.25},
    "augmentations.flipped": {"operators": "flip"},
    "augmentations.cropped": {"transforms": {"RandomCrop": {"padding": 4}}},
}


def with_lists(listed: bool) -> dict:
    """A config with ``SINGLE_VALUES`` as they are, or each in a list."""
    content = copy.deepcopy(GOOD)
    content["methods"]["file"] = {"algorithm": "imported", "path": "x.pt"}
    content["datasets"]["mine"] = {"source": "image_folder", "path": "x.tar", "channels": 1}
    policies = {"flipped": {"policy": "dsa"}, "cropped": {"policy": "torchvision"}}
    content |= {"nas": {"dataset": "cifar10", "sets": {}}, "augmentations": policies}
    content["figure7"] = {"features": "embedding", "ipc": 2}
    for path, options in SINGLE_VALUES.items():
        place = content
        for key in path.split("."):
            place = place[key]
        place |= {key: [value] if listed else value for key, value in options.items()}
    return content


def test_a_single_value_needs_no_list():
    """The jobs of both spellings get the same options; the schema of editors takes both."""
    single, listed = with_lists(listed=False), with_lists(listed=True)
    assert parse(single).model_dump() == parse(listed).model_dump()
    assert parse(single).experiments["main"][0].ipc == [2]
    schema = json.loads((ROOT / "config/schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(single) and validator.is_valid(listed)
    for value in ("many", 0, [], [0]):
        assert not validator.is_valid(changed("experiments.main.ipc", value))


@pytest.mark.parametrize("text", ["", "- a\n", "a: [", "just words"])
def test_a_file_that_is_no_config_is_refused_by_name(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="bad.yaml"):
        load(path)


def test_home_and_variables_are_expanded_in_every_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    (tmp_path / "m.py").write_text(PLUGIN)
    content = copy.deepcopy(GOOD) | {"results_dir": "~/out/", "figures_dir": "$SCRATCH/figures"}
    content["data"] = {"mirror": "${SCRATCH}/archives"}
    content["datasets"]["mine"] = {"source": "image_folder", "path": "~/a b$c.tar"}
    content["methods"] |= {
        "theirs": {"algorithm": "imported", "path": "~/s_{ipc}.pt", "labels_path": "~/y.pt"},
        "own": {"algorithm": "~/m.py:f", "a": "~/weights.pt"},
    }
    config = parse(content)
    assert config.results_dir == f"{tmp_path}/out" and config.figures_dir == "/scratch/me/figures"
    assert config.data.mirror == "/scratch/me/archives"
    assert config.datasets["mine"].path == f"{tmp_path}/a b$c.tar"
    imported, plugin = config.methods["theirs"], config.methods["own"]
    assert imported.path == f"{tmp_path}/s_{{ipc}}.pt"
    assert imported.labels_path == f"{tmp_path}/y.pt"
    assert plugin.algorithm == f"{tmp_path}/m.py:f"
    assert str(tmp_path / "weights.pt") in str(plugin.model_dump())
    with pytest.raises(InputError, match="x.yaml: '~nobody_of_that_name/a': there is no such user"):
        parse(changed("results_dir", "~nobody_of_that_name/a"), "x.yaml")
    for text in ("$UNSET_HERE/a", "/a/${UNSET_HERE}", "$UNSET_HERE"):
        with pytest.raises(InputError, match="the environment variable UNSET_HERE is not set"):
            parse(changed("results_dir", text), "x.yaml")
    assert parse(changed("results_dir", "$SCRATCH/a"), variables=False).results_dir == "$SCRATCH/a"


@pytest.mark.parametrize(
    ("folder", "expected"), [("out/", "out"), ("./out//x/", "out/x"), ("my results", "my results")]
)
def test_a_folder_has_one_spelling(folder, expected):
    assert parse(changed("results_dir", folder)).results_dir == expected


PLUGIN = "def f(problem, *, a, b=2): ...\ndef g(problem, other): ...\ndef h(problem, **k): ...\n"


@pytest.mark.parametrize(
    ("function", "options", "expected"),
    [
        ("f", {"a": 1, "c": 2}, "unknown option of m.py:f 'c' .*known: a, b"),
        ("f", {"b": 1}, "m.py:f needs a"),
        ("F", {"a": 1}, "m.py: unknown function 'F'.*did you mean 'f'"),
        ("g", {}, "must take one positional argument.*takes 2"),
    ],
)
def test_a_users_function_is_checked_without_running_it(
    tmp_path, monkeypatch, function, options, expected
):
    monkeypatch.chdir(tmp_path)
    Path("m.py").write_text("raise SystemExit('was run')\n" + PLUGIN)
    with pytest.raises(InputError, match=expected):
        parse(changed("methods.m", {"algorithm": f"m.py:{function}", **options}))
    parse(changed("methods.m", {"algorithm": "m.py:f", "a": 1}))
    parse(changed("methods.m", {"algorithm": "m.py:h", "anything": 1}))


TYPED = """
from typing import Optional
def f(problem, *, count: int = 3, lr: "float" = 0.1, fast: bool = False, way: str = "a",
      most: int | None = None, least: int = None, any_of: Optional[int] = None, free=1,
      many: list[int] = ()): ...
"""


@pytest.mark.parametrize(
    ("option", "right", "wrong"),
    [
        ("count", [3, -1], ["three", True, 2.5, None, [3]]),
        ("lr", [1, 0.5, "1e-3"], ["fast", False, None]),
        ("fast", [True], [1, "yes"]),
        ("way", ["b"], [3, True, None]),
        ("most", [3, None], ["three", 2.5]),
        ("least", [3, None], ["three"]),
        # what is not int, float, bool or str is not checked
        ("any_of", [3, "three"], []),
        ("free", [3, "three"], []),
        ("many", [[3], "three"], []),
    ],
)
def test_the_type_of_a_users_option_is_checked(tmp_path, option, right, wrong):
    (tmp_path / "m.py").write_text("raise SystemExit('was run')\n" + TYPED)
    entry = {"algorithm": f"{tmp_path}/m.py:f"}
    for value in right:
        parse(changed("methods.m", entry | {option: value}))
    for value in wrong:
        message = rf"methods.m: .*m.py:f: the option '{option}' is annotated as .*, got "
        with pytest.raises(InputError, match=message + re.escape(repr(value))):
            parse(changed("methods.m", entry | {option: value}))


def test_the_message_on_a_type_says_what_to_write(tmp_path):
    (tmp_path / "m.py").write_text(TYPED)
    for option, value, expected in [
        ("count", "three", r"annotated as int, got 'three' \(str\)$"),
        ("count", "1e3", r"annotated as int, got 1000.0 \(float\); write 1000$"),
        ("way", 3, r"annotated as str, got 3 \(int\); write it in quotes$"),
        ("most", "x", r"annotated as int or None, got 'x'"),
    ]:
        with pytest.raises(InputError, match=expected):
            parse(changed("methods.m", {"algorithm": f"{tmp_path}/m.py:f", option: value}))


DEFAULTS = """
def architecture(problem, *, architecture="convnet"): ...
def augmentation(problem, *, augmentation="dsa"): ...
def features(problem, *, features="embedding"): ...
def teacher(problem, *, teacher="scoring"): ...
def preprocessing(problem, *, preprocessing="zca"): ...
"""


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("architecture", "convnet"),
        ("augmentation", "dsa"),
        ("features", "embedding"),
        ("teacher", "scoring"),
        ("preprocessing", "zca"),
    ],
)
def test_a_special_option_of_a_users_method_must_stand_in_the_config(tmp_path, option, name):
    (tmp_path / "m.py").write_text(DEFAULTS)
    entry = {"algorithm": f"{tmp_path}/m.py:{option}"}
    expected = f"methods.m: .*m.py:{option}: set `{option}` in the config; the default '{name}'"
    with pytest.raises(InputError, match=expected):
        parse(changed("methods.m", entry))
    parse(changed("methods.m", entry | {option: name}))


SPECIAL = """
def special(problem, *, architecture, preprocessing="standardize", features="pixels",
            **others): ...
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"preprocessing": "zca"}, None),
        ({"preprocessing": "gray"}, "`preprocessing`: unknown kind 'gray' .*standardize, zca"),
        ({"preprocessing": ["zca"]}, "`preprocessing`: unknown kind .'zca'. .*standardize, zca"),
        ({"trajectories": "buffer"}, "`trajectories`: the pipeline gives experts to built-in "),
    ],
)
def test_special_options_of_a_users_method_are_checked(tmp_path, options, expected):
    (tmp_path / "m.py").write_text(SPECIAL)
    entry = {"algorithm": f"{tmp_path}/m.py:special", "architecture": "convnet", **options}
    if expected is None:
        parse(changed("methods.m", entry))
    else:
        with pytest.raises(InputError, match=f"methods.m: .*{expected}"):
            parse(changed("methods.m", entry))


def test_snapshots_of_a_users_method_are_refused(tmp_path):
    (tmp_path / "m.py").write_text("def f(problem, *, snapshots=()): ...\n")
    content = changed("methods.m", {"algorithm": f"{tmp_path}/m.py:f", "snapshots": [1]})
    blocks = [AXES, AXES | {"methods": ["dm", "m"]}]
    content["experiments"]["main"] = blocks
    parse(content)
    content["experiments"]["main"] = [blocks[0], blocks[1] | {"snapshots": True}]
    with pytest.raises(InputError, match=r"main \(item 2\).snapshots: 'm' is a method of your own"):
        parse(content)


def test_a_users_broken_file_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.py").write_text("def f(:\n")
    with pytest.raises(InputError, match="m.py: not valid Python"):
        parse(changed("methods.m", {"algorithm": "m.py:f"}))


def test_smallest_class_of_digits_is_what_the_reader_gives():
    from condensation.data import readers

    entry = parse(GOOD).datasets["digits"]
    read = readers.read("digits", entry.model_dump(), [])
    assert int(read.train_labels.bincount().min()) == SMALLEST_CLASS["digits"]


def test_both_environments_hold_the_same_pins():
    pins = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pins["pytorch" if name == "torch" else name] = version
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert dict(p.split("=") for p in conda if not p.startswith("python=")) == pins
