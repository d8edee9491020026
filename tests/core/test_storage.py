"""Files: atomic, checksummed, the same bytes for the same content."""

import os
import stat

import pytest
import torch

from condensation.core import storage
from condensation.core.errors import InputError

TENSORS = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor([1, 2]), "e": torch.empty(0, 4)}
METADATA = {"kind": "thing", "nested": {"z": 1, "a": [1.5, None, "é"]}}


def test_tensors_and_metadata_come_back(tmp_path):
    storage.write_tensors(tmp_path / "f", TENSORS, METADATA)
    tensors, metadata = storage.read_tensors(tmp_path / "f")
    assert metadata == METADATA
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert storage.read_metadata(tmp_path / "f")["kind"] == "thing"


def test_same_content_same_bytes_whatever_the_order(tmp_path):
    storage.write_tensors(tmp_path / "one", TENSORS, METADATA)
    turned = dict(reversed(TENSORS.items()))
    storage.write_tensors(tmp_path / "two", turned, dict(reversed(METADATA.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660)])
def test_who_may_read_a_file_follows_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        storage.write_tensors(tmp_path / "f", TENSORS, METADATA)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode


def test_any_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "f"
    storage.write_tensors(path, {"a": torch.arange(4)}, {"kind": "thing"})
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            tensors, metadata = storage.read_tensors(path)
        except InputError as error:
            assert str(path) in str(error)
            continue
        # what is read all the same must be what was written (e.g. white space of the header)
        assert torch.equal(tensors["a"], torch.arange(4)) and metadata == {"kind": "thing"}


@pytest.mark.parametrize("kept", [0, 4, 20, -1])
def test_a_file_cut_short_is_noticed(tmp_path, kept):
    path = tmp_path / "f"
    storage.write_tensors(path, TENSORS, METADATA)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="not a readable safetensors file"):
        storage.read_tensors(path)


def test_a_record_comes_back_and_a_change_is_noticed(tmp_path):
    path = tmp_path / "r.json"
    storage.write_json(path, METADATA)
    assert storage.read_json(path) == METADATA
    path.write_text(path.read_text().replace("1.5", "2.5"))
    with pytest.raises(InputError, match="altered"):
        storage.read_json(path)
    storage.write_json(path, METADATA)
    for cut in (path.read_text()[:30], path.read_text()[:-1]):  # the last byte says nothing
        path.write_text(cut)
        with pytest.raises(InputError, match="not a record|altered"):
            storage.read_json(path)
    with pytest.raises(InputError, match="no such file"):
        storage.read_json(tmp_path / "none.json")


def test_nothing_half_written_is_left_behind(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(RuntimeError), storage.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
