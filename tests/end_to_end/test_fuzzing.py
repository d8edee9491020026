"""Damaged and made-up inputs are read, or refused with an InputError; nothing else happens.

``FUZZ_EXAMPLES`` is the number of inputs per test: by default the same 40 each time; where it is
set, new inputs each time. Time and memory are bounded, and nothing may appear beside an input.
"""

import copy
import io
import os
import re
import resource
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, small_dataset
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from condensation.config import entries, loading
from condensation.core import storage
from condensation.core.errors import InputError
from condensation.data import readers
from condensation.files import archives, image_files
from condensation.methods import contract, imported
from condensation.nas import benchmark
from condensation.nas import tables as ranking_tables
from condensation.networks import cells201
from condensation.paper import printed
from condensation.results import frames

pytestmark = pytest.mark.fuzz
SECONDS = 10.0  # for one input; they take milliseconds, but the machine may be busy
MEBIBYTES = 1536  # beyond what the process has when a test begins
TRIED: dict[str, list[int]] = {}  # per test: inputs that were read, and refused

examples = os.environ.get("FUZZ_EXAMPLES")
fuzzed = settings(
    max_examples=int(examples or 40),
    derandomize=examples is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder for the inputs, under a limit on memory; prints the counts at the end."""
    folder = tmp_path_factory.mktemp("fuzz") / "within"
    folder.mkdir()
    before = resource.getrlimit(resource.RLIMIT_DATA)
    used = re.search(r"VmData:\s*(\d+)", Path("/proc/self/status").read_text())
    limit = int(used[1]) * 1024 + (MEBIBYTES << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_DATA, before)
    for name, (read, refused) in TRIED.items():
        print(f"\n{name}: {read + refused} inputs, {read} read, {refused} refused", end="")


def judge(name, folder, content, read):
    """Write ``content`` to a file and read it: any error but InputError fails the test."""
    counts = TRIED.setdefault(name.partition(" ")[0], [0, 0])
    path = folder / name.partition(" ")[2]
    if content is not None:
        path.write_bytes(content)
    began = time.monotonic()
    try:
        read(path)
    except InputError as error:
        counts[1] += 1
        assert str(error)
    else:
        counts[0] += 1
    assert time.monotonic() - began < SECONDS
    assert [entry.name for entry in folder.parent.iterdir()] == ["within"]
    assert {entry.name for entry in folder.iterdir()} <= {path.name}
    path.unlink(missing_ok=True)


@st.composite
def damaged(draw, valid):
    """One of the ``valid`` contents: bits flipped, cut, spliced with another, repeated."""
    content = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "cut", "splice", "repeat", "insert", "number"]))
        if not content:
            break
        if kind == "flip":
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del content[at:]
        elif kind == "splice":
            other = draw(st.sampled_from(valid))
            content[at:] = other[draw(st.integers(0, max(len(other) - 1, 0))) :]
        elif kind == "repeat":
            end = at + draw(st.integers(1, 600))
            content[at:at] = content[at:end] * draw(st.integers(1, 3))
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=12))
        else:  # what lengths and counts look like, as large as they can be
            width = draw(st.sampled_from([2, 4, 8]))
            content[at : at + width] = draw(st.sampled_from([b"\xff", b"\x7f", b"\x00"])) * width
    return bytes(content)


@st.composite
def damaged_within(draw, valid):
    """A zip of which one member was damaged before it was packed: its checksums are right."""
    with zipfile.ZipFile(io.BytesIO(draw(st.sampled_from(valid)))) as archive:
        members = [(entry, archive.read(entry)) for entry in archive.infolist()]
    at = draw(st.integers(0, len(members) - 1))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (entry, content) in enumerate(members):
            archive.writestr(entry, draw(damaged([content])) if number == at else content)
    return buffer.getvalue()


# --- configs --------------------------------------------------------------------------------------

CONFIGS = [(ROOT / f"config/{name}.yaml").read_bytes() for name in ("test/tiny", "nas-check")]
BITS = (
    b"a: &a [x, x]\nb: &b [*a, *a]\n<<: *b\n? [1]\n: .nan\n- 1e999\n\x00!!python/object:os.system\n"
)


@fuzzed
@given(damaged([*CONFIGS, BITS]))
def test_config_files(place, content):
    judge("config-file config.yaml", place, content, loading.load)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.sampled_from([10**30, "a:b", "x.py:f", "{}", "random", "digits", [], {}, [[]], -1, 0]),
)
keys = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


@fuzzed
@given(st.data())
def test_config_structures(place, data):
    """A valid config in which something, anywhere, was replaced, removed or added."""
    content = yaml.safe_load(data.draw(st.sampled_from(CONFIGS)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = content
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(at[key], (dict, list)) or data.draw(st.integers(0, 3)) == 0:
                how = data.draw(st.sampled_from(["replace", "remove", "add", "alias"]))
                if how == "remove":
                    del at[key]
                elif how == "add" and isinstance(at, dict):
                    at[data.draw(st.text(max_size=8))] = data.draw(anything)
                elif how == "alias":
                    at[key] = content
                else:
                    at[key] = data.draw(anything)
                break
            at = at[key]
    judge("config-structure none", place, None, lambda _: loading.parse(content))


# --- archives -------------------------------------------------------------------------------------


def png(pixels=8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(pixels * pixels * 3, dtype=np.uint8).reshape(pixels, pixels, 3)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


FILES = {f"top/{split}/{name}/1.png": png() for split in ("train", "test") for name in "ab"}
FILES["top/" + "long" * 60 + "/readme"] = b"text"


def packed_tar(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.pax_headers = {"comment": "x" * 20}
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def packed_zip(compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ARCHIVES = [packed_tar(f"w:{kind}") for kind in ("", "gz", "bz2", "xz")]
ARCHIVES += [packed_zip(kind) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
FOLDER = entries.Dataset(source="image_folder", path="x").model_dump()


@fuzzed
@given(damaged(ARCHIVES))
def test_archives(place, content):
    judge("archive images", place, content, lambda path: list(archives.members(path)))


@fuzzed
@given(damaged(ARCHIVES) | damaged_within(ARCHIVES[-2:]))
def test_archives_of_images(place, content):
    judge("image-archive images", place, content, lambda path: readers.read("own", FOLDER, [path]))


IMAGES = []
for form in (
    *("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000", "QOI", "ICO", "ICNS"),
    *("PCX", "SGI", "DDS"),
):
    with io.BytesIO() as buffer:
        Image.open(io.BytesIO(png(16))).save(buffer, form)
        IMAGES.append(buffer.getvalue())


@fuzzed
@given(damaged(IMAGES))
def test_images(place, content):
    judge(
        *("image x.png", place, content),
        lambda path: image_files.decode(path.read_bytes(), str(path), 3, 8),
    )


# --- condensed sets -------------------------------------------------------------------------------

PROBLEM = contract.Problem(small_dataset(), ipc=1, seed=0)
SET = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
AS_IT_IS = {"labels_path": None, "scale": "standardized", "mean": None, "std": None}
AS_IT_IS["restandardize"] = False


def saved(content, **how) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def zipped_arrays(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


LABELS = torch.arange(3)
SETS = {
    "pt": [
        saved({"images": SET, "labels": LABELS}),
        saved({"data": [[SET, LABELS]], "accs_all_exps": {"ConvNet": [np.float64(1.0)]}}),
        saved((SET, LABELS.float()), _use_new_zipfile_serialization=False),
    ],
    "npz": [
        zipped_arrays(images=SET.numpy(), labels=LABELS.numpy()),
        zipped_arrays(images=SET.permute(0, 2, 3, 1).numpy(), labels=np.eye(3)),
    ],
    "safetensors": [save({"images": SET, "labels": LABELS})],
}


def import_set(path):
    result = imported.condense(PROBLEM, path=str(path), **AS_IT_IS)
    condensed = contract.finish(result, PROBLEM, "imported")
    assert torch.isfinite(condensed.images).all() and condensed.images.shape == SET.shape


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.filterwarnings("ignore")
def test_condensed_sets(place, kind):
    zipped = [content for content in SETS[kind] if content.startswith(b"PK")]

    @fuzzed
    @given(damaged(SETS[kind]) | damaged_within(zipped) if zipped else damaged(SETS[kind]))
    def every(content):
        judge(f"condensed-set-{kind} set.{kind}", place, content, import_set)

    every()


shapes = st.lists(st.integers(0, 9), max_size=5)
tensors = st.one_of(
    st.builds(lambda shape: torch.zeros(shape), shapes),
    st.builds(lambda shape: torch.zeros(1).expand([2**12, *shape]), shapes),
    st.sampled_from(
        [
            *(SET.to(kind) for kind in (torch.float64, torch.float16, torch.complex64, torch.bool)),
            *(SET * factor for factor in (float("nan"), float("inf"), 0)),
            *(SET.to_sparse(), SET.to("meta"), torch.quantize_per_tensor(SET, 0.1, 0, torch.qint8)),
            *(LABELS, -LABELS, LABELS.float() * float("nan"), LABELS * 2**60, torch.eye(3)),
        ]
    ),
)
inside = st.recursive(
    st.one_of(tensors, scalars.filter(lambda scalar: not hasattr(scalar, "isoformat"))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.sampled_from(["images", "labels", "data", 1, (1, 2)]), inner),
    ),
    max_leaves=6,
)


halves = st.one_of(tensors, st.just(SET), inside)


@fuzzed
@given(
    inside | st.fixed_dictionaries({"images": halves, "labels": halves}) | st.tuples(halves, halves)
)
@pytest.mark.filterwarnings("ignore")
def test_condensed_sets_of_made_up_content(place, content):
    try:
        written = saved(content)
    except (RuntimeError, NotImplementedError):  # no file can be made of it
        assume(False)
    judge("condensed-set-made-up set.pt", place, written, import_set)


# --- architectures and tables ---------------------------------------------------------------------

CELLS = [cells201.text(cell) for cell in cells201.every_cell()[::701]]


@fuzzed
@given(st.one_of(st.text(), damaged([cell.encode() for cell in CELLS])))
def test_architecture_strings(place, written):
    text = written if isinstance(written, str) else written.decode("utf-8", "replace")

    def read(_):
        assert cells201.text(cells201.parse(text)) == text

    judge("architecture none", place, None, read)


COLUMN = "CIFAR10TestAccuracy200Epochs"
NAS = "\n".join([f"{benchmark.ARCHITECTURE},{COLUMN}", *(f"{cell},91.5" for cell in CELLS)])
PRINTED = [path.read_bytes() for path in sorted((ROOT / "config/paper").glob("*.csv"))]
RUNS = (
    "dataset,method,ipc,condensation_seed,iteration,architecture,augmentation,optimizer,"
    "labels,evaluation_seed,status,accuracy,first_half,second_half,loss,calibration_error,set_status,"
    "set_labels,other_code,record\n"
    "digits,random,1,0,end,convnet,none,sgd,own,0,ok,91.5,91,92,0.3,0.1,ok,hard,False,a.json\n"
    "digits,random,1,1,end,convnet,none,sgd,own,0,oom,,,,,,oom,,True,b.json\n"
)
ACCURACY = (
    "experiment,dataset,method,ipc,iteration,architecture,augmentation,optimizer,labels,sets,networks,"
    "oom,diverged,missing,mean,std,std_of_sets,low,high\n"
    "e,digits,random,1,end,convnet,none,sgd,own,1,2,0,0,0,91.5,0.3,,90.1,92.2\n"
    "e,digits,none,all,end,convnet,none,sgd,own,1,2,2,0,0,,,,,\n"
)
RANKED = "set,reference,method,ipc,spearman\nrandom/1/0,,random,1,0.5\nwhole,whole,,,\n"
TABLES = {
    "own-nas-table": ([NAS.encode()], lambda path: benchmark.read(path, COLUMN)),
    "printed-numbers": (PRINTED, lambda path: printed.slips(printed.load([path]))),
    "runs": ([RUNS.encode()], frames.load_runs),
    "accuracy": ([ACCURACY.encode()], frames.load_accuracy),
    "ranking": ([RANKED.encode()], ranking_tables.load),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.filterwarnings("ignore")
def test_tables(place, kind):
    valid, read = TABLES[kind]

    @fuzzed
    @given(damaged([*valid, b"a,b\n1,2\n", b'"', b"\xff\xfe"]))
    def every(content):
        judge(f"{kind} table1.csv", place, content, read)

    every()


def test_undamaged_inputs_are_read(place):
    for content in CONFIGS:
        loading.parse(copy.deepcopy(yaml.safe_load(content)))
    for name, contents, read in (
        ("images", ARCHIVES, lambda path: readers.read("own", FOLDER, [path])),
        *((f"set.{kind}", contents, import_set) for kind, contents in SETS.items()),
        *(("table1.csv", contents, read) for contents, read in TABLES.values()),
    ):
        for number, content in enumerate(contents):
            path = place / name
            path.write_bytes(content)
            if not (contents is PRINTED and number):
                read(path)
            path.unlink()


@fuzzed
@given(damaged([b'{"a": 1, "checksum": "x"}']) | st.binary())
def test_records(place, content):
    judge("record x.json", place, content, storage.read_json)
    judge("record x.safetensors", place, content, storage.read_tensors)
