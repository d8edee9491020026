"""Inputs made to do harm: each is refused in a moment, with a message, and without memory."""

import gzip
import io
import json
import os
import pickle
import resource
import struct
import tarfile
import time
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from condensation.config import loading
from condensation.core.errors import InputError
from condensation.files import archives, image_files
from condensation.methods import contract, imported


@pytest.fixture(autouse=True)
def cheaply():
    """A test may take no more than ten seconds, nor raise the process's peak by 300 MB."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    yield
    assert time.monotonic() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


# --- archives -------------------------------------------------------------------------------------


def zeros_packed(size: int) -> bytes:
    """Gzip of that many zeros, without ever holding them."""
    packer = zlib.compressobj(wbits=31)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK]
)
@pytest.mark.parametrize("first", [True, False])
def test_a_tar_with_a_name_of_gigabytes_is_refused(tmp_path, kind, first):
    size = 1 << 30
    path = tmp_path / "bomb.tar.gz"
    before = b"" if first else header("train/a/1.png", 0)
    # gzip members may follow each other; as many zeros as a test has time for
    path.write_bytes(gzip.compress(before + header("x", size, kind)) + zeros_packed(32 << 20))
    with pytest.raises(InputError, match="a name or attribute of 1073741824 bytes; at most 65536"):
        list(archives.members(path))


def test_a_tar_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_UNPACKED_FREE", 8 << 20)
    path = tmp_path / "bomb.tar.gz"
    member = header("unwanted.bin", 64 << 20)
    path.write_bytes(gzip.compress(member) + zeros_packed(64 << 20) + gzip.compress(bytes(1024)))
    with pytest.raises(InputError, match="unpacks to .* or more; at most 8388608 are allowed"):
        list(archives.members(path, lambda name: False))


def test_a_tar_of_very_many_empty_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_UNPACKED_FREE", 1 << 20)
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(header("x", 0) * 20_000 + bytes(1024)))
    with pytest.raises(InputError, match="unpacks to"):
        list(archives.members(path, lambda name: False))


def test_a_tar_with_zeros_behind_its_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_UNPACKED_FREE", 8 << 20)
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(header("x", 0) + bytes(1024)) + zeros_packed(64 << 20))
    with pytest.raises(InputError, match="unpacks to"):
        list(archives.members(path))


def test_a_zip_of_many_small_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_UNPACKED_FREE", 4 << 20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(32):
            archive.writestr(f"train/a/{number}.png", bytes(1 << 20))
    names = []
    with pytest.raises(InputError, match="unpacks to 33554432 bytes or more"):
        list(archives.members(path, lambda name: names.append(name) or True))
    assert names == [], "refused before a member is unpacked"


def test_a_zip_with_a_member_longer_than_its_header_says_is_refused(tmp_path):
    path = tmp_path / "lying.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/a/1.png", bytes(8 << 20))
    content = path.read_bytes().replace(struct.pack("<I", 8 << 20), struct.pack("<I", 10))
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        list(archives.members(path))


def test_an_archive_in_an_archive_stays_packed(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(1 << 20))
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    members = dict(archives.members(tmp_path / "outer.zip"))
    assert members == {"inner.zip": inner.getvalue()}


def test_ordinary_images_are_far_below_the_limit(tmp_path):
    path = tmp_path / "plain.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        buffer = io.BytesIO()
        Image.new("RGB", (500, 500)).save(buffer, "BMP")  # of one colour, unpacked
        for number in range(100):
            archive.writestr(f"train/a/{number}.bmp", buffer.getvalue())
    assert len(list(archives.members(path))) == 100


# --- images ---------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


@pytest.mark.parametrize("side", [8193, 60_000])
def test_an_image_that_claims_a_billion_pixels_is_refused(side):
    claims = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + claims + chunk(b"IDAT", zlib.compress(bytes(1000)))
    with pytest.raises(InputError, match=r"x.png: .*(pixels; at most 67108864|decompression bomb)"):
        image_files.decode(content, "x.png", 3, 32)


def test_a_program_called_an_image_is_refused():
    """PostScript: Pillow would hand it to an interpreter."""
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) show\n"
    assert Image.open(io.BytesIO(content)).format == "EPS"
    with pytest.raises(InputError, match="not a readable image"):
        image_files.decode(content, "x.png", 3, None)


# --- condensed sets -------------------------------------------------------------------------------


def read(problem, path, **options):
    defaults = {"labels_path": None, "scale": "standardized", "mean": None, "std": None}
    defaults |= {"restandardize": False, "path": str(path)}
    return contract.finish(imported.condense(problem, **defaults | options), problem, str(path))


def test_an_npz_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path, problem, monkeypatch):
    monkeypatch.setattr(archives, "_UNPACKED_FREE", 8 << 20)
    path = tmp_path / "set.npz"
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        array, {"descr": "<f4", "fortran_order": False, "shape": (1 << 22,)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", array.getvalue() + bytes(16 << 20))
    with pytest.raises(InputError, match="unpacks to .* bytes or more; at most 8388608"):
        read(problem, path)


def test_an_array_that_claims_terabytes_is_refused(tmp_path, problem):
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        array, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 3, 1000, 1000)}
    )
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("images.npy", array.getvalue() + bytes(100))
    with pytest.raises(InputError, match="not a readable .npz file"):
        read(problem, tmp_path / "set.npz")


@pytest.mark.parametrize("claimed", [1 << 40, 1 << 62, 200])
def test_a_safetensors_header_that_claims_terabytes_is_refused(tmp_path, problem, claimed):
    tensors = {"images": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 1 << 32]}}
    text = json.dumps(tensors).encode()
    path = tmp_path / "set.safetensors"
    path.write_bytes(
        struct.pack("<Q", min(claimed, len(text)) if claimed == 200 else claimed) + text
    )
    with pytest.raises(InputError, match="not a readable .safetensors file"):
        read(problem, path)


def test_a_number_expanded_to_terabytes_is_refused(tmp_path, problem):
    path = tmp_path / "set.pt"
    torch.save({"images": torch.zeros(1).expand(10**6, 3, 1000, 1000)}, path)
    assert path.stat().st_size < 10_000
    with pytest.raises(InputError, match="unpacks to 12000000000000 bytes"):
        read(problem, path)


def test_the_message_about_huge_keys_is_short(tmp_path, problem):
    path, key = tmp_path / "set.pt", ("x",)
    for _ in range(14):
        key = (key, key)  # as text 2 ** 14 times as long; more, and hashing it takes for ever
    torch.save({key: 1}, path)
    with pytest.raises(InputError, match="expected a mapping with `images`") as caught:
        read(problem, path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pt_file_of_either_form_is_not_run(tmp_path, problem, legacy):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harmed"),)

    path = tmp_path / "set.pt"
    images = torch.zeros(6, 3, 8, 8)
    torch.save({"images": images, "more": Harm()}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match="running code from a file is refused"):
        read(problem, path)
    path.write_bytes(pickle.dumps(Harm()))
    with pytest.raises(InputError):
        read(problem, path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("form", ["pt", "npz", "safetensors"])
def test_nan_and_infinite_pixels_are_refused(tmp_path, problem, form, value):
    images = torch.randn(6, 3, 8, 8)
    images[3, 1, 2, 2] = value
    path = tmp_path / f"set.{form}"
    if form == "pt":
        torch.save({"images": images}, path)
    elif form == "npz":
        np.savez(path, images=images.numpy())
    else:
        from safetensors.torch import save_file

        save_file({"images": images}, path)
    with pytest.raises(InputError, match="NaN or infinite pixels"):
        read(problem, path)


@pytest.mark.parametrize("tensor", [torch.zeros(6, 3, 8, 8).to_sparse(), torch.zeros(6).to("meta")])
def test_tensors_that_are_no_arrays_are_refused(tmp_path, problem, tensor):
    torch.save({"images": tensor}, tmp_path / "set.pt")
    with pytest.raises(InputError, match="not a plain array of real numbers"):
        read(problem, tmp_path / "set.pt")


# --- configs --------------------------------------------------------------------------------------

LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {k: v, l: w}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LAUGHS, "more than 100000 entries, counting aliases out"),
        (MERGES, "more than 100000 entries, counting aliases out"),
        ("methods: &m {random: *m}", "nested more than 50 deep, or in itself"),
        ("methods: " + "[" * 60 + "]" * 60, "nested more than 50 deep"),
        ("methods: " + "[" * 500_000, "nested more than 50 deep in line 1"),
        ("[" * 500_000, "nested more than 50 deep in line 1"),
        ("x: " + "y" * (1 << 20), "larger than 1048576 bytes"),
        ("x: " + "9" * 5000, "not valid YAML"),
        ("x: 2024-99-99", "not valid YAML"),
        ("x: !!python/object/apply:os.mkdir [harmed]", "not valid YAML"),
        ("methods: {dm: {algorithm: {a: b}}}\n", "methods.dm: unknown algorithm"),
    ],
    ids=[
        *("laughs", "merges", "itself", "deep", "unclosed", "brackets", "large", "number", "date"),
        *("object", "mapping"),
    ],
)
def test_configs_that_grow_or_run_code_are_refused(tmp_path, monkeypatch, text, expected):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=expected) as caught:
        loading.load(path)
    assert len(str(caught.value)) < 60_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.yaml"]


def test_a_config_of_many_aliases_read_by_snakemake_is_refused():
    laugh = ["x"] * 2
    for _ in range(40):
        laugh = [laugh] * 9
    with pytest.raises(InputError, match="entries, counting aliases out"):
        loading.parse({"methods": {"dm": laugh}})


@pytest.mark.parametrize("section", ["datasets", "methods", "architectures", "experiments"])
@pytest.mark.parametrize("name", ["<b>x</b>", "../../etc", "a/b", "", "-x", "a b", "x\n", "a\x00b"])
def test_names_that_would_be_markup_or_paths_are_refused(section, name):
    content = {
        "datasets": {"digits": {"source": "digits"}},
        "methods": {"random": {"algorithm": "random"}},
        "architectures": {},
        "experiments": {"e": {"datasets": ["digits"], "methods": ["random"], "ipc": [1]}},
    }
    entries = content[section]
    entries[name] = next(iter(entries.values()), {"network": "mlp"})
    with pytest.raises(InputError, match="is not allowed as a name"):
        loading.parse(content)
