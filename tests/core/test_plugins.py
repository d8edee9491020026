"""Networks that are not built in: of timm, of torchvision, and users' own."""

import importlib
import re
import shlex
import subprocess
import sys

import pytest
import timm
import torch
from conftest import small_dataset
from torchvision import models

from condensation import networks
from condensation.config.entries import SGD, Evaluation
from condensation.config.loading import parse
from condensation.core import plugins, randomness
from condensation.core.errors import InputError
from condensation.data.sets import Condensed
from condensation.methods.contract import Problem
from condensation.training import evaluation
from condensation.workflow import jobs

OWN = """
import torch

def perceptron(shape, classes, *, width, bias=True):
    layers = [torch.nn.Flatten(), torch.nn.Linear(shape[0] * shape[1] * shape[2], width, bias)]
    return torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(width, classes))

def wrong(shape, classes):
    return torch.nn.Flatten()

def none(shape, classes):
    pass
"""


def entry(network, **options):
    config = parse(
        {
            "datasets": {"d": {"source": "digits"}},
            "methods": {"random": {"algorithm": "random"}},
            "architectures": {"mine": {"network": network, **options}},
            "experiments": {
                "e": {
                    "datasets": ["d"],
                    "methods": ["random"],
                    "ipc": [1],
                    "architectures": ["mine"],
                }
            },
        }
    )
    return config, config.architectures["mine"].model_dump()


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_a_timm_network_is_the_one_that_timm_builds():
    _, mine = entry("timm:resnet10t")
    network = networks.build(mine, (1, 32, 32), 7, 0)
    assert parameters(network) == parameters(
        timm.create_model("resnet10t", in_chans=1, num_classes=7)
    )
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 7)
    again, other = (networks.build(mine, (1, 32, 32), 7, seed) for seed in (0, 1))
    weights = [next(built.parameters()) for built in (network, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_a_timm_transformer_takes_the_image_size():
    _, mine = entry("timm:vit_tiny_patch16_224", patch_size=4)
    network = networks.build(mine, (3, 16, 16), 5, 0)
    assert network.pos_embed.shape[1] == 4 * 4 + 1
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 5)


def test_a_torchvision_network_is_the_one_that_torchvision_builds():
    _, mine = entry("torchvision:squeezenet1_1")
    network = networks.build(mine, (3, 32, 32), 10, 0)
    assert parameters(network) == parameters(models.squeezenet1_1(num_classes=10))
    grey = networks.build(mine, (1, 32, 32), 10, 0)
    assert parameters(network) - parameters(grey) == 2 * 64 * 9  # of the first convolution
    _, mine = entry("torchvision:vit_b_32")
    transformer = networks.build(mine, (3, 64, 64), 10, 0)
    assert transformer.encoder.pos_embedding.shape[1] == 2 * 2 + 1


def test_a_users_own_network_is_called_with_its_options(tmp_path):
    (tmp_path / "net.py").write_text(OWN)
    config, mine = entry(f"{tmp_path / 'net.py'}:perceptron", width="1e1")
    assert mine["width"] == 10.0
    _, mine = entry(f"{tmp_path / 'net.py'}:perceptron", width=6)
    network = networks.build(mine, (3, 8, 8), 3, 0)
    assert parameters(network) == 192 * 6 + 6 + 6 * 3 + 3
    # an edit of the file reruns what uses it
    before = jobs.evaluate(config, "mine", "none", "sgd")["source"]
    (tmp_path / "net.py").write_text(OWN.replace("ReLU", "GELU"))
    assert jobs.evaluate(config, "mine", "none", "sgd")["source"] != before


@pytest.mark.parametrize("network", ["timm:resnet10t", "torchvision:squeezenet1_1"])
def test_library_networks_are_trained_like_any_other(network):
    """With batch statistics or dropout the networks of a job go one after the other."""
    dataset = small_dataset(shape=(3, 32, 32))
    problem = Problem(dataset, ipc=4, seed=0)
    indices = problem.draw_real(4, problem.generator("test")).flatten()
    _, mine = entry(network)
    rows, _ = evaluation.evaluate(
        *(Condensed(problem.real(indices), problem.labels, indices), dataset, [0, 1]),
        architecture=mine,
        augmentation={"policy": "none"},
        optimizer=SGD(algorithm="sgd").model_dump(),
        protocol=Evaluation(epochs=2).model_dump(exclude={"seeds_per_job"}),
        device=torch.device("cpu"),
        stack=True,
    )
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert rows[0]["loss"] != rows[1]["loss"]


@pytest.mark.parametrize(
    "network, options, message",
    [
        (
            "timm:resnet10x",
            {},
            r"timm has no network 'resnet10x'; did you mean 'resnet10t' or '\w+' or '\w+'\? ",
        ),
        (
            "torchvision:resnet19",
            {},
            r"torchvision has no network 'resnet19'; did you mean .*'resnet1\d+'.* python -c ",
        ),
        ("torchvision:qqqq", {}, "torchvision has no network 'qqqq'. This command lists its"),
        ("timm:resnet10t", {"colour": 1}, r"timm:resnet10t\(.*colour"),
        ("torchvision:vgg11", {}, r"torchvision:vgg11 does not take images of 1 x 8 x 8: "),
    ],
)
def test_what_a_library_cannot_build_is_refused(network, options, message):
    _, mine = entry(network, **options)
    with pytest.raises(InputError, match=message):
        networks.build(mine, (1, 8, 8), 10, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "known"), [("timm", "resnet10t"), ("torchvision", "squeezenet1_1")]
)
def test_the_command_in_the_message_lists_all_networks_of_a_library(library, known):
    with pytest.raises(InputError) as caught:
        networks.build({"network": f"{library}:qqqq"}, (3, 32, 32), 10, 0)
    python, flag, code = shlex.split(str(caught.value).partition("networks: ")[2])
    assert (python, flag) == ("python", "-c")
    listing = subprocess.run([sys.executable, flag, code], capture_output=True, text=True)
    assert known in listing.stdout.split()


def test_mistakes_in_a_users_network_are_named(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(OWN)
    for text, message in [
        ({"network": f"{file}:perceptro", "width": 1}, "unknown function 'perceptro' .*perceptron"),
        ({"network": f"{file}:perceptron"}, "perceptron needs width"),
        ({"network": f"{file}:perceptron", "widht": 1}, "unknown option .* 'widht'"),
        ({"network": "elsewhere.py:net"}, "elsewhere.py: cannot read the file"),
        ({"network": "keras:net"}, "architectures.mine"),
        ({"network": "convnett"}, "did you mean 'convnet'"),
    ]:
        with pytest.raises(InputError, match=message):
            entry(**text)
    for name, message in [
        ("wrong", r"gives \(2, 192\) for two images; expected logits \(2, 3\)"),
        ("none", "returned NoneType; expected a torch.nn.Module"),
    ]:
        _, mine = entry(f"{file}:{name}")
        with pytest.raises(InputError, match=message):
            networks.build(mine, (3, 8, 8), 3, 0)


def test_a_file_that_fails_says_where(tmp_path):
    (tmp_path / "net.py").write_text("def net(shape, classes):\n    pass\n1 / 0\n")
    with pytest.raises(InputError, match=r"ZeroDivisionError.*line 3"):
        plugins.load(f"{tmp_path / 'net.py'}:net")


def test_a_file_with_another_ending_is_refused():
    with pytest.raises(InputError, match=r"net\.txt: not a Python file"):
        plugins.load("net.txt:net")


IMPORTING = "def net(shape, classes):\n    import {module}\n"


def test_a_missing_module_is_named_with_the_environment(tmp_path):
    """At the top of a file, in a file beside it, and in the function."""
    (tmp_path / "helper_of_the_net.py").write_text("\n\nimport no_such_module\n")
    message = rf"the module 'no_such_module' is missing. Install it in .*{re.escape(sys.prefix)}"
    for module, place in [("no_such_module", "net.py, line 2"), ("helper_of_the_net", "line 3")]:
        (tmp_path / "net.py").write_text(IMPORTING.format(module=module))
        with pytest.raises(InputError, match=f"{place}: {message}"):
            networks.build({"network": f"{tmp_path / 'net.py'}:net"}, (1, 8, 8), 10, 0)
    (tmp_path / "net.py").write_text("import no_such_module\n" + OWN)
    with pytest.raises(InputError, match=f"net.py, line 1: {message}"):
        plugins.load(f"{tmp_path / 'net.py'}:perceptron")


def test_initial_weights_do_not_depend_on_the_global_state():
    _, mine = entry("timm:resnet10t")
    torch.manual_seed(1)
    first = networks.build(mine, (1, 32, 32), 7, 0)
    with randomness.seeded(5):
        second = networks.build(mine, (1, 32, 32), 7, 0)
    assert torch.equal(next(first.parameters()), next(second.parameters()))


def write(folder, **files):
    """Write Python files whose names have two underscores for a slash; return the folder."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/', 1)}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


HELPED = {
    "at the top": "from {0} import VALUE\ndef f():\n    return VALUE\n",
    "in the function": "def f():\n    from {0} import VALUE\n    return VALUE\n",
}


@pytest.mark.parametrize("module", ["helper", "helpers.inner", "evaluate", "job"])
@pytest.mark.parametrize("place", HELPED)
def test_each_file_imports_the_modules_beside_it(tmp_path, monkeypatch, place, module):
    """Not that of another user, nor a rule script of its name; jobs have loaded `job`."""
    monkeypatch.setitem(sys.modules, "job", importlib.import_module("job"))
    text, helper = HELPED[place].format(module), module.replace(".", "__")
    functions = []
    for value in (1, 2):
        write(tmp_path / str(value), mine=text, **{helper: f"VALUE = {value}\n"})
        functions.append(plugins.load(f"{tmp_path / str(value)}/mine.py:f"))
    assert [function() for function in functions] == [1, 2]
    monkeypatch.delitem(sys.modules, module, raising=False)


def test_an_edited_helper_is_loaded_again_and_others_are_kept(tmp_path):
    text = "import helper\nfrom between import helper as same\ndef f():\n    return helper, same\n"
    write(tmp_path, mine=text, between="import helper\n", helper="VALUE = 1\n")
    first, same = plugins.load(f"{tmp_path}/mine.py:f")()
    assert first is same and first.VALUE == 1
    assert plugins.load(f"{tmp_path}/mine.py:f")() == (first, first)
    write(tmp_path, helper="VALUE = 'another'\n")
    second, same = plugins.load(f"{tmp_path}/mine.py:f")()
    assert second is same and second.VALUE == "another"


def test_a_function_that_calls_another_users_function_keeps_its_own_helpers(tmp_path):
    inner = write(tmp_path / "b", net=HELPED["in the function"].format("helper"), helper="VALUE=2")
    outer = (
        "import helper\nfrom condensation.core import plugins\ndef f():\n    import late\n"
        f"    other = plugins.load('{inner}/net.py:f')()\n"
        "    import helper as again, late as later\n"
        "    return helper.VALUE, other, again is helper, later is late\n"
    )
    write(tmp_path / "a", mine=outer, helper="VALUE = 1\n", late="")
    write(inner, late="")
    assert plugins.load(f"{tmp_path / 'a'}/mine.py:f")() == (1, 2, True, True)
