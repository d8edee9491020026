"""Fetching from folders and servers that misbehave; reading archives that are hostile or damaged.

The servers are real ones, on 127.0.0.1.
"""

import errno
import hashlib
import http.server
import io
import os
import random
import re
import socket
import struct
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from builders import add, pack

from condensation.core.errors import InputError
from condensation.files import archives, download
from condensation.files.archives import checksum_of, members, verify
from condensation.files.download import fetch
from condensation.files.official import Archive

CONTENT = random.Random(0).randbytes(2_500_000)  # some blocks of copying, and an odd rest
OTHER = random.Random(1).randbytes(2_500_000)
SMALL = {"train/a/1.png": bytes(range(256)) * 5, "train/b/2.png": b"hello" * 100, "empty": b""}


def md5(content):
    return f"md5:{hashlib.md5(content).hexdigest()}"


def official(*urls, content=CONTENT):
    return Archive("data.bin", urls, md5(content))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        byte_range = self.headers.get("Range")
        server.requests.append((self.path, byte_range))
        if server.codes and (code := server.codes.pop(0)):
            return self.send_error(code)
        content = server.files.get(self.path)
        if content is None:
            return self.send_error(404)
        start = 0
        if byte_range and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", byte_range)[1])
        if start and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = server.stops.pop(0) if server.stops else None
        self.wfile.write(content[start:stop])
        if stop and server.rude:  # a close that does not linger resets the connection
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``; answer k breaks off before byte ``stops[k]``, or is the error codes[k]."""

    def __init__(self, files, ranges=True, stops=(), codes=(), rude=False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.ranges, self.rude = files, ranges, rude
        self.stops, self.codes, self.requests = list(stops), list(codes), []

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    started = []

    def start(files, **options):
        server = Server(files, **options)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    """The pauses between tries; the test does not wait for them."""
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    return pauses


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "data.bin"


def part(target):
    return target.with_name(target.name + ".part")


def listing(folder):
    return sorted(
        (path.relative_to(folder).as_posix(), path.stat().st_size) for path in folder.rglob("*")
    )


def assert_fetched(target, content=CONTENT):
    assert target.read_bytes() == content
    assert [path.name for path in target.parent.iterdir()] == [target.name]


# --- fetch ----------------------------------------------------------------------------------------


def test_a_mirror_folder_is_tried_before_the_address(tmp_path, target, serve):
    server = serve({"/data.bin": CONTENT})
    mirror = tmp_path / "mirror"
    pack(mirror, {"data.bin": CONTENT}, "folder")
    fetch(official(server.url("/data.bin")), target, str(mirror))
    assert_fetched(target)
    assert server.requests == []
    assert (mirror / "data.bin").read_bytes() == CONTENT


def test_a_mirror_folder_may_be_under_the_home_folder(tmp_path, target, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    pack(tmp_path / "mirror", {"data.bin": CONTENT}, "folder")
    fetch(official(), target, "~/mirror")
    assert_fetched(target)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_mirror_address_is_a_prefix_tried_before_the_address(target, serve, end):
    server = serve({"/pub/sets/data.bin": CONTENT, "/data.bin": CONTENT})
    fetch(official(server.url("/data.bin")), target, server.url("/pub/sets") + end)
    assert_fetched(target)
    assert server.requests == [("/pub/sets/data.bin", None)]


def test_a_mirror_address_may_be_a_file_address(tmp_path, target):
    pack(tmp_path / "mirror", {"data.bin": CONTENT}, "folder")
    fetch(official(), target, (tmp_path / "mirror").as_uri())
    assert_fetched(target)


def test_the_address_is_asked_once_without_a_range(target, serve, slept):
    server = serve({"/a/data.bin": CONTENT})
    fetch(official(server.url("/a/data.bin")), target)
    assert_fetched(target)
    assert server.requests == [("/a/data.bin", None)]
    assert slept == []


def test_an_old_file_at_the_destination_is_replaced(target, serve):
    target.parent.mkdir()
    target.write_bytes(b"old")
    fetch(official(serve({"/data.bin": CONTENT}).url("/data.bin")), target)
    assert_fetched(target)


def test_a_download_cut_half_way_resumes_at_the_right_byte(target, serve, slept):
    half = len(CONTENT) // 2
    server = serve({"/data.bin": CONTENT}, stops=[half])
    messages = []
    fetch(official(server.url("/data.bin")), target, say=messages.append)
    assert_fetched(target)
    assert server.requests == [("/data.bin", None), ("/data.bin", f"bytes={half}-")]
    assert len(slept) == 1 and slept[0] > 0
    assert f"continuing at byte {half}" in messages


def test_a_download_cut_several_times_resumes_each_time(target, serve):
    stops = [400_000, 1_300_000, 1_300_001]
    server = serve({"/data.bin": CONTENT}, stops=stops)
    fetch(official(server.url("/data.bin")), target)
    assert_fetched(target)
    assert [byte_range for _, byte_range in server.requests] == [
        None,
        *(f"bytes={at}-" for at in stops),
    ]


def test_a_connection_reset_resumes_after_what_arrived(target, serve, monkeypatch):
    arrived, messages = [], []
    monkeypatch.setattr(download.time, "sleep", lambda _: arrived.append(part(target).stat()))
    server = serve({"/data.bin": CONTENT}, stops=[len(CONTENT) // 2], rude=True)
    fetch(official(server.url("/data.bin")), target, say=messages.append)
    assert_fetched(target)
    assert any("Connection reset" in message for message in messages)
    kept = arrived[0].st_size
    assert [byte_range for _, byte_range in server.requests] == [
        None,
        f"bytes={kept}-" if kept else None,
    ]


def test_a_server_that_ignores_range_starts_again_and_nothing_is_appended(target, serve):
    half = len(CONTENT) // 2
    server = serve({"/data.bin": CONTENT}, ranges=False, stops=[half])
    fetch(official(server.url("/data.bin")), target)
    assert_fetched(target)
    assert [byte_range for _, byte_range in server.requests] == [None, f"bytes={half}-"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_partial_file_left_over_is_continued(target, serve, ranges):
    target.parent.mkdir()
    part(target).write_bytes(CONTENT[:1000])
    server = serve({"/data.bin": CONTENT}, ranges=ranges)
    fetch(official(server.url("/data.bin")), target)
    assert_fetched(target)
    assert server.requests == [("/data.bin", "bytes=1000-")]


def test_a_partial_file_that_is_already_complete_is_used(target, serve):
    target.parent.mkdir()
    part(target).write_bytes(CONTENT)
    server = serve({"/data.bin": CONTENT})  # answers 416: nothing left
    fetch(official(server.url("/data.bin")), target)
    assert_fetched(target)


def test_a_later_call_continues_a_download_that_kept_breaking_off(target, serve):
    server = serve({"/data.bin": CONTENT}, stops=[*range(100_000, 600_000, 100_000)])
    with pytest.raises(InputError, match=f"ended at byte 500000 of {len(CONTENT)}"):
        fetch(official(server.url("/data.bin")), target)
    assert not target.exists()
    assert part(target).read_bytes() == CONTENT[:500_000]
    tried = len(server.requests)
    fetch(official(server.url("/data.bin")), target)
    assert_fetched(target)
    assert server.requests[tried:] == [("/data.bin", "bytes=500000-")]


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_a_passing_error_of_the_server_is_tried_again(target, serve, slept, code):
    server = serve({"/data.bin": CONTENT}, codes=[code, code])
    fetch(official(server.url("/data.bin")), target)
    assert_fetched(target)
    assert len(server.requests) == 3 and len(slept) == 2 and slept[0] < slept[1]


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_final_error_of_the_server_is_not_tried_again(target, serve, slept, code):
    server = serve({"/data.bin": CONTENT}, codes=[code] * 9)
    with pytest.raises(InputError, match=str(code)):
        fetch(official(server.url("/data.bin")), target)
    assert len(server.requests) == 1 and slept == []


def test_a_wrong_checksum_names_both_and_leaves_nothing(target, serve):
    server = serve({"/data.bin": OTHER})
    with pytest.raises(InputError) as caught:
        fetch(official(server.url("/data.bin")), target)
    assert md5(CONTENT) in str(caught.value) and md5(OTHER) in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_a_wrong_file_in_a_mirror_folder_leaves_nothing_and_stays(tmp_path, target):
    pack(tmp_path / "mirror", {"data.bin": OTHER}, "folder")
    with pytest.raises(InputError) as caught:
        fetch(official(), target, str(tmp_path / "mirror"))
    assert md5(CONTENT) in str(caught.value) and md5(OTHER) in str(caught.value)
    assert list(target.parent.iterdir()) == []
    assert (tmp_path / "mirror" / "data.bin").read_bytes() == OTHER


def test_sha256_is_a_checksum_too(tmp_path, target):
    pack(tmp_path / "mirror", {"data.bin": CONTENT}, "folder")
    right = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    fetch(Archive("data.bin", (), right), target, str(tmp_path / "mirror"))
    assert_fetched(target)
    assert checksum_of(target, "sha256") == right
    verify(target, right)
    with pytest.raises(InputError, match="wrong checksum"):
        verify(target, right[:-1] + ("0" if right[-1] != "0" else "1"))


@pytest.mark.parametrize("kind", ["folder", "address", "empty folder"])
def test_a_mirror_without_the_right_file_falls_through_to_the_address(
    tmp_path, target, serve, kind
):
    server = serve({"/right/data.bin": CONTENT, "/mirror/data.bin": OTHER})
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    if kind == "folder":
        (mirror / "data.bin").write_bytes(OTHER)
    place = server.url("/mirror") if kind == "address" else str(mirror)
    fetch(official(server.url("/right/data.bin")), target, place)
    assert_fetched(target)
    assert server.requests[-1] == ("/right/data.bin", None)


def test_a_wrong_partial_file_does_not_spoil_the_right_address(target, serve):
    target.parent.mkdir()
    part(target).write_bytes(OTHER[:1000])
    fetch(official(serve({"/data.bin": CONTENT}).url("/data.bin")), target)
    assert_fetched(target)


def test_a_wrong_mirror_that_breaks_off_does_not_spoil_the_right_address(target, serve):
    server = serve(
        {"/right/data.bin": CONTENT, "/mirror/data.bin": OTHER},
        stops=[1000, 1001, 1002, 1003, 1004],
    )
    fetch(official(server.url("/right/data.bin")), target, server.url("/mirror"))
    assert_fetched(target)


def test_an_archive_missing_everywhere_lists_every_place_and_the_way_out(tmp_path, target, serve):
    server = serve({})
    first, second = server.url("/one/data.bin"), server.url("/two/data.bin")
    mirror = str(tmp_path / "mirror")
    for source, place in (
        (mirror, f"{mirror}/data.bin"),
        (server.url("/m"), f"{server.url('/m')}/"),
    ):
        with pytest.raises(InputError) as caught:
            fetch(official(first, second), target, source)
        message = str(caught.value)
        for text in ("data.bin", place, first, second, "404", "data.mirror"):
            assert text in message
        assert message.index(place) < message.index(first) < message.index(second)
        assert not target.exists() and not part(target).exists()


def test_an_unreachable_server_is_named(target, serve):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/data.bin"
    with pytest.raises(InputError, match=re.escape(url)):
        fetch(official(url), target)


# --- members --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz", "zip"])
def test_a_folder_a_tar_and_a_zip_give_the_same(tmp_path, kind):
    path = pack(tmp_path / "it", SMALL, kind)
    before = listing(tmp_path)
    assert sorted(members(path)) == sorted(SMALL.items())
    chosen = list(members(path, lambda name: name.startswith("train/b")))
    assert chosen == [("train/b/2.png", SMALL["train/b/2.png"])]
    assert listing(tmp_path) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_file_that_an_archive_holds_twice_is_refused(tmp_path, kind):
    path = pack(tmp_path / "it", SMALL, kind)
    opened = tarfile.open if kind == "tar" else zipfile.ZipFile
    with opened(path, "a") as archive:
        if kind == "tar":
            add(archive, "train/a", type=tarfile.DIRTYPE)
            add(archive, "train/a", type=tarfile.DIRTYPE)  # no file
            add(archive, "./train/a/1.png", b"corrected")
        else:
            archive.writestr("./train/a/1.png", "corrected")
    assert_refused(path, "holds 'train/a/1.png' twice", "pack the folder into a new archive")
    assert dict(members(path, lambda name: name == "empty")) == {"empty": b""}


@pytest.mark.parametrize("ending", ["bmp", "PGM", "ppm", "tif", "tga", "npy"])
def test_new_content_of_the_same_size_changes_the_digest_where_nothing_compresses(tmp_path, ending):
    files = {f"train/{label}/1.{ending}": label.encode() * 9 for label in "ab"}
    path = pack(tmp_path / "it", files | {"train/a/2.png": b"two"}, "folder")
    for number, file in enumerate(sorted(path.rglob("*.*"))):
        os.utime(file, ns=(0, number))
    digests = [archives.listing_digest(path)]
    os.utime(path / "train/a/2.png")
    assert archives.listing_digest(path) == digests[0]
    (path / f"train/a/1.{ending}").write_bytes(b"c" * 9)
    digests.append(archives.listing_digest(path))
    (path / "train/a").rename(path / "train/x")
    (path / "train/b").rename(path / "train/a")
    (path / "train/x").rename(path / "train/b")
    (path / "train/b/2.png").rename(path / "train/a/2.png")
    digests.append(archives.listing_digest(path))
    assert len(set(digests)) == 3


@pytest.fixture
def unlisted(monkeypatch):
    """Let the listing of folders of these names fail; the tests may run as root."""
    names, listed = set(), os.scandir

    def scandir(path):
        if Path(path).name in names:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return names


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, unlisted):
    path = pack(tmp_path / "it", {**SMALL, "lost+found/x": b"", ".Trash-0/x": b""}, "folder")
    unlisted |= {"lost+found", ".Trash-0"}  # which nothing reads
    assert sorted(members(path)) == sorted(SMALL.items())
    unlisted.add("b")
    for read in (lambda: list(members(path)), lambda: archives.listing_digest(path)):
        with pytest.raises(InputError, match=f"{path}/train/b: cannot be listed .Permission"):
            read()


def test_a_folder_is_read_once_for_each_link_to_it_but_never_in_a_loop(tmp_path):
    path = pack(tmp_path / "it", {"train/a/1.png": b"one", "pool/2.png": b"two"}, "folder")
    (path / "train" / "c").symlink_to("a")
    (path / "train" / "a" / "more").symlink_to(path / "pool")
    (path / "train" / "a" / "self").symlink_to(".")
    (path / "pool" / "top").symlink_to(path)
    assert [name for name, _ in members(path)] == [
        *("pool/2.png", "train/a/1.png", "train/a/more/2.png"),
        *("train/c/1.png", "train/c/more/2.png"),
    ]


def test_leading_dots_and_folder_entries_are_dropped(tmp_path):
    with tarfile.open(tmp_path / "t", "w") as archive:
        for name in (".", "./train", "./train/a"):
            add(archive, name, type=tarfile.DIRTYPE)
        add(archive, "./train/a/1.png", b"one")
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.mkdir("train")
        archive.writestr("./train/a/", "")
        archive.writestr("./train/a/1.png", "one")
    for name in "tz":
        assert list(members(tmp_path / name)) == [("train/a/1.png", b"one")]


def test_a_tar_with_long_and_unusual_names_comes_whole(tmp_path):
    files = {f"{'d' * 90}/{'e' * 90}/ü {i}.png": bytes([i]) for i in range(30)}
    assert list(members(pack(tmp_path / "t", files, "tar"))) == list(files.items())


def test_a_tar_is_not_taken_for_the_zip_inside_it(tmp_path):
    pack(tmp_path / "inner", {"inside.txt": b"x"}, "zip")
    files = {**SMALL, "notes.zip": (tmp_path / "inner").read_bytes()}
    assert dict(members(pack(tmp_path / "t", files, "tar"))) == files


def assert_refused(path, *words, select=lambda name: True):
    folder = path.parent
    before = listing(folder)
    with pytest.raises(InputError) as caught:
        list(members(path, select))
    for word in (str(path), *words):
        assert word in str(caught.value)
    assert listing(folder) == before


@pytest.mark.parametrize("selected", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/../../x", "..", "/etc/x", "//x", "a/.."),
        *("..\\x", "a\\..\\..\\x", "\\x", "C:\\x", "C:x", "c:/x"),
    ],
)
def test_names_that_lead_out_are_refused(tmp_path, name, selected):
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "t", "w") as archive:
        add(archive, "good", b"good")
        add(archive, name, b"evil")
    with zipfile.ZipFile(tmp_path / "in" / "z", "w") as archive:
        archive.writestr("good", "good")
        archive.writestr(name, "evil")
    for file in "tz":
        path = tmp_path / "in" / file
        assert_refused(path, repr(name), "leads out", select=lambda name: selected)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


LINKS = {
    "symlink": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
    "symlink inside": {"type": tarfile.SYMTYPE, "linkname": "good"},
    "hardlink": {"type": tarfile.LNKTYPE, "linkname": "good"},
    "character device": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
    "block device": {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0},
    "fifo": {"type": tarfile.FIFOTYPE},
}


@pytest.mark.parametrize("selected", [True, False])
@pytest.mark.parametrize("kind", LINKS)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind, selected):
    with tarfile.open(tmp_path / "t", "w") as archive:
        add(archive, "good", b"good")
        add(archive, "train/a/1.png", **LINKS[kind])
    assert_refused(
        tmp_path / "t", "'train/a/1.png'", "a link or a device", select=lambda name: selected
    )


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010644])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode):
    link = zipfile.ZipInfo("train/a/1.png")
    link.create_system = 3
    link.external_attr = mode << 16
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("good", "good")
        archive.writestr(link, "/etc/passwd")
    assert_refused(tmp_path / "z", "'train/a/1.png'", "a link or a device")


@pytest.mark.parametrize("mode", [0, 0o644, 0o100644])
def test_regular_files_in_a_zip_are_read_whatever_their_mode(tmp_path, mode):
    entry = zipfile.ZipInfo("a")
    entry.external_attr = mode << 16
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr(entry, "content")
    assert list(members(tmp_path / "z")) == [("a", b"content")]


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_a_member_above_the_limit_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1000)
    path = pack(tmp_path / "it", {"fits": b"\0" * 1000, "big": b"\0" * 1001}, kind)
    assert_refused(path, "'big'", "1001", "1000")
    assert dict(members(path, lambda name: name == "fits")) == {"fits": b"\0" * 1000}


def cut(tmp_path, kind, files=SMALL):
    whole = pack(tmp_path / "whole", files, kind).read_bytes()
    (tmp_path / "whole").unlink()
    return whole, tmp_path / "cut"


@pytest.mark.parametrize("selected", [True, False])
def test_a_tar_cut_anywhere_before_its_end_mark_is_refused(tmp_path, selected):
    whole, path = cut(tmp_path, "tar")
    end = len(whole.rstrip(b"\0")) // tarfile.BLOCKSIZE + 1  # the blocks before the end mark
    cuts = [block * tarfile.BLOCKSIZE + more for block in range(end) for more in (0, 1, 300)]
    for length in (*cuts, end * tarfile.BLOCKSIZE):
        path.write_bytes(whole[:length])
        assert_refused(path, select=lambda name: selected)
    path.write_bytes(whole[: (end + 2) * tarfile.BLOCKSIZE])  # the mark without the padding
    assert dict(members(path)) == SMALL


def test_a_tar_that_lacks_only_its_end_mark_is_refused_after_its_members(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add(archive, "a", b"one" * 1000)
        add(archive, "b", b"two" * 1000)
        boundary = archive.offset
    (tmp_path / "t").write_bytes(buffer.getvalue()[:boundary])
    assert boundary % tarfile.BLOCKSIZE == 0
    assert_refused(tmp_path / "t", "truncated", "end mark")


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_packed_archive_cut_short_is_refused(tmp_path, kind):
    files = {f"{i}": random.Random(i).randbytes(5000) for i in range(20)}
    whole, path = cut(tmp_path, kind, files)
    for share in (0.001, 0.2, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert_refused(path)
    if kind == "zip":
        path.write_bytes(whole[:-1])
        assert_refused(path)


def test_a_tar_with_a_damaged_header_is_refused(tmp_path):
    whole, path = cut(tmp_path, "tar")
    second = whole.index(b"train/b/2.png")
    path.write_bytes(whole[:second] + b"X" + whole[second + 1 :])
    assert_refused(path)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2"])
def test_a_packed_tar_with_a_damaged_byte_is_refused(tmp_path, kind):
    content = random.Random(0).randbytes(200_000)  # does not compress: the bytes stand in the file
    path = tmp_path / "t"
    with tarfile.open(path, f"w:{kind[4:]}") as archive:
        add(archive, "a", content)
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :])
    assert_refused(path)


def test_a_zip_with_a_damaged_byte_is_refused(tmp_path):
    content = random.Random(0).randbytes(20_000)
    whole, path = cut(tmp_path, "zip", {"a": content})
    half = len(whole) // 2
    path.write_bytes(whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :])
    assert_refused(path, "damaged")


@pytest.mark.parametrize("content", [b"", b"plain text", b"\0" * 100, b"\x1f\x8b", OTHER[:5000]])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    assert_refused(tmp_path / "f")


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing: no such file"):
        list(members(tmp_path / "nothing"))
