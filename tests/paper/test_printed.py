"""The paper's printed numbers and slips, against the list that was made by hand."""

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT

from condensation.core.errors import InputError
from condensation.paper import printed

FILES = sorted((ROOT / "config" / "paper").glob("*.csv"))
# Table 1 or 2, and what Tables 4 and 5 give; worked out by hand
SLIPS = {
    (1, "CIFAR-10", "KIP", "1", "n/a"): ("35.78", "24.30"),
    (1, "CIFAR-10", "KIP", "1", "avg"): ("29.75", "32.615"),
    (1, "CIFAR-10", "KIP", "10", "n/a"): ("46.14", "32.75"),
    (1, "CIFAR-10", "KIP", "10", "avg"): ("39.18", "42.5225"),
    (1, "CIFAR-10", "KIP", "50", "n/a"): ("53.22", "50.73"),
    (1, "CIFAR-10", "KIP", "50", "avg"): ("52.37", "52.9925"),
    (1, "CIFAR-100", "KIP", "1", "n/a"): ("6.74", "8.16"),
    (1, "CIFAR-100", "KIP", "1", "avg"): ("8.65", "8.29"),
    (1, "CIFAR-10", "K-Center", "1", "best"): ("25.16", "25.92"),
    (1, "CIFAR-10", "TM", "50", "avg"): ("65.30", "65.895"),
    (1, "TinyImageNet", "K-Center", "50", "avg"): ("20.90", "20.0075"),
    (1, "TinyImageNet", "DC", "10", "n/a"): ("11.20", "11.12"),
    (1, "TinyImageNet", "DSA", "10", "best"): ("16.43", "16.34"),
    (1, "TinyImageNet", "Random", "10", "avg"): ("6.00", "5.99"),
    (2, "CIFAR-10", "K-Center", "10", "ConvNet"): ("41.19", "41.49"),
    (2, "CIFAR-10", "K-Center", "10", "Transfer"): ("31.01", "31.075"),
    (2, "CIFAR-100", "KIP", "10", "Transfer"): ("11.76", "11.6425"),
}


@pytest.fixture(scope="module")
def numbers():
    return printed.load(FILES)


def test_every_printed_number_is_read(numbers):
    rows = {1: 192, 2: 42, 3: 16, 4: 295 + 3, 5: 295, 6: 65, 7: 42, 8: 30, 9: 18}
    assert pd.Series([key[0] for key in numbers]).value_counts().to_dict() == rows
    tm = numbers[4, "CIFAR-10", "TM", "50", "DSA"]
    assert (tm.text, tm.value, tm.std) == ("70.28", Decimal("70.28"), Decimal("0.61"))
    assert numbers[8, "CIFAR-10", "TM", "50", "gpu_memory_mb"].value is None
    assert numbers[8, "CIFAR-10", "TM", "50", "gpu_memory_mb"].text == "OOM"
    assert numbers[1, "CIFAR-100", "KIP", "50", "avg"].text == "-"
    assert numbers[5, "TinyImageNet", "DM", "1", "ConvNet"].text == "3.82"  # printed as D4
    assert numbers[4, "CIFAR-100", "Whole Dataset", "", "DSA"].std == Decimal("0.18")


def test_the_slips_are_the_seventeen_known_ones(numbers):
    slips = printed.slips(numbers)
    keys = list(slips[["table", "dataset", "method", "ipc", "column"]].itertuples(False, None))
    assert len(slips) == 17 and len(printed.implied_values(numbers)) == 17
    texts = zip(map(str, slips["printed"]), slips["implied"], strict=True)
    assert dict(zip(keys, texts, strict=True)) == {
        key: (text, Decimal(implied)) for key, (text, implied) in SLIPS.items()
    }
    remarks = dict(zip(keys, slips["remark"], strict=True))
    kip = [key for key in keys if key[2] == "KIP" and key[0] == 1]
    assert len(kip) == 8 and all("KIP columns" in remarks[key] for key in kip)
    assert remarks[1, "TinyImageNet", "DSA", "10", "best"].startswith("the same digits")
    assert remarks[1, "CIFAR-10", "TM", "50", "avg"] == ""


def test_kips_columns_are_read_one_place_on(numbers):
    again = printed.correct_kip_columns(numbers)
    for ipc, dsa, without in (("1", "40.55", "35.78"), ("10", "47.23", "46.14")):
        assert again[4, "CIFAR-10", "KIP", ipc, "DSA"].text == dsa
        assert again[4, "CIFAR-10", "KIP", ipc, "n/a"].text == without
    assert len(again) == len(numbers)
    assert not [key for key in printed.implied_values(again) if key[2] == "KIP" and key[0] == 1]


def test_tables_that_repeat_each_other_but_for_kip(numbers):
    held = printed.repeated_numbers(numbers).set_index("check")
    assert list(held["agree"]) == [54, 15, 18, 9, 3, 5, 5, 3]
    assert list(held["of"]) == [59, 15, 21, 9, 3, 5, 5, 3]
    assert held["exceptions"].iloc[0].count("KIP") == 5


def test_the_page_counts_them_itself(numbers):
    text = printed.markdown(numbers)
    assert "## 17 cells of Tables 1 and 2" in text and "| read as" in text
    mended = dict(numbers)
    key = (2, "CIFAR-10", "K-Center", "10", "ConvNet")
    mended[key] = printed.Number("41.49", Decimal("41.49"), None)
    assert "## 16 cells" in printed.markdown(mended)


def test_a_file_that_is_no_table_is_named(tmp_path):
    path = tmp_path / "table4.csv"
    path.write_text("dataset,method\nCIFAR-10,DM\n")
    with pytest.raises(InputError, match=r"table4\.csv: not a table of printed numbers"):
        printed.load([path])
    with pytest.raises(InputError, match=r"expected table1\.csv to table9\.csv"):
        printed.load([Path("table10.csv")])


def test_the_page_of_slips_follows_from_the_printed_tables(numbers):
    page = ROOT / "docs" / "printed_slips.md"
    assert page.read_text() == printed.markdown(numbers), "write it again with printed.markdown"
