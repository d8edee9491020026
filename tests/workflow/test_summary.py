"""The last lines of a run."""

import pytest

from condensation.workflow import summary

HEAD = "dataset,method,ipc,iteration,architecture,augmentation,optimizer,labels,mean"


@pytest.fixture
def shown(tmp_path):
    def show(*rows: str) -> list[str]:
        table = tmp_path / "accuracy.csv"
        table.write_text("\n".join([HEAD, *rows]) + "\n")
        text = summary.text(table, ["a.md", "b.html"], "results/<method>/condensed.safetensors", 75)
        return text.splitlines()

    return show


def test_the_cells_of_the_way_that_most_methods_share_are_shown(shown):
    lines = shown(
        "digits,random,1,end,mlp,none,sgd,own,11.11",
        "digits,random,1,end,convnet,dsa,sgd,own,22.22",
        "digits,random,10,end,convnet,dsa,sgd,own,33.33",
        "digits,dm,1,end,convnet,dsa,sgd,own,44.44",
        "digits,dm,1,5,convnet,dsa,sgd,own,55.55",
        "digits,dm,10,end,convnet,dsa,sgd,own,",
    )
    assert [line.split() for line in lines] == [
        ["Test", "accuracy", "on", "digits", "in", "percent", "(convnet,", "dsa,", "sgd):"],
        ["IPC", "random", "dm"],
        ["1", "22.2", "44.4"],
        ["10", "33.3", "-"],
        ["Open", "first:"],
        ["a.md"],
        ["b.html"],
        ["Condensed", "sets:", "results/<method>/condensed.safetensors"],
        ["The", "run", "took", "75", "s."],
    ]


def test_many_methods_are_rows(shown):
    names = [f"a_method_with_a_long_name_{number}" for number in range(8)]
    lines = shown(*(f"digits,{name},1,end,convnet,dsa,sgd,own,10" for name in names))
    assert [line.split() for line in lines[1:10]] == [["IPC", "1"], *([n, "10.0"] for n in names)]
    assert max(map(len, lines)) <= 100


def test_each_dataset_has_its_own_cells(shown):
    lines = shown("a,random,1,end,convnet,dsa,sgd,own,10", "b,random,1,end,mlp,none,adam,own,20")
    assert lines[0].startswith("Test accuracy on a") and "(mlp, none, adam)" in lines[3]
