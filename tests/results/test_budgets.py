"""The storage of sets, by hand."""

import pytest

from condensation.results import budgets

RGB = {"shape": [3, 32, 32], "classes": list("0123456789"), "labels": "hard"}
SOFT = RGB | {"labels": "soft"}
WHITENED = SOFT | {"preprocessing": {"kind": "zca_kip", "digest": "ab"}}


@pytest.mark.parametrize(
    ("metadata", "labels", "per_class", "beside"),
    [
        # ten images of 3 x 32 x 32 bytes, and ten rows of ten numbers of four bytes
        (RGB, "own", 30_720, ""),
        (SOFT, "own", 31_120, "soft labels (400 B)"),
        (SOFT, "hard", 30_720, ""),
        (RGB, "distilled", 31_120, "soft labels (400 B), teacher scoring"),
        # four training images in each of ten stored ones
        (RGB | {"factor": 2}, "distilled", 32_320, "soft labels (1600 B), teacher scoring"),
        (SOFT | {"factor": 2}, "own", 31_120, "soft labels (400 B)"),
        (SOFT, "distilled_views", 30_720, "teacher scoring"),
        (WHITENED, "own", 31_120, "soft labels (400 B), whitening zca_kip"),
    ],
)
def test_bytes_per_class_count_pixels_and_soft_labels_and_name_the_rest(
    metadata, labels, per_class, beside
):
    budget = budgets.of_set(metadata, 100, labels, "scoring")
    assert (budget.per_class, budget.beside_images) == (per_class, beside)


def test_a_whole_dataset_counts_all_images_and_a_failed_set_has_no_budget():
    assert budgets.of_set(RGB, 50_000).per_class == 5_000 * 3_072
    assert budgets.of_set({"status": "oom", "classes": ["a"]}, 0) is None
