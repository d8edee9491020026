"""Results know their config: another config does not overwrite them."""

import copy

import pytest

from condensation.config.loading import parse
from condensation.core.errors import InputError
from condensation.workflow import made_from

CONFIG = {
    "datasets": {"digits": {"source": "digits"}},
    "methods": {"random": {"algorithm": "random"}},
    "experiments": {"main": {"datasets": ["digits"], "methods": ["random"], "ipc": [1]}},
}


def digest(**more):
    return made_from.digest(parse({**copy.deepcopy(CONFIG), **more}))


def test_the_digest_covers_what_results_depend_on():
    same = [{"compute": {"threads": 2}}, {"data": {"mirror": "m"}}, {"partial": True}]
    same += [{"results_dir": "elsewhere"}, {"figures_dir": "x"}]
    assert {digest(**more) for more in same} == {digest()}
    others = [{"evaluation": {"epochs": 3}}, {"methods": {"random": {"algorithm": "whole"}}}]
    assert len({digest(), *(digest(**more) for more in others)}) == 3


def test_another_config_is_refused_with_the_remedy(tmp_path):
    made_from.claim(tmp_path / "results", "a.yaml", "1")
    with pytest.raises(InputError, match=r"results holds what a.yaml made, and b.yaml is another"):
        made_from.check(tmp_path / "results", "b.yaml", "2")
    with pytest.raises(InputError, match=r"results_dir: results/NAME.*remove .*made_from.yaml"):
        made_from.claim(tmp_path / "results", "b.yaml", "2")
    made_from.claim(tmp_path / "results", "a.yaml", "2")  # edited
    made_from.claim(tmp_path / "results", "moved/a.yaml", "2")
    made_from.check(tmp_path / "results", "moved/a.yaml", "3")
    with pytest.raises(InputError, match=r"what moved/a.yaml made"):
        made_from.check(tmp_path / "results", "a.yaml", "3")
    (tmp_path / "results" / made_from.NAME).unlink()
    made_from.claim(tmp_path / "results", "b.yaml", "2")
    assert [path.name for path in (tmp_path / "results").iterdir()] == [made_from.NAME]


@pytest.mark.parametrize("content", ["", "a: [", "[1]", "config: a.yaml\n", "\x01"])
def test_an_unreadable_claim_refuses_nothing(tmp_path, content):
    (tmp_path / made_from.NAME).write_text(content)
    made_from.check(tmp_path, "b.yaml", "2")
    made_from.claim(tmp_path, "b.yaml", "2")
    with pytest.raises(InputError):
        made_from.check(tmp_path, "a.yaml", "1")
