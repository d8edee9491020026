"""Official archives of the datasets: where to download them, and how to recognise them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from condensation.core.errors import InputError


@dataclass(frozen=True)
class Archive:
    """An official file: its name, addresses and checksum, ``md5:...`` or ``sha256:...``."""

    name: str
    urls: tuple[str, ...]
    checksum: str


_FASHION = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)


def _fashion(name: str, md5: str) -> Archive:
    return Archive(name, tuple(prefix + name for prefix in _FASHION), f"md5:{md5}")


# Addresses and checksums from the pages of the datasets, as torchvision lists them; the checksum of
# TinyImageNet is the one that its public loaders agree on.
OFFICIAL: dict[str, tuple[Archive, ...]] = {
    "cifar10": (
        Archive(
            "cifar-10-python.tar.gz",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
            "md5:c58f30108f718f92721af3b95e74349a",
        ),
    ),
    "cifar100": (
        Archive(
            "cifar-100-python.tar.gz",
            ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
            "md5:eb9058c3a382ffc7106e4002c42a8d85",
        ),
    ),
    "fashion_mnist": (
        _fashion("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        _fashion("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        _fashion("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        _fashion("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    "tinyimagenet": (
        Archive(
            "tiny-imagenet-200.zip",
            ("http://cs231n.stanford.edu/tiny-imagenet-200.zip",),
            "md5:90528d7ca1a48142e341f4ef8d21d0de",
        ),
    ),
    # not images: accuracies of the architectures of NAS-Bench-201, exported from the benchmark
    "nasbench201": (
        Archive(
            "nats_bench.csv",
            (
                "https://raw.githubusercontent.com/v-tao/nats-bench-landscape/"
                "b307ae5fe6e8d7043cd4fe7d1c3532288271adb7/nats_bench.csv",
            ),
            "sha256:cb5d777ec3368be83c8f9b3aa4d520696051cb0eb8d94b8f85b519f9ea4afa3e",
        ),
    ),
}


# The folder that an archive of pickles unpacks to, and its files with the checksums that
# torchvision verifies.
UNPACKED: dict[str, tuple[str, dict[str, str]]] = {
    "cifar10": (
        "cifar-10-batches-py",
        {
            "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
            "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
            "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "md5:40351d587109b95175f43aff81a1287e",
            "batches.meta": "md5:5ff9c542aee3614f3951f8cda6e48888",
        },
    ),
    "cifar100": (
        "cifar-100-python",
        {
            "train": "md5:16019d7e3df5f24257cddd939b257f8d",
            "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "md5:7973b15100ade9c7d40fb424638fde48",
        },
    ),
}


def known_names(source: str) -> set[str]:
    """Return the names of all files below a folder that a dataset may be read from."""
    names = {archive.name for archive in OFFICIAL[source]}
    if source in UNPACKED:
        folder, files = UNPACKED[source]
        names |= {*files, *(f"{folder}/{name}" for name in files)}
    return names


def official_files(source: str, paths: Sequence[str | Path]) -> list[Path]:
    """Return the official archives of a dataset, or the folder that they unpack to.

    Parameters
    ----------
    source : a key of ``OFFICIAL``.
    paths : the archives themselves, or one folder that holds the archives or their content.

    Raises
    ------
    InputError
        For any other path; the message says what is accepted.
    """
    names = [archive.name for archive in OFFICIAL[source]]
    path = Path(paths[0])
    if len(paths) == len(names) and not path.is_dir():
        return [Path(archive) for archive in paths]
    expected = f"{', '.join(names)} as distributed, or a folder that holds "
    expected += "it" if len(names) == 1 else "all of them"
    if source in UNPACKED:
        expected += f" or what it unpacks to, {UNPACKED[source][0]}"
    if not path.is_dir():
        raise InputError(f"{path}: expected {expected}")
    if any((path / name).exists() for name in names):  # the job names the archives that are missing
        return [path / name for name in names]
    if source in UNPACKED:
        folder, files = UNPACKED[source]
        for candidate in (path, path / folder):
            if any((candidate / name).is_file() for name in files):
                return [candidate]
    content = sorted(item.name for item in path.iterdir())
    listed = ", ".join(content[:5]) + (", …" if content[5:] else "") if content else "nothing"
    raise InputError(f"{path}: expected {expected}; this folder holds {listed}")
