"""SGD and Adam against torch's optimizer classes, and what they do not load."""

import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from condensation.training import updates

PAIRS = [
    (updates.SGD, torch.optim.SGD, {}),
    (updates.SGD, torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-4}),
    (updates.Adam, torch.optim.Adam, {}),
    (updates.Adam, torch.optim.Adam, {"weight_decay": 1e-2}),
]


@pytest.mark.parametrize(("ours", "theirs", "options"), PAIRS)
def test_twenty_steps_give_torchs_bytes(ours, theirs, options):
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for shape in ((3, 4), (5,), (2,))]
    copies = [[value.clone().requires_grad_() for value in start] for _ in range(2)]
    pair = ours(copies[0], lr=0.1, **options), theirs(copies[1], lr=0.1, **options)
    for step in range(20):
        factors = [torch.randn(value.shape, generator=generator) for value in start]
        for updater, parameters in zip(pair, copies, strict=True):
            updater.zero_grad()
            # the last parameter has no gradient in some steps
            used = list(zip(parameters, factors, strict=True))[: 3 - step % 2]
            sum((factor * value**2).sum() for value, factor in used).backward()
            updater.step()
    assert all(torch.equal(a, b) for a, b in zip(*copies, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(copies[0], start, strict=True))


def test_another_rate_counts_from_the_next_step():
    parameter = torch.zeros(1, requires_grad=True)
    updater = updates.SGD([parameter], lr=1.0)
    parameter.grad = torch.ones(1)
    updater.step()
    updater.lr = 0.5
    updater.step()
    assert parameter.item() == -1.5


def test_condensing_and_evaluating_load_no_compiler():
    """Loading it takes longer than a small job computes. DC, DSA and TM need it: torch.func."""
    code = """
import sys
import condensation
from condensation.core import compute
compute.set_up()
condensed = condensation.condense("digits", method="dm", ipc=1, iterations=1, batch_real=8)
condensation.evaluate(condensed, "digits", networks=2, epochs=1)
sys.exit("torch._dynamo" in sys.modules)
"""
    folder = ROOT / "workflow_scripts"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
